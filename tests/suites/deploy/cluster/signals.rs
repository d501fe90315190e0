//! The node condition and the Events that the agent writes, against the real API server: what they say, that they
//! keep pods off a node, what happens while the API server is away, and that neither RBAC nor the admission policy
//! lets an agent write anything else.

use std::fs;

use anyhow::{Context, Result, ensure};
use regprobe_harness::program::repository;
use regprobe_lab::servers::cluster::{API_SERVER, NODE, until};
use serde_json::{Value, json};

use super::clock::{Awaited, Clock};
use super::ground::{Ground, PATIENCE, RELEASE};
use super::story::VALUES;
use crate::release::dist::expect_success;

/// For the end of a configuration.
pub(super) const WRITES: &str = "  kubernetes: {node_condition: true, events: true}\n";
const CONDITION: &str = "ContainerRegistryReachable";
/// A node where no agent runs.
const OTHER: &str = "apiVersion: v1\nkind: Node\nmetadata: {name: node2}\n";
/// The pod that waits for the node.
const PATIENT: &str = "patient";

pub(super) fn follow() -> Result<()> {
    let mut ground = Ground::new(&[&format!("probe/{PATIENT}")])?;
    let told = signals(&mut ground);
    told.with_context(|| ground.logs())
}

fn signals(ground: &mut Ground) -> Result<()> {
    new_node(ground)?;
    without_api_server(ground)?;
    rights(ground)?;
    removed_as_documented(ground)
}

/// A node is created with the taint of the rule for Node Readiness Controller, and cannot pull yet.
fn new_node(ground: &Ground) -> Result<()> {
    let rule = fs::read_to_string(repository("deploy/node-readiness/rule.yaml"))?;
    let rule: Value = serde_yaml::from_str(&rule)?;
    let field = |pointer: &str| {
        let value = rule["spec"].pointer(pointer).and_then(Value::as_str);
        value.with_context(|| format!("the rule has no {pointer}"))
    };
    ensure!(field("/conditions/0/type")? == CONDITION, "{rule}");
    let required = field("/conditions/0/requiredStatus")?;
    let (key, effect) = (field("/taint/key")?, field("/taint/effect")?);
    let taint = format!("{key}={}:{effect}", field("/taint/value")?);
    ground.cluster.kubectl(["taint", "node", NODE, &taint])?;
    ground
        .dns
        .acr("contoso")
        .data("westeurope")
        .record_missing();
    ground.start_pod(PATIENT)?;
    ground.upgrade(&format!("{VALUES}{WRITES}"))?;

    let clock = Clock::start("the agent is ready, on a new node that cannot pull");
    clock.await_all(&mut [
        Awaited::new("condition: False", || expect_condition(ground, "False")),
        Awaited::new("Event: RegistryFailing", || {
            expect_event(ground, "RegistryFailing")
        }),
    ])?;
    expect_reason(ground)?;
    let described = ground.cluster.kubectl(["describe", "node", NODE])?;
    ensure!(described.contains("RegistryFailing"), "{described}");
    let pod = ground.cluster.get(&format!("pod {PATIENT}"))?;
    ensure!(pod["spec"]["nodeName"].is_null(), "{pod}");

    let clock = Clock::start("the record is there");
    ground.link();
    clock.await_all(&mut [
        Awaited::new("condition: as the rule requires", || {
            expect_condition(ground, required)
        }),
        Awaited::new("Event: RegistryRecovered", || {
            expect_event(ground, "RegistryRecovered")
        }),
    ])?;
    // The controller's part; its module cannot be had.
    let no_taint = format!("{key}:{effect}-");
    ground.cluster.kubectl(["taint", "node", NODE, &no_taint])?;
    until("the pod runs", PATIENCE, || ground.expect_running(PATIENT))?;
    expect_node_ready(ground)
}

/// The agent goes on, and says what has changed once it can.
fn without_api_server(ground: &mut Ground) -> Result<()> {
    let before = ground.agent()?;
    let uid = before["metadata"]["uid"].as_str().context("no uid")?;
    let logs = format!(
        "/var/log/pods/{RELEASE}_{}_{uid}/{RELEASE}/0.log",
        name(&before)?
    );
    let logs = ground.cluster.file(&logs);
    let lines_with = |words: &str| {
        let log = fs::read_to_string(&logs)?;
        anyhow::Ok(log.lines().filter(|line| line.contains(words)).count())
    };

    let clock = Clock::start("the API server ends, and then the data record is deleted");
    ground.cluster.end_api_server();
    ground
        .dns
        .acr("contoso")
        .data("westeurope")
        .record_missing();
    let not_written = "node condition or Events not written; trying again";
    clock.await_all(&mut [
        Awaited::new("agent: the verdict is failing", || {
            let status = ground.ask_agent("/api/v1/status")?.json()?;
            let registry = &status["registries"][0];
            ensure!(registry["verdict"] == "failing", "{registry}");
            for finding in registry["findings"].as_array().into_iter().flatten() {
                ensure!(finding["code"] == "PrivateLinkRecordMissing", "{finding}");
            }
            Ok(())
        }),
        Awaited::new("log: what is not written", || {
            ensure!(lines_with(not_written)? > 0);
            Ok(())
        }),
    ])?;
    for path in ["/-/healthy", "/-/ready"] {
        ensure!(ground.ask_agent(path)?.status == 200, "{path}");
    }

    let clock = Clock::start("the API server is back");
    ground.cluster.start_api_server()?;
    clock.await_all(&mut [Awaited::new("condition: False", || {
        expect_condition(ground, "False")
    })])?;
    expect_reason(ground)?;
    ensure!(lines_with(not_written)? == 1, "said more than once");
    ensure!(lines_with("the API server takes node condition and Events again")? == 1);
    ensure!(ground.agent()?["metadata"]["uid"] == uid, "another agent");
    until("the node is ready", PATIENCE, || expect_node_ready(ground))
}

