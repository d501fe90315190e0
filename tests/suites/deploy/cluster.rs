//! The chart in a real cluster of one node, installed by the real Helm from what `deploy/release` makes. The
//! cluster's containerd pulls from a private registry, whose faults kubelet, the agent and Prometheus see at the
//! same time.

mod cgroups;
mod clock;
mod credentials;
mod ground;
mod lifecycle;
mod people;
mod pulls;
mod scraped;
mod signals;
mod story;
mod why;

use std::time::Duration;

use regprobe_harness::need::Need;
use regprobe_harness::suite::{Suite, test};

/// The first test may have to build the binary.
const LIMIT: Duration = Duration::from_secs(40 * 60);

pub(crate) fn suite() -> Suite {
    let tests = [
        test(
            "event, verdict, finding and alert tell one story",
            story::faults_and_repairs,
        ),
        test(
            "the node condition keeps pods off a node, and outlives the API server",
            signals::follow,
        ),
        test(
            "agents live through upgrades, bad configurations and restarts",
            lifecycle::changes,
        ),
        test(
            "commands of notes and documents work",
            people::commands_work,
        ),
        test(
            "kubectl regprobe why names the cause that was laid in",
            why::names_the_cause,
        ),
    ];
    let needs = [
        Need::Root,
        Need::IPROUTE,
        Need::NFTABLES,
        Need::RUNC,
        // Its place, for the cluster's own.
        Need::CONTAINERD,
        Need::ETCD,
        Need::CNI,
        Need::Kubernetes,
        Need::CURL,
    ];
    let credentials = test("pods show which credential failed", credentials::decide)
        .needs(needs)
        .needs([Need::CredentialProvider])
        .within(LIMIT);
    let groups = test(
        "a machine's groups of version 2 are made and removed",
        cgroups::of_version_2,
    );
    let installed = [Need::HELM, Need::PROMETHEUS];
    let tests = tests.map(|test| test.needs(needs).needs(installed).within(LIMIT));
    // They measure time, and a machine has two processors.
    let tests = tests
        .into_iter()
        .chain([credentials, groups.needs([Need::Root])]);
    Suite::of(tests).at_a_time(1)
}
