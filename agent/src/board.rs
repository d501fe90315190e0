//! The state of every registry. One task changes it: it takes the scheduler's reports, feeds metrics
//! and journal, and shows what became of them; readers take a snapshot without waiting for a probe.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use regprobe_probes::Nameserver;

use crate::{
    changes,
    out::{change_log, history::SharedHistory, metrics::Metrics},
    plan::{Plan, PlannedRegistry},
    schedule::{Report, fleet::Fleet, timetable::Pace},
    state::{ConfigState, RegistryState, Round, Shown},
};

/// Who changes all state.
pub(crate) struct Board {
    shown: Shown,
    /// Where each registry is among those shown.
    places: HashMap<Arc<str>, usize>,
    fleet: Option<Fleet>,
    metrics: Arc<Metrics>,
    history: SharedHistory,
}

impl Board {
    /// A board with nothing on it.
    pub(crate) fn new(metrics: Arc<Metrics>, history: SharedHistory) -> Self {
        Self {
            shown: Shown::default(),
            places: HashMap::new(),
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
                let round = changes::next_round(before, &planned, at, depth, outcome);
                let round = Arc::new(round);
                let changes = changes::between(before, &round);
                let state = Arc::new(RegistryState::after(planned, round.clone()));
                self.metrics.show(before, &state, &changes);
                change_log::log(&state.planned.name, &changes);
                self.history.open().add(&state, &changes);
                self.shown
                    .change(|snapshot| snapshot.registries[place] = state);
            }
        }
    }

    /// Where a registry is that is planned, and its last round.
    fn find(&self, planned: &Arc<PlannedRegistry>) -> Option<(usize, Option<Arc<Round>>)> {
        let place = *self.places.get(&planned.name)?;
        let shown = self.shown.snapshot();
        let state = &shown.registries[place];
        Arc::ptr_eq(&state.planned, planned).then(|| (place, state.round.clone()))
    }
}
