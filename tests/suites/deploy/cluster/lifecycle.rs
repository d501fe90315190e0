//! What happens to a release over the years: upgrades and rollbacks, configurations that are refused or arrive all the
//! same, nodes whose kubelet and containerd end, and nodes that run out of memory.

use std::fs;

use anyhow::{Context, Result, ensure};
use regprobe_lab::servers::cluster::until;
use serde_json::{Value, json};

use super::ground::{Ground, PATIENCE, RELEASE};
use super::story::VALUES;

/// A pod without a priority and without requests.
const ORDINARY: &str = "ordinary";

pub(super) fn changes() -> Result<()> {
    let mut ground = Ground::new(&[&format!("probe/{ORDINARY}")])?;
    let told = live(&mut ground);
    told.with_context(|| ground.logs())
}

fn live(ground: &mut Ground) -> Result<()> {
    ground.upgrade(VALUES)?;
    expect_no_token(&ground.agent()?)?;
    let first = instance(ground)?;

    // A change of the configuration restarts nothing, and a rollback takes it back.
    let with = |entry: &str| VALUES.replace("  schedule:", &format!("    - {entry}\n  schedule:"));
    ground.upgrade(&with("{server: \"contoso.azurecr.io:8443\", name: second}"))?;
    until("the change arrives", PATIENCE, || {
        expect_registries(ground, &["contoso", "second"])
    })?;
    ground.helm(&["rollback", RELEASE, "1", "--namespace", RELEASE, "--wait"])?;
    until("the rollback arrives", PATIENCE, || {
        expect_registries(ground, &["contoso"])
    })?;
    ensure!(instance(ground)? == first, "the agent was restarted");

    // What the agent refuses is refused before it reaches a node.
    let twice = with("{server: contoso.azurecr.io, name: again}");
    let refused = ground.upgrade(&twice);
    let error = refused
        .err()
        .context("a configuration with a duplicate is taken")?;
    println!("helm upgrade: {error:#}");
    // What only the agent knows to refuse, its Job refuses.
    let unordered = format!("{VALUES}  metrics: {{buckets: [1, 0.5]}}\n");
    let refused = ground.upgrade(&unordered);
    let error = refused.err().context("buckets without order are taken")?;
    println!("helm upgrade: {error:#}");
    let words = "metrics.buckets[1]: 0.5 is not above 1, the bound before it; write them in increasing order";
    ensure!(error.to_string().contains(words), "{error:#}");
    expect_registries(ground, &["contoso"])?;
    ensure!(instance(ground)? == first, "the agent was restarted");

    // Should it get there all the same, the agent keeps what it has, and a new one starts with the last good one.
    let broken = r#"{"data": {"config.yaml": "registries: ["}}"#;
    let patch = [
        "patch",
        "configmap",
        RELEASE,
        "--namespace",
        RELEASE,
        "--patch",
        broken,
    ];
    ground.cluster.kubectl(patch)?;
    until("the log says why", PATIENCE, || {
        let log = ["logs", "--namespace", RELEASE, "daemonset/regprobe"];
        let log = ground.cluster.kubectl(log)?;
        ensure!(
            log.contains("configuration not reloaded; the old one stays"),
            "{log}"
        );
        Ok(())
    })?;
    expect_registries(ground, &["contoso"])?;
    let pods = ["delete", "pod", "--namespace", RELEASE, "--all", "--wait"];
    ground.cluster.kubectl(pods)?;
    until("a new agent probes", PATIENCE, || {
        ensure!(instance(ground)? != first, "the old one");
        expect_registries(ground, &["contoso"])
    })?;
    // Helm does not overwrite what somebody else has changed, unless it is told to.
    let conflict = ground.upgrade(VALUES);
    let error = conflict.err().context("Helm overwrites a change by hand")?;
    println!("helm upgrade: {error:#}");
    ensure!(error.to_string().contains("conflict"), "{error:#}");
    ground.upgrade_by_force(VALUES)?;

    // kubelet and containerd end, and the agent does not notice.
    let before = instance(ground)?;
    ground.cluster.restart_node()?;
    ground.cluster.until_node_is_ready()?;
    until(
        "the agent is asked through the new kubelet",
        PATIENCE,
        || expect_registries(ground, &["contoso"]),
    )?;
    ensure!(instance(ground)? == before, "the agent was restarted");
    out_of_memory(ground)
}

/// kubelet evicts an ordinary pod, and keeps the agent, whose priority class makes it critical.
fn out_of_memory(ground: &mut Ground) -> Result<()> {
    ground.start_pod(ORDINARY)?;
    until("a pod runs", PATIENCE, || ground.expect_running(ORDINARY))?;
    let before = instance(ground)?;
    let agent = ground.agent()?;
    ensure!(agent["spec"]["priorityClassName"] == "system-node-critical");
    ensure!(agent["status"]["qosClass"] == "Burstable", "{agent}");

    ground.cluster.run_out_of_memory()?;
    until("kubelet evicts the ordinary pod", PATIENCE, || {
        let status = ground.cluster.get(&format!("pod {ORDINARY}"))?["status"].take();
        ensure!(status["reason"] == "Evicted", "{status}");
        Ok(())
    })?;
    until("kubelet would evict the agent, too", PATIENCE, || {
        let log = fs::read_to_string(ground.cluster.file("/var/log/kubelet.log"))?;
        let mut lines = log.lines();
        let spared = lines.any(|line| {
            line.contains("cannot evict a critical pod") && line.contains("regprobe/regprobe-")
        });
        ensure!(spared, "not yet");
        Ok(())
    })?;
    ensure!(instance(ground)? == before, "the agent was evicted");
    let registry = ground.status()?["registries"][0].take();
    ensure!(registry["verdict"] == "ok", "{registry:#}");
    ensure!(registry["findings"] == json!([]), "{registry:#}");
    Ok(())
}

/// The pod, and how often its container has started again.
fn instance(ground: &Ground) -> Result<(Value, Value)> {
    let agent = ground.agent()?;
    let restarts = &agent["status"]["containerStatuses"][0]["restartCount"];
    Ok((agent["metadata"]["uid"].clone(), restarts.clone()))
}

fn expect_registries(ground: &Ground, expected: &[&str]) -> Result<()> {
    let status = ground.status()?;
    let registries = status["registries"].as_array().into_iter().flatten();
    let names: Vec<_> = registries
        .map(|one| one["name"].as_str().unwrap_or(""))
        .collect();
    ensure!(names == expected, "{names:?}");
    Ok(())
}

/// Nobody but those who enable it gets one.
fn expect_no_token(agent: &Value) -> Result<()> {
    let volumes = agent["spec"]["volumes"].as_array().into_iter().flatten();
    for volume in volumes {
        ensure!(volume.get("projected").is_none(), "{volume}");
    }
    Ok(())
}
