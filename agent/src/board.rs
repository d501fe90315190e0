//! The state of every registry. One task owns it: it takes the scheduler's reports, feeds metrics
//! and journal, and publishes a snapshot that readers take without waiting.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use regprobe_probes::{Diagnosis, Nameserver, Outcome, diagnose};

use crate::{
    journal,
    metrics::Metrics,
    plan::{Plan, PlannedRegistry},
    schedule::Report,
};

/// Owner of all state.
pub(crate) struct Board {
    registries: Vec<Arc<RegistryState>>,
    metrics: Arc<Metrics>,
    published: Arc<ArcSwap<Snapshot>>,
}

/// What readers see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// In the order of the configuration.
    pub registries: Vec<Arc<RegistryState>>,
}

impl Snapshot {
    /// Whether every registry has been through its first round.
    pub(crate) fn is_ready(&self) -> bool {
        self.registries.iter().all(|state| state.round.is_some())
    }
}

/// All that is known of one registry.
#[derive(Clone, Debug)]
pub(crate) struct RegistryState {
    /// What was to be probed.
    pub planned: Arc<PlannedRegistry>,
    /// The last round, if there was one.
    pub round: Option<Round>,
    /// The last addresses that each nameserver gave for each endpoint.
    answers: HashMap<(String, String), BTreeSet<IpAddr>>,
}

/// The last round of a registry; stages that it did not ask are those of the round before.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    /// When it began.
    pub at: Timestamp,
    /// What is known now.
    pub outcome: Outcome,
    /// What follows from it.
    pub diagnosis: Diagnosis,
}

impl Round {
    /// The round that began `at` and saw `outcome`, judged as of then.
    pub(crate) fn new(planned: &PlannedRegistry, at: Timestamp, outcome: Outcome) -> Self {
        Self {
            at,
            diagnosis: diagnose(&outcome, &planned.expectations(at)),
            outcome,
        }
    }
}

impl Board {
    /// A board with nothing on it.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            registries: Vec::new(),
            metrics,
            published: Arc::default(),
        }
    }

    /// Where snapshots appear.
    pub(crate) fn published(&self) -> Arc<ArcSwap<Snapshot>> {
        self.published.clone()
    }

    /// From now on shows the registries of `plan`; those that stay as they are keep their state.
    pub(crate) fn apply(&mut self, plan: &Plan, nameservers: &[Arc<Nameserver>]) {
        let before = std::mem::take(&mut self.registries);
        for state in &before {
            if !plan.registries.contains(&state.planned) {
                self.metrics.forget(&state.planned.name);
            }
        }
        self.registries = plan
            .registries
            .iter()
            .map(|planned| {
                self.metrics.expect(planned, nameservers);
                let kept = before.iter().find(|state| state.planned == *planned);
                kept.cloned()
                    .unwrap_or_else(|| Arc::new(RegistryState::new(planned.clone())))
            })
            .collect();
        self.publish();
    }

    /// Takes one report; those of registries that are no longer planned are dropped.
    pub(crate) fn take(&mut self, report: Report) {
        match report {
            Report::Skipped {
                planned,
                why,
                rounds,
            } => {
                tracing::debug!(registry = %planned.name, why = why.as_str(), rounds, "rounds skipped");
                self.metrics.skipped(why, rounds);
            }
            Report::Round {
                planned,
                outcome,
                depth,
                at,
                lag,
            } => {
                tracing::debug!(registry = %planned.name, ?depth, ?lag, "round over");
                self.metrics.lagged(lag);
                let known = self
                    .registries
                    .iter_mut()
                    .find(|state| state.planned == planned);
                let Some(state) = known.map(Arc::make_mut) else {
                    return;
                };
                self.metrics.count(&planned, &outcome);
                state.note_answers(&outcome, &self.metrics);
                let before = state.round.take();
                let outcome = match &before {
                    Some(before) => outcome.over(&before.outcome, depth),
                    None => outcome,
                };
                state.round = Some(Round::new(&planned, at, outcome));
                self.metrics.show(before.as_ref(), state);
                journal::note(before.as_ref(), state);
                self.publish();
            }
        }
    }

    fn publish(&self) {
        self.published.store(Arc::new(Snapshot {
            registries: self.registries.clone(),
        }));
    }
}

impl RegistryState {
    /// The state after one round.
    pub(crate) fn after(planned: Arc<PlannedRegistry>, round: Round) -> Self {
        Self {
            round: Some(round),
            ..Self::new(planned)
        }
    }

    /// The state before the first round.
    pub(crate) fn new(planned: Arc<PlannedRegistry>) -> Self {
        Self {
            planned,
            round: None,
            answers: HashMap::new(),
        }
    }

    fn note_answers(&mut self, outcome: &Outcome, metrics: &Metrics) {
        for seen in &outcome.endpoints {
            for lookup in seen.lookups_of_host() {
                let addresses: BTreeSet<_> = lookup.addresses().collect();
                if addresses.is_empty() {
                    continue;
                }
                let pair = (seen.endpoint.to_string(), lookup.nameserver.to_string());
                let before = self.answers.insert(pair, addresses.clone());
                if before.is_some_and(|before| before != addresses) {
                    metrics.answer_changed(&self.planned, &seen.endpoint, &lookup.nameserver);
                }
            }
        }
    }
}
