//! The chart in a real cluster of one node, installed by the real Helm from what `deploy/release` makes. The
//! cluster's containerd pulls from a private registry, whose faults kubelet, the agent and Prometheus see at the
//! same time.

mod ground;
mod lifecycle;
mod signals;
mod story;

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
            "node condition and Events follow, with rights for one node",
            signals::follow,
        ),
        test(
            "agents live through upgrades, bad configurations and restarts",
            lifecycle::changes,
        ),
    ];
    let needs = [
        Need::Root,
        Need::IPROUTE,
        Need::NFTABLES,
        Need::RUNC,
        Need::ETCD,
        Need::CNI,
        Need::Kubernetes,
        Need::HELM,
        Need::CURL,
        Need::PROMETHEUS,
    ];
    // They measure time, and a machine has two processors.
    Suite::of(tests.map(|test| test.needs(needs).within(LIMIT))).at_a_time(1)
}
