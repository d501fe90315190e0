//! What is to be said, and when. Pure. What a registry is counts once it has been so for a while, so that a
//! registry that comes and goes does not let a node come and go.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    printable::printable,
    state::{RegistryState, Snapshot, condition::Condition},
};

/// How long it must have been so. The first time that a registry works counts at once.
const HOLD: Duration = Duration::from_secs(30);
/// The longest text; a condition is read in a table.
const MAX_TEXT: usize = 1024;

/// What is known about each registry of the configuration.
#[derive(Default)]
pub(super) struct Signals {
    /// In the order of the configuration.
    order: Vec<Arc<str>>,
    registries: HashMap<Arc<str>, Watched>,
}

/// One registry.
struct Watched {
    counts: Option<Pulls>,
    seen: Pulls,
    /// Since when it is seen so.
    since: Timestamp,
    /// Whether the last turn was a failure.
    turned: bool,
    /// The code and the message of its worst finding when it failed last.
    worst: Option<(&'static str, String)>,
}

/// Whether pulls work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pulls {
    Work,
    Fail,
    Unknown,
}

/// A registry started or stopped failing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub is_failing: bool,
    pub text: String,
}

/// The condition of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodeCondition {
    /// `True`, `False` or `Unknown`
    pub status: &'static str,
    pub reason: &'static str,
    pub message: String,
}

impl Signals {
    /// Takes the state as it is now, and returns which registries have turned.
    pub(super) fn look(&mut self, snapshot: &Snapshot, now: Timestamp) -> Vec<Turn> {
        let states = &snapshot.registries;
        self.order = states
            .iter()
            .map(|state| state.planned.name.clone())
            .collect();
        self.registries.retain(|name, _| self.order.contains(name));
        let turns = states.iter().filter_map(|state| {
            let name = state.planned.name.clone();
            let watched = self.registries.entry(name);
            watched
                .or_insert_with(|| Watched::new(now))
                .look(state, now)
        });
        turns.collect()
    }

    /// The condition; `None` until something counts about every registry, unless one fails.
    pub(super) fn condition(&self) -> Option<NodeCondition> {
        let registries = || {
            self.order
                .iter()
                .filter_map(|name| Some((name, self.registries.get(name)?)))
        };
        let that = |pulls| registries().filter(move |(_, watched)| watched.counts == Some(pulls));
        if let Some((name, watched)) = that(Pulls::Fail).next() {
            let more = match that(Pulls::Fail).count() - 1 {
                0 => String::new(),
                1 => "; 1 more registry fails".to_owned(),
                more => format!("; {more} more registries fail"),
            };
            let (reason, _) = watched.worst.as_ref()?;
            return Some(NodeCondition {
                status: "False",
                reason,
                message: text(format!("{}{more}", watched.text(name))),
            });
        }
        if registries().any(|(_, watched)| watched.counts.is_none()) || self.order.is_empty() {
            return None;
        }
        let unknown: Vec<_> = that(Pulls::Unknown).map(|(name, _)| &**name).collect();
        Some(match unknown.is_empty() {
            true => NodeCondition {
                status: "True",
                reason: "NoRegistryFailing",
                message: "No registry is failing.".to_owned(),
            },
            false => NodeCondition {
                status: "Unknown",
                reason: "RegistryUnknown",
                message: text(format!(
                    "This node cannot tell whether a pull would work: {}",
                    unknown.join(", ")
                )),
            },
        })
    }
}

impl Watched {
    fn new(now: Timestamp) -> Self {
        Self {
            counts: None,
            seen: Pulls::Unknown,
            since: now,
            turned: false,
            worst: None,
        }
    }

    fn look(&mut self, state: &RegistryState, now: Timestamp) -> Option<Turn> {
        let seen = match Condition::of(state) {
            Condition::Ok | Condition::Degraded => Pulls::Work,
            Condition::Unknown => Pulls::Unknown,
            Condition::Failing => Pulls::Fail,
        };
        if seen != self.seen {
            self.seen = seen;
            self.since = now;
        }
        let findings = state
            .round
            .iter()
            .flat_map(|round| &round.diagnosis.findings);
        if let (Pulls::Fail, Some(worst)) = (seen, findings.into_iter().next()) {
            self.worst = Some((worst.code.as_str(), worst.message.clone()));
        }
        let held = now.duration_since(self.since).unsigned_abs();
        if held < HOLD && (self.counts, seen) != (None, Pulls::Work) {
            return None;
        }
        self.counts = Some(seen);
        let is_failing = match seen {
            Pulls::Fail => true,
            Pulls::Work => false,
            Pulls::Unknown => self.turned,
        };
        if is_failing == self.turned {
            return None;
        }
        self.turned = is_failing;
        let name = &state.planned.name;
        Some(Turn {
            is_failing,
            text: text(match is_failing {
                true => self.text(name),
                false => format!("{name}: a pull through it from this node would work again"),
            }),
        })
    }

