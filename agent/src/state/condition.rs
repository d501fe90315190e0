//! How a registry fares, for those who act on it: the verdict, or that this node could not tell.
//! Exit statuses and the first line of `check` come from here.

use regprobe_probes::{Finding, Reason, Severity, Verdict};

use super::registry::{RegistryState, Round};

/// Worst last; a certain failure outweighs what could not be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    /// A pull would work.
    Ok,
    /// It would work, but something is wrong or slow.
    Degraded,
    /// No round is over, or this node's own fault came before any answer.
    Unknown,
    /// A pull would fail.
    Failing,
}

impl Condition {
    /// Of one registry after its last round.
    pub(crate) fn of(state: &RegistryState) -> Self {
        state.round.as_deref().map_or(Self::Unknown, Self::after)
    }

    /// After this round.
    pub(crate) fn after(round: &Round) -> Self {
        let certain = |finding: &Finding| {
            finding.severity == Severity::Critical && finding.reason != Some(Reason::Local)
        };
        if round.diagnosis.findings.iter().any(certain) {
            return Self::Failing;
        }
        match round.diagnosis.verdict() {
            _ if is_local(round) => Self::Unknown,
            Verdict::Ok => Self::Ok,
            Verdict::Degraded => Self::Degraded,
            Verdict::Failing => Self::Failing,
        }
    }

    /// In one word.
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
            Self::Unknown => "this node could not tell whether a pull through it would work",
            Self::Failing => "a pull through it from this node would fail now",
        }
    }
}

fn is_local(round: &Round) -> bool {
    let endpoints = round.outcome.endpoints.iter();
    let mut failures = endpoints.filter_map(|seen| seen.failure());
    failures.any(|(_, fault)| fault.reason() == Reason::Local)
}

#[cfg(test)]
mod tests {
    use regprobe_probes::{Errno, IoFault, ResolveFault};

    use super::*;
    use crate::state::story;

    #[test]
    fn a_fault_of_this_node_is_no_verdict_and_a_certain_failure_outweighs_it() {
        let mut state = RegistryState::clone(&story::failing());
        assert_eq!(Condition::of(&state), Condition::Failing);
        let round = state.round_mut();
        round.diagnosis.findings[0].reason = Some(Reason::Local);
        assert_eq!(Condition::of(&state), Condition::Failing);

        let local = ResolveFault::Io(IoFault::Local(Errno(24)));
        let round = state.round_mut();
        let lookup = &mut round.outcome.endpoints[1].lookups[0];
        (lookup.a, lookup.aaaa) = (Err(local.clone()), Err(local));
        assert_eq!(Condition::of(&state), Condition::Unknown);
        assert!(Condition::Failing > Condition::Unknown);

        state.round = None;
        assert_eq!(Condition::of(&state), Condition::Unknown);
    }
}
