//! The alerts: promtool's checks, the runbooks they link to, and, with a real Prometheus and a real
//! Alertmanager, the single notification that a drift causes.

use std::time::Duration;

use regprobe_harness::need::Need;
use regprobe_harness::suite::{Suite, test};

mod azure;
mod bicep;
mod documents;
mod findings;
mod inhibitions;
mod notifications;
mod promtool;
mod rules;
mod runbooks;
pub(crate) mod shortened;

/// For all of promtool's tests: half a minute of work, beside others.
const PROMTOOL: Duration = Duration::from_secs(400);

pub(crate) fn suite() -> Suite {
    let promtool = [
        test("promtool accepts the rules", promtool::rules_are_rules),
        test("promtool's tests pass", promtool::tests_pass).within(PROMTOOL),
        test(
            "every finding raises exactly one alert",
            findings::raise_one_alert_each,
        ),
        test(
            "a finding on many nodes raises one alert",
            findings::many_nodes_raise_one_alert,
        ),
    ];
    let azure = [
        test(
            "Azure: the template is that of the rules",
            azure::template_is_generated,
        ),
        test("Azure: the resources are valid", azure::resources_are_valid),
        test(
            "Azure: the Bicep file makes what the template makes",
            bicep::makes_what_the_template_makes,
        )
        .needs([Need::PYTHON]),
        test("Azure: promtool's tests pass", azure::tests_pass)
            .needs([Need::PROMETHEUS])
            .within(PROMTOOL),
    ];
    let promtool = promtool.map(|test| test.needs([Need::PROMETHEUS]));
    let notifications = [
        test(
            "a drift causes one notification",
            notifications::of_one_node,
        ),
        test(
            "a drift on 50 nodes causes one notification",
            notifications::of_fifty_nodes,
        ),
        test(
            "50 nodes that cannot pull because of a drift cause one page",
            notifications::of_fifty_nodes_that_cannot_pull,
        ),
    ];
    let notifications =
        notifications.map(|test| test.needs([Need::PROMETHEUS, Need::ALERTMANAGER]));
    let inhibitions = test(
        "alerts that follow from a more severe one are inhibited",
        inhibitions::followers_are_inhibited,
    );
    let inhibitions = inhibitions.needs([Need::ALERTMANAGER]);
    let others = [
        test(
            "every alert has a test in which it fires and one in which it does not",
            promtool::every_alert_is_tested,
        ),
        test(
            "everyday events are tested with every metric that alerts read",
            promtool::every_day_is_quiet,
        ),
        test(
            "every alert links to a runbook, and every runbook has a link",
            runbooks::alerts_lead_to_pages,
        ),
        test("every runbook is complete", runbooks::pages_are_whole),
        test("every silence matches its alerts", runbooks::silences_match),
        test(
            "the README lists alerts and rules",
            documents::readme_lists_the_rules,
        ),
        test("every link has a target", documents::links_lead_somewhere),
    ];
    // The notification tests spend most of their time waiting.
    let all = notifications.into_iter().chain([inhibitions]);
    let all = all.chain(promtool).chain(azure).chain(others);
    Suite::of(all).at_a_time(4)
}
