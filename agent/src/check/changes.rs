//! What is other than it was a round ago, for a person: verdict, findings that came or went, and what
//! nameservers answer. Times are no news, nor is a finding that holds on.

use std::collections::BTreeSet;

use anstyle::{AnsiColor, Style};
use regprobe_probes::{EndpointOutcome, Finding, Lookup};

use crate::{
    check::report,
    out::{
        change_log,
        screen::{Layout, PLAIN, Screen},
    },
    state::{RegistryState, Round, condition::Condition},
};

const GREEN: Style = AnsiColor::Green.on_default();

/// The changes of one registry, each on lines of its own; empty where nothing changed.
pub(super) fn text(before: &RegistryState, now: &RegistryState, screen: Screen) -> String {
    let mut page = Layout::new(screen);
    let (was, is) = (Condition::of(before), Condition::of(now));
    if was != is {
        let style = report::condition_style(is);
        page.line(2, 4)
            .cell(0, PLAIN, &was.as_str().to_uppercase())
            .cell(1, PLAIN, "->")
            .cell(1, style, &is.as_str().to_uppercase())
            .words(2, is.meaning());
    }
    if let (Some(was), Some(is)) = (&before.round, &now.round) {
        let (earlier, findings) = (&was.diagnosis.findings, &is.diagnosis.findings);
        for finding in change_log::missing_from(earlier, findings) {
            came(&mut page, finding);
        }
        for finding in change_log::missing_from(findings, earlier) {
            let place = report::place(&finding.endpoint);
            page.line(2, 4)
                .cell(0, GREEN, "cleared:")
                .cell(1, PLAIN, finding.code.as_str())
                .cell(2, PLAIN, &place);
        }
        answers(&mut page, was, is);
    }
    page.into_text()
}

fn came(page: &mut Layout, finding: &Finding) {
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

/// Answers are compared as sets: nameservers may turn their order at will.
fn answers(page: &mut Layout, was: &Round, is: &Round) {
    for seen in &is.outcome.endpoints {
        let Some(earlier) = was.outcome.of(&seen.endpoint) else {
            continue;
        };
        for answer in seen.answers() {
            let mut those = earlier.answers();
            let Some(before) = those.find(|other| other.nameserver == answer.nameserver) else {
                continue;
            };
            if said(before) != said(answer) {
                let label = format!("{} at nameserver {}:", place(seen), answer.nameserver);
                let text = format!("{} -> {}", told(before), told(answer));
                page.line(2, 4).words(0, &label).words(1, &text);
            }
        }
    }
}

fn place(seen: &EndpointOutcome) -> String {
    report::place(&seen.endpoint)
}

fn said(lookup: &Lookup) -> (BTreeSet<std::net::IpAddr>, Option<regprobe_probes::Reason>) {
    let reason = lookup.fault().map(|fault| fault.reason());
    (lookup.addresses().collect(), reason)
}

fn told(lookup: &Lookup) -> String {
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
    fn what_stays_is_no_news() {
        for story in [story::healthy, story::drift, story::failing] {
            let mut later = RegistryState::clone(&story());
            let round = later.round_mut();
            round.outcome.endpoints[0].lookups[0].took *= 2;
            round.diagnosis.findings.reverse();
            assert_eq!(changes(&story(), &later), "");
        }
    }

    #[test]
    fn what_comes_and_what_goes_is_told() {
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
    fn another_answer_is_told_with_the_one_before() {
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
