//! What a round tells while it goes on: each lookup and each stage as it ends, for whoever shows a
//! round to somebody who waits for it. The outcome has all of it again, and more.

use std::time::Duration;

use crate::{
    outcome::StageOutcome,
    stages::resolve::Lookup,
    words::{
        endpoint::Endpoint,
        reason::{Reason, Stage},
    },
};

/// A stage that ended just now.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// At which endpoint.
    pub endpoint: &'a Endpoint,
    /// Which.
    pub stage: Stage,
    /// What it took.
    pub took: Duration,
    /// Why it failed, if it did.
    pub failed: Option<Reason>,
}

/// Is told of every stage that ends. The round waits for it meanwhile.
pub type Listener<'a> = &'a (dyn Fn(Ended<'_>) + Sync);

impl<'a> Ended<'a> {
    pub(crate) fn lookup(endpoint: &'a Endpoint, lookup: &Lookup) -> Self {
        Self {
            endpoint,
            stage: Stage::Resolve,
            took: lookup.took,
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
