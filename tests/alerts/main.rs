//! What wakes somebody: the alerts by promtool, the runbooks they lead to, and, with a real Prometheus
//! and a real Alertmanager, the one notification that a drift becomes.

mod documents;
mod findings;
#[path = "../agent/ground.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests of the agent, which use more of it"
)]
mod ground;
mod inhibitions;
mod notifications;
#[path = "../agent/process.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests of the agent, which use more of it"
)]
mod process;
mod promtool;
mod rules;
mod runbooks;
#[path = "../agent/scrape.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests of the agent, which use more of it"
)]
mod scrape;
mod shortened;

use std::process::ExitCode;

use regprobe_lab::suite::{self, Need, test};

fn main() -> ExitCode {
    let promtool = [
        test("promtool takes the rules", promtool::rules_are_rules),
        test("promtool's tests pass", promtool::tests_pass),
        test(
            "whatever is found is told by one alert",
            findings::are_one_alert_each,
        ),
        test(
            "what many nodes find is told as one",
            findings::many_are_told_as_one,
        ),
    ];
    let promtool = promtool.map(|test| test.needs([Need::PROMETHEUS]));
    let notifications = [
        test("a drift is one notification", notifications::of_one_node),
        test(
            "the drift of 50 nodes is one notification",
            notifications::of_fifty_nodes,
        ),
        test(
            "50 nodes that cannot pull for a drift are one page",
            notifications::of_fifty_nodes_that_cannot_pull,
        ),
    ];
    let notifications =
        notifications.map(|test| test.needs([Need::PROMETHEUS, Need::ALERTMANAGER]));
    let inhibitions = test(
        "what follows from something worse is not told beside it",
        inhibitions::what_follows_is_not_told,
    );
    let inhibitions = inhibitions.needs([Need::ALERTMANAGER]);
    let others = [
        test(
            "every alert has a test in which it fires and one in which it does not",
            promtool::every_alert_is_tested,
        ),
        test(
            "what happens every day is tested with all that alerts read",
            promtool::every_day_is_quiet,
        ),
        test(
            "every alert leads to a runbook, and every runbook is led to",
            runbooks::alerts_lead_to_pages,
        ),
        test("every runbook is whole", runbooks::pages_are_whole),
        test("every silence matches its alerts", runbooks::silences_match),
        test(
            "the README lists alerts and rules",
            documents::readme_lists_the_rules,
        ),
        test(
            "every link leads somewhere",
            documents::links_lead_somewhere,
        ),
    ];
    // The notifications wait most of the time.
    let all = notifications.into_iter().chain([inhibitions]);
    let all = all.chain(promtool).chain(others);
    suite::run_many_at_a_time(4, all)
}
