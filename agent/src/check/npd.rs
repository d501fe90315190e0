//! The line for node-problem-detector's custom plugin: at most 80 bytes, the worst first. The plugin
//! takes exit status 0 as OK, 1 as NonOK and anything else as unknown, which matches `check`.

use std::time::Duration;

use crate::state::{RegistryState, Snapshot, condition::Condition};

/// The default length to which node-problem-detector cuts a message (`max_output_length`).
const LIMIT: usize = 80;
/// The default timeout of a stage: a plugin has 5 s for everything.
pub(super) const STAGE_TIMEOUT: Duration = Duration::from_secs(2);
/// How much longer than the timeout of a stage everything may take; what is not over then is unknown.
pub(super) const GRACE: Duration = Duration::from_millis(1700);

/// The line for all registries.
pub(super) fn line(snapshot: &Snapshot) -> String {
    let mut worst: Vec<_> = snapshot
        .registries
        .iter()
        .map(|state| (Condition::of(state), &**state))
        .filter(|(condition, _)| *condition != Condition::Ok)
        .collect();
    worst.sort_by_key(|(condition, _)| std::cmp::Reverse(*condition));
    let items: Vec<_> = worst
        .into_iter()
        .map(|(condition, state)| item(condition, state))
        .collect();
    match (items.as_slice(), snapshot.registries.as_slice()) {
        ([], [only]) => finished(format!("{} ok", only.planned.name)),
        ([], all) => finished(format!("{} registries ok", all.len())),
        (items, _) => finished(joined(items)),
    }
}

/// The line that says why no registry was checked.
pub(super) fn no_check(error: &anyhow::Error) -> String {
    finished(format!("unknown: {error:#}"))
}

fn item(condition: Condition, state: &RegistryState) -> String {
    let name = &state.planned.name;
    let findings = state
        .round
        .iter()
        .flat_map(|round| &round.diagnosis.findings);
    let mut findings = findings.filter(|_| condition != Condition::Unknown);
    match findings.next() {
        Some(finding) => {
            let reason = finding.reason.map_or("", |reason| reason.as_str());
            let role = finding.endpoint.role.as_str();
            format!("{name} {} {role} {reason}", finding.code)
                .trim_end()
                .to_owned()
        }
        None => format!("{name} {}", condition.as_str()),
    }
}

/// As many items as fit, and how many more there are.
fn joined(items: &[String]) -> String {
    let with_rest = |shown: usize| {
        let rest = items.len() - shown;
        let text = items[..shown].join(", ");
        if rest == 0 {
            text
        } else {
            format!("{text}, +{rest} more")
        }
    };
    let shown = (1..=items.len())
        .rev()
        .find(|shown| with_rest(*shown).len() <= LIMIT);
    with_rest(shown.unwrap_or(1))
}

/// One line without control characters, cut if it is too long.
fn finished(text: String) -> String {
    let mut text = text.replace(char::is_control, " ");
    text.truncate(text.floor_char_boundary(LIMIT));
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::story;

    #[test]
    fn the_worst_comes_first_and_healthy_ones_are_left_out() {
        let registries = vec![story::healthy(), story::drift(), story::failing()];
        assert_eq!(
            line(&Snapshot::once(registries)),
            "contoso PrivateLinkRecordMissing data nxdomain, drift NameserversDisagree login\n"
        );
    }

    #[test]
    fn healthy_registries() {
        let registries = vec![story::healthy()];
        assert_eq!(line(&Snapshot::once(registries)), "contoso.azurecr.io ok\n");
        let registries = vec![story::healthy(), story::healthy()];
        assert_eq!(line(&Snapshot::once(registries)), "2 registries ok\n");
    }

    #[test]
    fn items_that_do_not_fit_are_counted() {
        let registries = vec![story::failing(); 12];
        assert_eq!(
            line(&Snapshot::once(registries)),
            "contoso PrivateLinkRecordMissing data nxdomain, +11 more\n"
        );
    }

    #[test]
    fn an_error_is_one_line_of_80_bytes() {
        let error = anyhow::anyhow!("{}\n{}", "Grüße ".repeat(9), "ü".repeat(80));
        let line = no_check(&error);
        assert!(
            line.len() <= LIMIT + 1 && line.lines().count() == 1,
            "{line}"
        );
    }
}
