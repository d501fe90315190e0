//! The node condition and the Events that the agent writes, against the real API server: what they say, and that
//! neither RBAC nor the admission policy lets an agent write anything else.

use anyhow::{Context, Result, ensure};
use regprobe_lab::servers::cluster::{API_SERVER, until};
use serde_json::{Value, json};

use super::ground::{Ground, PATIENCE, RELEASE};
use super::story::{Awaited, Clock, VALUES};
use crate::release::dist::expect_success;

const WRITES: &str = "  kubernetes: {node_condition: true, events: true}\n";
/// A node where no agent runs.
const OTHER: &str = "apiVersion: v1\nkind: Node\nmetadata: {name: node2}\n";

pub(super) fn follow() -> Result<()> {
    let ground = Ground::new(&[])?;
    signals(&ground).with_context(|| ground.logs())
}

fn signals(ground: &Ground) -> Result<()> {
    ground.upgrade(&VALUES.replace("podMonitor:", &format!("{WRITES}podMonitor:")))?;
    let said = |status: &'static str| move || expect_condition(ground, status);
    until("the first condition", PATIENCE, said("True"))?;

    let clock = Clock::start("the data record is deleted from the private zone");
    ground
        .dns
        .acr("contoso")
        .data("westeurope")
        .record_missing();
    clock.await_all(&mut [
        Awaited::new("condition: False", said("False")),
        Awaited::new("Event: RegistryFailing", || {
            expect_event(ground, "RegistryFailing")
        }),
    ])?;
    let failing = condition(ground)?;
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
    let described = ground.cluster.kubectl(["describe", "node", "node1"])?;
    ensure!(described.contains("RegistryFailing"), "{described}");

    let clock = Clock::start("it is repaired");
    ground.link();
    clock.await_all(&mut [
        Awaited::new("condition: True", said("True")),
        Awaited::new("Event: RegistryRecovered", || {
            expect_event(ground, "RegistryRecovered")
        }),
    ])?;
    // kubelet's own conditions are as they were.
    let ready = [
        "wait",
        "--for=condition=Ready",
        "node/node1",
        "--timeout=5s",
    ];
    ground.cluster.kubectl(ready)?;
    rights(ground)
}

/// With the token that the agent has.
fn rights(ground: &Ground) -> Result<()> {
    ground.cluster.apply(OTHER)?;
    let agent = ground.agent()?;
    let name = agent["metadata"]["name"].as_str().context("no name")?;
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

fn condition(ground: &Ground) -> Result<Value> {
    let node = ground.cluster.get("node node1")?;
    let conditions = node["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    let mut conditions = conditions.filter(|one| one["type"] == "ContainerRegistryReachable");
    Ok(conditions.next().context("no condition")?.clone())
}

fn expect_condition(ground: &Ground, status: &str) -> Result<()> {
    let condition = condition(ground)?;
    ensure!(condition["status"] == status, "{condition}");
    Ok(())
}

fn expect_event(ground: &Ground, reason: &str) -> Result<()> {
    let events = "events --namespace=default --field-selector=involvedObject.kind=Node";
    let events = ground.cluster.get(events)?;
    let mut all = events["items"].as_array().into_iter().flatten();
    ensure!(all.any(|event| event["reason"] == reason), "no {reason}");
    Ok(())
}
