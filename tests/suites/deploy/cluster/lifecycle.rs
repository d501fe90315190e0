//! What happens to a release over the years: upgrades and rollbacks, configurations that are refused or arrive all the
//! same, and nodes whose kubelet and containerd end.

use anyhow::{Context, Result, ensure};
use regprobe_lab::servers::cluster::until;
use serde_json::Value;

use super::ground::{Ground, PATIENCE, RELEASE};
use super::story::VALUES;

pub(super) fn changes() -> Result<()> {
    let mut ground = Ground::new(&[])?;
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
    ground.upgrade(VALUES)?;

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
