//! The state of every registry. One task changes it: it takes the scheduler's reports, feeds metrics
//! and journal, and shows what became of them; readers take a snapshot without waiting for a probe.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use regprobe_probes::{Depth, Diagnosis, Endpoint, Nameserver, Outcome, diagnose};

use crate::{
    condition::Condition,
    fleet::Fleet,
    history::SharedHistory,
    journal,
    metrics::Metrics,
    node::NodeSource,
    plan::{Plan, PlannedRegistry},
    schedule::Report,
    timetable::Pace,
};

/// Who changes all state.
pub(crate) struct Board {
    shown: Shown,
    /// Where each registry is among those shown.
    places: HashMap<Arc<str>, usize>,
    /// The last addresses that each nameserver gave for each endpoint, by registry.
    answers: HashMap<Arc<str>, Vec<LastAnswer>>,
    fleet: Option<Fleet>,
    metrics: Arc<Metrics>,
    history: SharedHistory,
}

/// Of one registry; more than it has endpoints and the node nameservers, unless its storage is somewhere
/// else each time.
const MAX_ANSWERS: usize = 1024;

struct LastAnswer {
    endpoint: Endpoint,
    nameserver: Arc<Nameserver>,
    /// In order.
    addresses: Vec<IpAddr>,
}

/// What is on the board now, for all who read it; nobody holds it for long.
#[derive(Clone, Default)]
pub(crate) struct Shown(Arc<Mutex<Arc<Snapshot>>>);

impl Shown {
    /// As of now; it stays as it is.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.open().clone()
    }

    fn open(&self) -> MutexGuard<'_, Arc<Snapshot>> {
        // Whoever panicked with it left it whole: it is changed by single steps.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies only where somebody still reads.
    fn change(&self, change: impl FnOnce(&mut Snapshot)) {
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
    fn following(
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

impl Board {
    /// A board with nothing on it.
    pub(crate) fn new(metrics: Arc<Metrics>, history: SharedHistory) -> Self {
        Self {
            shown: Shown::default(),
            places: HashMap::new(),
            answers: HashMap::new(),
            fleet: None,
            metrics,
            history,
        }
    }

    /// What is on it, for readers.
    pub(crate) fn shown(&self) -> Shown {
        self.shown.clone()
    }

    /// From now on shows the registries of `plan`; those that stay as they are keep their state.
    pub(crate) fn apply(&mut self, plan: &Plan, nameservers: &[Arc<Nameserver>]) {
        let before = self.shown.snapshot();
        for state in &before.registries {
            if !plan.registries.contains(&state.planned) {
                self.metrics.forget(&state.planned.name);
                self.history.open().forget(&state.planned.name);
                self.answers.remove(&state.planned.name);
            }
        }
        let registries = plan.registries.iter().map(|planned| {
            self.metrics.expect(planned, nameservers);
            let kept = before
                .registries
                .iter()
                .find(|state| state.planned == *planned);
            kept.cloned()
                .unwrap_or_else(|| Arc::new(RegistryState::new(planned.clone())))
        });
        let registries = registries.collect();
        let names = plan.registries.iter().map(|planned| planned.name.clone());
        self.places = names.zip(0..).collect();
        self.shown.change(|snapshot| {
            snapshot.node = Some(plan.node.clone());
            snapshot.registries = registries;
        });
        self.show_paces();
    }

    /// This much is known of the fleet now.
    pub(crate) fn count(&mut self, fleet: Fleet) {
        self.metrics.show_fleet(&fleet);
        self.fleet = Some(fleet);
        self.show_paces();
    }

    fn show_paces(&self) {
        for state in &self.shown.snapshot().registries {
            let planned = &state.planned;
            let pace = match &self.fleet {
                Some(fleet) => planned.pace(fleet),
                None => Pace::of(&planned.intervals),
            };
            self.metrics.show_pace(&planned.name, &pace);
        }
    }

    /// A configuration was put in force, or one could not be loaded.
    pub(crate) fn reloaded(&mut self, result: &Result<(), String>) {
        let now = Timestamp::now();
        self.shown.change(|snapshot| {
            let before = snapshot.config.take();
            snapshot.config = Some(ConfigState {
                loaded_at: match (result, before) {
                    (Err(_), Some(before)) => before.loaded_at,
                    _ => now,
                },
                reload_error: result.clone().err(),
            });
        });
        self.metrics
            .reloaded(result.is_ok(), now.as_duration().as_secs_f64());
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
                let Some((place, before)) = self.find(&planned) else {
                    return;
                };
                let before = before.as_deref();
                self.metrics.count(before, &planned, &outcome);
                self.note_answers(&planned, &outcome);
                let round = match before {
                    Some(before) => Round::following(before, &planned, at, depth, outcome),
                    None => Round::new(&planned, at, depth, outcome),
                };
                let state = Arc::new(RegistryState::after(planned, round));
                self.metrics.show(before, &state);
                journal::note(before, &state);
                self.history.open().add(&state);
                self.shown
                    .change(|snapshot| snapshot.registries[place] = state);
            }
        }
    }

    /// Where a registry is that is planned, and its last round.
    fn find(&self, planned: &Arc<PlannedRegistry>) -> Option<(usize, Option<Arc<Round>>)> {
        let place = *self.places.get(&planned.name)?;
        let shown = self.shown.open();
        let state = &shown.registries[place];
        Arc::ptr_eq(&state.planned, planned).then(|| (place, state.round.clone()))
    }

    fn note_answers(&mut self, planned: &PlannedRegistry, outcome: &Outcome) {
        let known = self.answers.entry(planned.name.clone()).or_default();
        for seen in &outcome.endpoints {
            for lookup in seen.lookups_of_host() {
                let addresses = lookup.address_set();
                if addresses.is_empty() {
                    continue;
                }
                let same = |last: &&mut LastAnswer| {
                    last.endpoint == seen.endpoint && last.nameserver == lookup.nameserver
                };
                match known.iter_mut().find(same) {
                    Some(last) if last.addresses == addresses => {}
                    Some(last) => {
                        last.addresses = addresses;
                        self.metrics
                            .answer_changed(planned, &seen.endpoint, &lookup.nameserver);
                    }
                    None => {
                        if known.len() >= MAX_ANSWERS {
                            known.remove(0);
                        }
                        known.push(LastAnswer {
                            endpoint: seen.endpoint.clone(),
                            nameserver: lookup.nameserver.clone(),
                            addresses,
                        });
                    }
                }
            }
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
