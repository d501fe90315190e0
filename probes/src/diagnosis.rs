//! What follows from an outcome. Pure: the same outcome always gives the same diagnosis.

use crate::{endpoint::Origin, outcome::Outcome};

/// How a pull through a registry would fare from this node now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It would work.
    Ok,
    /// It would work, but something is wrong or slow.
    Degraded,
    /// It would fail.
    Failing,
}

impl Verdict {
    /// As the status document writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
        }
    }
}

/// Failing if any endpoint is down; degraded if a nameserver of the node or an address beside the
/// path is.
pub fn verdict(outcome: &Outcome) -> Verdict {
    let mut endpoints = outcome.endpoints.iter();
    if endpoints.any(|seen| !seen.is_up()) {
        return Verdict::Failing;
    }
    let blemished = outcome.endpoints.iter().any(|seen| {
        let mut asked = seen
            .lookups
            .iter()
            .filter(|l| l.nameserver.origin == Origin::Node);
        asked.any(|lookup| {
            lookup
                .fault()
                .is_some_and(|fault| fault.negative().is_none())
        }) || seen
            .addresses
            .iter()
            .any(|address| address.failure().is_some())
    });
    if blemished {
        Verdict::Degraded
    } else {
        Verdict::Ok
    }
}
