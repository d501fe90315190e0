//! The board owns the state of every registry. It takes the scheduler's reports, works out what each one
//! changed, passes that on to metrics, change log and history, and shows the new state. Readers take a snapshot and
//! never wait for a probe.

use std::{collections::HashMap, mem, sync::Arc};

use jiff::Timestamp;
use regprobe_probes::Nameserver;

use crate::{
    out::{
        change_log,
        history::SharedHistory,
        metrics::{AgentMetrics, Exporter, RegistryMetrics},
    },
    plan::{Plan, PlannedRegistry},
    schedule::{Report, fleet::Fleet, pace::Pace, walks::Walks},
    state::{ConfigState, RegistryState, Shown, changes},
};

/// Owns all state.
pub(crate) struct Board {
    shown: Shown,
    registries: HashMap<Arc<str>, Watched>,
    fleet: Option<Fleet>,
    exporter: Arc<Exporter>,
    metrics: AgentMetrics,
    history: SharedHistory,
}

/// A registry that is probed.
struct Watched {
    planned: Arc<PlannedRegistry>,
    /// Its place among those shown.
    place: usize,
    metrics: RegistryMetrics,
    walks: Walks,
}

impl Watched {
    fn show_pace(&mut self, fleet: Option<&Fleet>) {
        let intervals = &self.planned.intervals;
        self.metrics.show_pace(&match fleet {
            Some(fleet) => fleet.pace(intervals, self.walks),
            None => Pace::of(intervals),
        });
    }
}

impl Board {
    /// An empty board.
    pub(crate) fn new(exporter: Arc<Exporter>, history: SharedHistory) -> Self {
        Self {
            shown: Shown::default(),
            registries: HashMap::new(),
            fleet: None,
            metrics: exporter.agent(),
            exporter,
            history,
        }
    }

    /// The state, for readers.
    pub(crate) fn shown(&self) -> Shown {
        self.shown.clone()
    }

    /// Shows the registries of `plan` from now on. Those that stay as they are keep their state.
    pub(crate) fn apply(&mut self, plan: &Plan, nameservers: &[Arc<Nameserver>]) {
        let before = self.shown.snapshot();
        let mut watched = mem::take(&mut self.registries);
        watched.retain(|name, one| {
            let stays = plan.registries.contains(&one.planned);
            if !stays {
                self.history.open().forget(name);
            }
            stays
        });
        let mut registries = Vec::new();
        for (planned, place) in plan.registries.iter().zip(0..) {
            let kept = watched.remove(&planned.name);
            let (state, metrics, walks) = match kept {
                Some(kept) => {
                    let state = before.registries[kept.place].clone();
                    (state, kept.metrics, kept.walks)
                }
                None => (
                    Arc::new(RegistryState::new(planned.clone())),
                    self.exporter.registry(planned, nameservers),
                    Walks::of(planned.pulls()),
                ),
            };
            let name = planned.name.clone();
            let planned = state.planned.clone();
            registries.push(state);
            let watched = Watched {
                planned,
                place,
                metrics,
                walks,
            };
            self.registries.insert(name, watched);
        }
        self.shown.change(|snapshot| {
            snapshot.node = Some(plan.node.clone());
            snapshot.registries = registries;
        });
        self.show_paces();
    }

    /// The fleet was counted.
    pub(crate) fn count(&mut self, fleet: Fleet) {
        self.metrics.show_fleet(&fleet);
        self.fleet = Some(fleet);
        self.shown.change(|snapshot| snapshot.fleet = Some(fleet));
        self.show_paces();
    }

    fn show_paces(&mut self) {
        for registry in self.registries.values_mut() {
            registry.show_pace(self.fleet.as_ref());
        }
    }

    /// A configuration was loaded, or could not be.
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

    /// Takes one report. Reports about registries that are no longer planned are dropped.
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
                walks,
            } => {
                tracing::debug!(registry = %planned.name, ?depth, ?lag, "round over");
                self.metrics.lagged(lag);
                let registry = self.registries.get_mut(&planned.name);
                // A registry that left the plan, or changed in it, may still finish a round.
                let registry = registry.filter(|one| Arc::ptr_eq(&one.planned, &planned));
                let Some(registry) = registry else {
                    return;
                };
                if mem::replace(&mut registry.walks, walks) != walks {
                    registry.show_pace(self.fleet.as_ref());
                }
                let Watched { place, metrics, .. } = registry;
                let before = self.shown.snapshot().registries[*place].round.clone();
                let before = before.as_deref();
                metrics.count(&outcome);
                let round = changes::next_round(before, &planned, at, depth, outcome);
                let round = Arc::new(round);
                let changes = changes::between(before, &round);
                let state = Arc::new(RegistryState::after(planned, round.clone()));
                metrics.show(&state, &changes);
                change_log::log(&state.planned.name, &changes);
                self.history.open().add(&state, &changes);
                self.shown
                    .change(|snapshot| snapshot.registries[*place] = state);
            }
        }
    }
}
