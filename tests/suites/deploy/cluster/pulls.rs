//! Pulls that fail where the path is not at fault, as kube-state-metrics and the kubelet see them.

use anyhow::{Context, Result, ensure};
use regprobe_lab::servers::Prometheus;
use regprobe_lab::servers::cluster::until;

use super::clock::{Awaited, Clock};
use super::ground::{Ground, PATIENCE, REGISTRY};
use super::story::VALUES;

/// No repository of the registry.
const ABSENT: &str = "absent";

/// A pod names an image that the registry lacks, while others pull from it.
pub(super) fn fail_though_the_path_is_well(ground: &Ground, prometheus: &Prometheus) -> Result<()> {
    let holds = |expression: &str| ground.network.enter(|| holds(prometheus, expression));
    let alert = firing("RegprobePodsCannotPull", ", registry=\"contoso\"");
    let pulled = "node:kubelet_image_pull_duration_seconds:mean30m{node=\"node1\"} >= 0";
    // It fires once nothing fails any more, and only for a minute.
    let burns = firing("RegprobePullAvailabilityBurn", ", registry=\"contoso\"");
    let burnt = format!("max_over_time({burns}[10m])");
    let clock = Clock::start("a pod names an image that the registry lacks");
    ground.start_pod(ABSENT)?;
    ground.start_pod("more")?;
    clock.await_all(&mut [
        Awaited::new("event: the pull has failed", || {
            ground.failed_pull(ABSENT).map(drop)
        }),
        Awaited::new("kubelet: how long pulls of this node take", || {
            holds(pulled)
        }),
        Awaited::new("alert: pods cannot pull, though the path is well", || {
            holds(&alert)
        }),
    ])?;
    holds(&burnt).context("past outages did not raise the alert about the budget")?;
    let status = ground.status()?;
    ensure!(status["registries"][0]["verdict"] == "ok", "{status:#}");
    ground.cluster.kubectl(["delete", "pod", ABSENT])?;
    let gone = format!("absent({alert})");
    until("the alert ends with the pod", PATIENCE, || holds(&gone))
}

/// The image of a new agent comes from the registry that it would watch, and is not there.
pub(super) fn agent_waits_for_its_image(ground: &Ground, prometheus: &Prometheus) -> Result<()> {
    let image =
        format!("{{registry: {REGISTRY}, repository: probe/{ABSENT}, tag: v1, digest: \"\"}}");
    let values = format!("image: {image}\nconfigCheck: {{enabled: false}}\n{VALUES}");
    let clock = Clock::start("the agent gets an image that the registry lacks");
    let notes = ground.upgrade_without_waiting(&values)?;
    ensure!(
        notes.contains(&format!(
            "The agent's own image comes from {REGISTRY}, which it watches"
        )),
        "{notes}"
    );
    let alert = firing("RegprobeAgentImageWaiting", "");
    let awaited = Awaited::new("alert: the agent waits for its image", || {
        ground.network.enter(|| holds(prometheus, &alert))
    });
    clock.await_all(&mut [awaited]).map(drop)
}

fn firing(alert: &str, labels: &str) -> String {
    format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"{labels}}}")
}

fn holds(prometheus: &Prometheus, expression: &str) -> Result<()> {
    let samples = prometheus.query(expression)?;
    samples.first().map(drop).context("no sample")
}
