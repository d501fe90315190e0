//! What is known about one registry.

use std::{net::IpAddr, sync::Arc};

use jiff::Timestamp;
use regprobe_probes::{Depth, Diagnosis, Endpoint, Nameserver, Outcome, diagnose};

use crate::plan::PlannedRegistry;

/// Everything that is known about one registry.
#[derive(Clone, Debug)]
pub(crate) struct RegistryState {
    /// What is probed.
    pub planned: Arc<PlannedRegistry>,
    /// The last round; `None` before the first one ends.
    pub round: Option<Arc<Round>>,
}

/// The last round of a registry. Stages that it did not ask come from the round before.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    /// When it began.
    pub at: Timestamp,
    /// How far up it went.
    pub depth: Depth,
    /// What is known now.
    pub outcome: Outcome,
    /// What follows from it.
    pub diagnosis: Diagnosis,
    /// Since when each finding holds, in the order of the diagnosis.
    pub found: Vec<Timestamp>,
    /// Since when the registry has its condition.
    pub since: Timestamp,
    /// What each nameserver answered last, even where this round's lookup failed.
    pub answers: Vec<LastAnswer>,
}

/// The last addresses that a nameserver gave for an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct LastAnswer {
    pub endpoint: Endpoint,
    pub nameserver: Arc<Nameserver>,
    /// Sorted, each once; never empty.
    pub addresses: Vec<IpAddr>,
}

impl Round {
    /// A round that began `at`, went up to `depth` and saw `outcome`, with nothing known from before.
    pub(crate) fn new(
        planned: &PlannedRegistry,
        at: Timestamp,
        depth: Depth,
        outcome: Outcome,
    ) -> Self {
        let diagnosis = diagnose(&outcome, &planned.expectations(at));
        let lookups = outcome.endpoints.iter().flat_map(|seen| {
            let lookups = seen.lookups_of_host();
            lookups.map(|lookup| (&seen.endpoint, lookup))
        });
        let answers = lookups.filter_map(|(endpoint, lookup)| {
            let addresses = lookup.address_set();
            (!addresses.is_empty()).then(|| LastAnswer {
                endpoint: endpoint.clone(),
                nameserver: lookup.nameserver.clone(),
                addresses,
            })
        });
        Self {
            at,
            depth,
            found: vec![at; diagnosis.findings.len()],
            since: at,
            answers: answers.collect(),
            outcome,
            diagnosis,
        }
    }
}

impl RegistryState {
    /// The state after a round.
    pub(crate) fn after(planned: Arc<PlannedRegistry>, round: impl Into<Arc<Round>>) -> Self {
        Self {
            planned,
            round: Some(round.into()),
        }
    }

    /// The state before the first round.
    pub(crate) fn new(planned: Arc<PlannedRegistry>) -> Self {
        Self {
            planned,
            round: None,
        }
    }

    /// The last round, so that a test can change it.
    #[cfg(test)]
    pub(crate) fn round_mut(&mut self) -> &mut Round {
        Arc::make_mut(self.round.as_mut().expect("a round"))
    }
}