    fn text(&self, name: &str) -> String {
        match &self.worst {
            Some((code, message)) => format!("{name}: {code}: {message}"),
            None => format!("{name}: a pull through it from this node would fail"),
        }
    }
}

/// Of strangers, in part; one line, and not too long.
fn text(text: String) -> String {
    let mut text = printable(&text).into_owned();
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::story;

    /// From which second on, and whether it is failing.
    type Turns = Vec<(i64, bool)>;
    /// From which second on, and the status.
    type Conditions = Vec<(i64, &'static str)>;

    /// What is said when `states` hold one after the other, each from its second on.
    fn said(states: &[(i64, Vec<Arc<RegistryState>>)], end: i64) -> (Turns, Conditions) {
        let mut signals = Signals::default();
        let (mut turns, mut conditions) = (Vec::new(), Vec::new());
        for second in 0..end {
            let holding = states
                .iter()
                .rev()
                .find(|(from, _)| *from <= second)
                .unwrap();
            let snapshot = Snapshot::once(holding.1.clone());
            let now = Timestamp::from_second(1_000_000 + second).unwrap();
            let turned = signals.look(&snapshot, now);
            turns.extend(turned.iter().map(|turn| (second, turn.is_failing)));
            let status = signals.condition().map_or("", |condition| condition.status);
            if conditions.last().map_or("", |(_, last)| *last) != status {
                conditions.push((second, status));
            }
        }
        (turns, conditions)
    }

    fn unchecked() -> Arc<RegistryState> {
        Arc::new(RegistryState::new(story::failing().planned.clone()))
    }

    /// The registry of `failing` where it works.
    fn repaired() -> Arc<RegistryState> {
        let mut state = RegistryState::clone(&story::failing());
        let healthy = story::healthy().round.clone().unwrap();
        *state.round_mut() = (*healthy).clone();
        Arc::new(state)
    }

    #[test]
    fn what_works_counts_at_once_and_what_fails_after_a_while() {
        let states = [
            (0, vec![unchecked()]),
            (3, vec![repaired()]),
            (10, vec![story::failing()]),
            (100, vec![repaired()]),
        ];
        let (turns, conditions) = said(&states, 200);
        assert_eq!(turns, [(40, true), (130, false)]);
        assert_eq!(conditions, [(3, "True"), (40, "False"), (130, "True")]);
    }

    #[test]
    fn what_comes_and_goes_changes_nothing() {
        let flapping = |n: i64| {
            (
                n * 20,
                vec![if n % 2 == 0 {
                    repaired()
                } else {
                    story::failing()
                }],
            )
        };
        let states: Vec<_> = (0..10).map(flapping).collect();
        let (turns, conditions) = said(&states, 200);
        assert_eq!(turns, []);
        assert_eq!(conditions, [(0, "True")]);
    }

    #[test]
    fn after_a_start_nothing_is_said_until_something_is_known() {
        let (turns, conditions) = said(&[(0, vec![story::healthy(), unchecked()])], 29);
        assert_eq!((turns, conditions), (vec![], vec![]));
        let (_, conditions) = said(&[(0, vec![story::healthy(), unchecked()])], 100);
        assert_eq!(conditions, [(30, "Unknown")]);
        let (turns, conditions) = said(&[(0, vec![story::failing(), story::healthy()])], 100);
        assert_eq!(turns, [(30, true)]);
        assert_eq!(conditions, [(30, "False")]);
    }

    #[test]
    fn a_failure_that_can_no_longer_be_told_is_no_repair() {
        let states = [
            (0, vec![story::failing()]),
            (50, vec![unchecked()]),
            (100, vec![story::failing()]),
        ];
        let (turns, conditions) = said(&states, 200);
        assert_eq!(turns, [(30, true)]);
        assert_eq!(conditions, [(30, "False"), (80, "Unknown"), (130, "False")]);
    }

    #[test]
    fn the_message_names_the_worst_finding() {
        let mut signals = Signals::default();
        let snapshot = Snapshot::once(vec![
            story::healthy(),
            story::failing(),
            story::long_names(),
        ]);
        for second in [0, 60] {
            signals.look(&snapshot, Timestamp::from_second(second).unwrap());
        }
        let condition = signals.condition().unwrap();
        assert_eq!(condition.reason, "PrivateLinkRecordMissing");
        assert!(
            condition
                .message
                .starts_with("contoso: PrivateLinkRecordMissing: The private zone")
                && condition.message.ends_with("; 1 more registry fails"),
            "{condition:?}"
        );
    }
}
