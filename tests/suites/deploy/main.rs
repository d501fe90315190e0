//! What operators install with the binary: alerts, dashboards, the chart, the plugin for
//! node-problem-detector, the files of a release. And what they read: the runbooks.

mod alerts;
mod chart;
mod cluster;
mod dashboards;
mod npd;
mod release;
mod runbooks;

use std::process::ExitCode;

use regprobe_harness::suite;

fn main() -> ExitCode {
    suite::main(
        &[
            ("alerts", alerts::suite),
            ("chart", chart::suite),
            ("dashboards", dashboards::suite),
            ("npd", npd::suite),
            ("release", release::suite),
            ("runbooks", runbooks::suite),
        ],
        &[
            ("cluster", cluster::suite),
            ("pictures", dashboards::pictures::suite),
        ],
    )
}
