//! The changes of one round as text for people: condition, findings that appeared or cleared, and what
//! nameservers answer.

use anstyle::{AnsiColor, Style};
use regprobe_probes::{Endpoint, Finding, Lookup};

use crate::{
    check::report,
    out::screen::{Layout, PLAIN, Screen},
    state::RegistryState,
    state::changes::{self, Change, said},
};

const GREEN: Style = AnsiColor::Green.on_default();

/// The changes of one registry, each on its own lines; empty if nothing changed.
pub(super) fn text(before: &RegistryState, now: &RegistryState, screen: Screen) -> String {
    let mut page = Layout::new(screen);
    let now = now.round.as_deref();
    let changes = now.map(|now| changes::between(before.round.as_deref(), now));
    for change in changes.into_iter().flatten() {
        match change {
            Change::Condition { before, now } => {
                page.line(2, 4)
                    .cell(0, PLAIN, &before.as_str().to_uppercase())
                    .cell(1, PLAIN, "->")
                    .cell(
                        1,
                        report::condition_style(now),
                        &now.as_str().to_uppercase(),
                    )
                    .words(2, now.meaning());
            }
            Change::Found(finding) => found(&mut page, finding),
            Change::Cleared(finding) => {
                page.line(2, 4)
                    .cell(0, GREEN, "cleared:")
                    .cell(1, PLAIN, finding.code.as_str())
                    .cell(2, PLAIN, &report::place(&finding.endpoint));
            }
            Change::Answer {
                endpoint,
                before,
                now,
            } => answer(&mut page, endpoint, before, now),
            // The condition and the findings say the same.
            Change::Endpoint(_) | Change::Left(_) | Change::Verdict(_) => {}
            Change::NotAsked { .. } | Change::Addresses(_) => {}
        }
    }
    page.into_text()
}

fn found(page: &mut Layout, finding: &Finding) {
    let severity = finding.severity.as_str().to_uppercase();
    page.line(2, 4)
        .cell(0, report::severity_style(finding.severity), &severity)
        .cell(1, PLAIN, finding.code.as_str())
        .cell(2, PLAIN, &report::place(&finding.endpoint));
    page.line(4, 4).words(0, &finding.message);
    page.line(4, 8)
        .cell(0, PLAIN, "do:")
        .words(1, &finding.remedy);
    page.line(4, 8)
        .cell(0, PLAIN, "more:")
        .words(1, &format!("regprobe explain {}", finding.code));
}

fn answer(page: &mut Layout, endpoint: &Endpoint, before: &Lookup, now: &Lookup) {
    let place = report::place(endpoint);
    let label = format!("{place} at nameserver {}:", now.nameserver);
    let text = format!("{} -> {}", words(before), words(now));
    page.line(2, 4).words(0, &label).words(1, &text);
}

fn words(lookup: &Lookup) -> String {
    let (addresses, reason) = said(lookup);
    let addresses = addresses.iter().map(ToString::to_string);
    let reason = reason.map(|reason| reason.as_str().to_owned());
    let words: Vec<_> = addresses.chain(reason).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::story;

    fn changes(before: &RegistryState, now: &RegistryState) -> String {
        let screen = Screen {
            width: 80,
            colour: false,
        };
        text(before, now, screen)
    }

    #[test]
    fn what_stays_is_not_printed() {
        for story in [story::healthy, story::drift, story::failing] {
            let mut later = RegistryState::clone(&story());
            let round = later.round_mut();
            round.outcome.endpoints[0].lookups[0].a_took *= 2;
            round.diagnosis.findings.reverse();
            assert_eq!(changes(&story(), &later), "");
        }
    }

    #[test]
    fn findings_that_appear_and_clear_are_printed() {
        let mut before = RegistryState::clone(&story::drift());
        let round = before.round_mut();
        round.outcome.endpoints[0].lookups.swap_remove(0);
        round.diagnosis.findings.clear();
        let now = story::drift();
        assert_eq!(
            changes(&before, &now),
            "  OK -> DEGRADED  a pull through it from this node would work, but something is\n    \
             wrong or slow\n  \
             WARNING NameserversDisagree  login drift.azurecr.io:443\n    \
             The node's nameservers give different addresses for drift.azurecr.io.\n    \
             do: Link the zone privatelink.azurecr.io to the network of 10.0.0.11.\n    \
             more: regprobe explain NameserversDisagree\n  \
             INFO CredentialsRequired  login drift.azurecr.io:443\n    \
             An anonymous token was denied, as on most registries.\n    \
             do: Nothing, if pods bring credentials.\n    \
             more: regprobe explain CredentialsRequired\n"
        );
        assert_eq!(
            changes(&now, &before),
            "  DEGRADED -> OK  a pull through it from this node would work now\n  \
             cleared: NameserversDisagree  login drift.azurecr.io:443\n  \
             cleared: CredentialsRequired  login drift.azurecr.io:443\n"
        );
    }

    #[test]
    fn another_answer_is_printed_with_the_one_before() {
        let before = story::drift();
        let mut now = RegistryState::clone(&before);
        let lookups = &mut now.round_mut().outcome.endpoints[0].lookups;
        let failed = story::failing().round.clone().unwrap();
        lookups[1].a = lookups[0].a.clone();
        lookups[0].a = failed.outcome.endpoints[1].lookups[0].a.clone();
        assert_eq!(
            changes(&before, &now),
            "  login drift.azurecr.io:443 at nameserver 10.0.0.10:53: 10.240.1.5 -> nxdomain\n  \
             login drift.azurecr.io:443 at nameserver 10.0.0.11:53: 203.0.113.12 ->\n    \
             10.240.1.5\n"
        );
    }
}
