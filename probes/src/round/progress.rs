//! Reports each lookup and each stage of a round as it ends, for someone who waits for it. The outcome
//! has all of it again, and more.

use std::time::Duration;

use crate::{
    outcome::StageOutcome,
    stages::resolve::Lookup,
    words::{
        endpoint::Endpoint,
        reason::{Reason, Stage},
    },
};

/// A stage that has just ended.
#[derive(Clone, Copy, Debug)]
pub struct StageEnd<'a> {
    /// The endpoint.
    pub endpoint: &'a Endpoint,
    /// The stage.
    pub stage: Stage,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, if it did.
    pub failed: Option<Reason>,
}

/// Called for every stage that ends. The round waits for it.
pub type OnStageEnd<'a> = &'a (dyn Fn(StageEnd<'_>) + Sync);

impl<'a> StageEnd<'a> {
    pub(crate) fn lookup(endpoint: &'a Endpoint, lookup: &Lookup) -> Self {
        Self {
            endpoint,
            stage: Stage::Resolve,
            took: lookup.took(),
            failed: lookup.fault().map(|fault| fault.reason()),
        }
    }

    pub(crate) fn stage(endpoint: &'a Endpoint, outcome: &StageOutcome) -> Self {
        Self {
            endpoint,
            stage: outcome.stage,
            took: outcome.took,
            failed: outcome.result.as_ref().err().map(|fault| fault.reason()),
        }
    }
}
