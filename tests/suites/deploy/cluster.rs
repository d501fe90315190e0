//! The chart in a real cluster of one node, installed by the real Helm from what `deploy/release` makes. The
//! cluster's containerd pulls from a private registry, whose faults kubelet, the agent and Prometheus see at the
//! same time.

mod ground;
mod story;

use std::time::Duration;

use regprobe_harness::need::Need;
use regprobe_harness::suite::{Suite, test};

/// The first test may have to build the binary.
const LIMIT: Duration = Duration::from_secs(40 * 60);

pub(crate) fn suite() -> Suite {
    let tests = [test(
        "event, verdict, finding and alert tell one story",
        story::faults_and_repairs,
    )];
    let needs = [
        Need::Root,
        Need::IPROUTE,
        Need::NFTABLES,
        Need::RUNC,
        Need::ETCD,
        Need::CNI,
        Need::Kubernetes,
        Need::HELM,
        Need::PROMETHEUS,
    ];
    // They measure time, and a machine has two processors.
    Suite::of(tests.map(|test| test.needs(needs).within(LIMIT))).at_a_time(1)
}
