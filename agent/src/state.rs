//! What is known of every registry, as plain data. The board makes it; metrics, change log, pages and
//! `check` read it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use regprobe_probes::{Depth, Diagnosis, Outcome, diagnose};

use self::condition::Condition;
use crate::plan::{NodeSource, PlannedRegistry};

pub(crate) mod condition;
#[cfg(test)]
pub(crate) mod story;

/// What is on the board now, for all who read it; nobody holds it for long.
#[derive(Clone, Default)]
pub(crate) struct Shown(Arc<Mutex<Arc<Snapshot>>>);

impl Shown {
    /// As of now; it stays as it is.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.open().clone()
    }

    pub(crate) fn open(&self) -> MutexGuard<'_, Arc<Snapshot>> {
        // Whoever panicked with it left it whole: it is changed by single steps.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies only where somebody still reads.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        change(Arc::make_mut(&mut self.open()));
    }
}

/// What readers see.
#[derive(Clone, Default)]
pub(crate) struct Snapshot {
    /// In the order of the configuration.
    pub registries: Vec<Arc<RegistryState>>,
    /// Where one was loaded that can be reloaded.
    pub config: Option<ConfigState>,
    /// Where the node's settings are to be read, for whoever shows them.
    pub node: Option<Arc<NodeSource>>,
}

/// The configuration in force.
#[derive(Clone, Debug)]
pub(crate) struct ConfigState {
    /// When it was loaded.
    pub loaded_at: Timestamp,
    /// Why the last attempt to load another failed, if it did.
    pub reload_error: Option<String>,
}

impl Snapshot {
    /// Of one look at these, under a configuration that nothing reloads.
    pub(crate) fn once(registries: Vec<Arc<RegistryState>>) -> Self {
        Self {
            registries,
            ..Self::default()
        }
    }

    /// As it is after `before`, which was of the same registries: what holds already holds since then.
    pub(crate) fn following(mut self, before: &Self) -> Self {
        for (state, before) in self.registries.iter_mut().zip(&before.registries) {
            let state = Arc::make_mut(state);
            if let (Some(round), Some(before)) = (&mut state.round, &before.round) {
                Arc::make_mut(round).hold_since(before);
            }
        }
        self
    }

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
    pub round: Option<Arc<Round>>,
}

/// The last round of a registry; stages that it did not ask are those of the round before.
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
    /// Since when the registry fares as it does.
    pub since: Timestamp,
}

impl Round {
    /// The round that began `at` and saw `outcome` up to `depth`, judged as of then.
    pub(crate) fn new(
        planned: &PlannedRegistry,
        at: Timestamp,
        depth: Depth,
        outcome: Outcome,
    ) -> Self {
        let diagnosis = diagnose(&outcome, &planned.expectations(at));
        Self {
            at,
            depth,
            outcome,
            found: vec![at; diagnosis.findings.len()],
            diagnosis,
            since: at,
        }
    }

    /// As [`Self::new`], after `before`: what was not asked is taken over, and what holds already
    /// holds since then.
    pub(crate) fn following(
        before: &Self,
        planned: &PlannedRegistry,
        at: Timestamp,
        depth: Depth,
        outcome: Outcome,
    ) -> Self {
        let mut round = Self::new(planned, at, depth, outcome.over(&before.outcome, depth));
        round.hold_since(before);
        round
    }

    /// What held in the round before holds since then.
    fn hold_since(&mut self, before: &Self) {
        let earlier = || before.diagnosis.findings.iter().zip(&before.found);
        for (finding, found) in self.diagnosis.findings.iter().zip(&mut self.found) {
            if let Some((_, since)) = earlier().find(|(other, _)| other.is_same_as(finding)) {
                *found = *since;
            }
        }
        if Condition::after(before) == Condition::after(self) {
            self.since = before.since;
        }
    }
}

impl RegistryState {
    /// The state after one round.
    pub(crate) fn after(planned: Arc<PlannedRegistry>, round: Round) -> Self {
        Self {
            planned,
            round: Some(Arc::new(round)),
        }
    }

    /// The state before the first round.
    pub(crate) fn new(planned: Arc<PlannedRegistry>) -> Self {
        Self {
            planned,
            round: None,
        }
    }

    /// The last round, to be told otherwise.
    #[cfg(test)]
    pub(crate) fn round_mut(&mut self) -> &mut Round {
        Arc::make_mut(self.round.as_mut().expect("a round"))
    }
}