/// kubelet's own condition is as it was.
fn expect_node_ready(ground: &Ground) -> Result<()> {
    let ready = [
        "wait",
        "--for=condition=Ready",
        "node/node1",
        "--timeout=5s",
    ];
    ground.cluster.kubectl(ready).map(drop)
}

fn expect_reason(ground: &Ground) -> Result<()> {
    let failing = condition(ground)?.context("no condition")?;
    println!(
        "  condition {}: {}\n",
        failing["reason"], failing["message"]
    );
    ensure!(failing["reason"] == "PrivateLinkRecordMissing", "{failing}");
    let message = failing["message"].as_str().unwrap_or_default();
    ensure!(
        message.starts_with("contoso: PrivateLinkRecordMissing: "),
        "{message}"
    );
    Ok(())
}

/// What docs/kubernetes.md says about a condition that stays.
fn removed_as_documented(ground: &Ground) -> Result<()> {
    ground.helm(&["uninstall", RELEASE, "--namespace", RELEASE, "--wait"])?;
    ensure!(condition(ground)?.is_some(), "the condition is gone");
    let page = fs::read_to_string(repository("docs/kubernetes.md"))?;
    let (_, after) = page
        .split_once("Remove it with\n\n")
        .context("no command")?;
    let command = after.lines().take_while(|line| line.starts_with("    "));
    let command = command.collect::<Vec<_>>().join("\n");
    let mut shell = ground.cluster.command("bash");
    expect_success(&shell.args(["-euo", "pipefail", "-c", &command]).output()?)?;
    let left = condition(ground)?;
    ensure!(left.is_none(), "{left:?}");
    expect_node_ready(ground)
}

/// With the token that the agent has.
fn rights(ground: &Ground) -> Result<()> {
    ground.cluster.apply(OTHER)?;
    let agent = ground.agent()?;
    let name = name(&agent)?;
    let namespace = format!("--namespace={RELEASE}");
    let bound = ["--bound-object-kind=Pod", "--bound-object-name", name];
    let token = ["create", "token", RELEASE, &namespace];
    let token = ground.cluster.kubectl(token.into_iter().chain(bound))?;
    let bearer = format!("Authorization: Bearer {}", token.trim());
    let send = |method: &str, path: &str, body: &str| {
        let mut curl = ground.cluster.command("curl");
        curl.args(["--silent", "--fail-with-body", "--max-time", "10"])
            .args(["--cacert", "/etc/kubernetes/ca.crt", "--header", &bearer])
            .args([
                "--header",
                "Content-Type: application/strategic-merge-patch+json",
            ])
            .args(["--request", method, "--data", body])
            .arg(format!("https://{API_SERVER}/api/v1{path}"));
        expect_success(&curl.output()?)
    };
    let patch = |node: &str, kind: &str| {
        let status = json!({"conditions": [{"type": kind, "status": "False", "reason": "Test"}]});
        let body = json!({"status": status}).to_string();
        send("PATCH", &format!("/nodes/{node}/status"), &body)
    };
    patch("node1", "ContainerRegistryReachable")?;
    let taint = json!({"spec": {"taints": [{"key": "test", "effect": "NoSchedule"}]}}).to_string();
    for (what, refused, words) in [
        (
            "another node",
            patch("node2", "ContainerRegistryReachable"),
            "an agent may only write about its own node",
        ),
        (
            "another condition",
            patch("node1", "Ready"),
            "an agent may only write the condition ContainerRegistryReachable",
        ),
        (
            "a taint",
            send("PATCH", "/nodes/node1", &taint),
            "forbidden",
        ),
        ("secrets", send("GET", "/secrets", ""), "forbidden"),
        ("pods", send("GET", "/pods", ""), "forbidden"),
    ] {
        let error = refused
            .err()
            .with_context(|| format!("{what} is allowed"))?;
        ensure!(error.to_string().contains(words), "{what}: {error}");
    }
    Ok(())
}

fn condition(ground: &Ground) -> Result<Option<Value>> {
    let node = ground.cluster.get("node node1")?;
    let conditions = node["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    Ok(conditions.find(|one| one["type"] == CONDITION).cloned())
}

pub(super) fn expect_condition(ground: &Ground, status: &str) -> Result<()> {
    let condition = condition(ground)?.context("no condition")?;
    ensure!(condition["status"] == status, "{condition}");
    Ok(())
}

fn name(object: &Value) -> Result<&str> {
    object["metadata"]["name"].as_str().context("no name")
}

fn expect_event(ground: &Ground, reason: &str) -> Result<()> {
    let events = "events --namespace=default --field-selector=involvedObject.kind=Node";
    let events = ground.cluster.get(events)?;
    let mut all = events["items"].as_array().into_iter().flatten();
    ensure!(all.any(|event| event["reason"] == reason), "no {reason}");
    Ok(())
}
