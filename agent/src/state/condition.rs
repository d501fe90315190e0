//! The condition of a registry and of its endpoints: the verdict, or that there is none yet. Exit statuses and
//! the first line of `check` come from here.

use std::num::NonZeroU32;

use regprobe_probes::{Depth, EndpointOutcome, Reason, Role, Severity, Stage, Verdict};

use super::registry::{RegistryState, Round};

/// The worst is last. A certain failure outweighs an unknown one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    /// A pull would work.
    Ok,
    /// It would work, but something is wrong or slow.
    Degraded,
    /// No round has ended, or what it saw cannot tell.
    Unknown,
    /// A pull would fail.
    Failing,
}

impl Condition {
    /// The condition of a registry after its last round.
    pub(crate) fn of(state: &RegistryState) -> Self {
        state.round.as_deref().map_or(Self::Unknown, Self::after)
    }

    /// The condition after this round.
    pub(crate) fn after(round: &Round) -> Self {
        match round.diagnosis.verdict() {
            Verdict::Ok => Self::Ok,
            Verdict::Degraded => Self::Degraded,
            Verdict::Unknown => Self::Unknown,
            Verdict::Failing => Self::Failing,
        }
    }

    /// The condition with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let all = [Self::Ok, Self::Degraded, Self::Unknown, Self::Failing];
        all.into_iter().find(|one| one.as_str() == name)
    }

    /// The name of the condition.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Unknown => "unknown",
            Self::Failing => "failing",
        }
    }

    /// What it means for a pull.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "a pull through it from this node would work now",
            Self::Degraded => {
                "a pull through it from this node would work, but something is wrong or slow"
            }
            Self::Unknown => "this node cannot tell whether a pull through it would work",
            Self::Failing => "a pull through it from this node would fail now",
        }
    }
}

/// The condition of one endpoint after one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndpointCondition {
    pub condition: Condition,
    /// The stage at which a pull would have failed, and why.
    pub failure: Option<(Stage, Reason)>,
    /// Microseconds that lookup, dial and handshake took on the pull path.
    pub micros: Option<NonZeroU32>,
}

impl EndpointCondition {
    /// The condition of the endpoint of `seen`, which is part of this round.
    pub(crate) fn after(round: &Round, seen: &EndpointOutcome) -> Self {
        let failure = seen.failure().map(|(stage, fault)| (stage, fault.reason()));
        let asked = seen.endpoint.role != Role::Storage || round.depth == Depth::Image;
        let findings = round.diagnosis.findings.iter();
        let here = findings.filter(|finding| finding.concerns(&seen.endpoint));
        Self {
            condition: match (failure, here.map(|finding| finding.severity).max()) {
                (Some((_, Reason::Local)), _) => Condition::Unknown,
                (Some(_), _) | (None, Some(Severity::Critical)) => Condition::Failing,
                (None, Some(Severity::Warning)) => Condition::Degraded,
                (None, Some(Severity::Info) | None) => Condition::Ok,
            },
            failure,
            micros: asked
                .then(|| seen.time_to_connection())
                .flatten()
                .and_then(|took| NonZeroU32::new(took.as_micros().try_into().ok()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::story;

    #[test]
    fn what_was_not_seen_gives_no_verdict_and_a_certain_failure_outweighs_it() {
        let mut state = RegistryState::clone(&story::failing());
        let diagnosis = &mut state.round_mut().diagnosis;
        diagnosis.unseen = Some("a:v1: the round is over".to_owned());
        assert_eq!(Condition::of(&state), Condition::Failing);
        state.round_mut().diagnosis.findings[0].severity = Severity::Warning;
        assert_eq!(Condition::of(&state), Condition::Unknown);
        assert!(Condition::Failing > Condition::Unknown);

        state.round = None;
        assert_eq!(Condition::of(&state), Condition::Unknown);
    }
}
