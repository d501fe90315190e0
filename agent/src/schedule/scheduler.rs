//! When each registry is probed. One task a registry walks its timetable and sends what it saw to
//! the board; a plan can be replaced while it runs, and registries that stay as they are keep
//! their timetable. Beside them one task counts the fleet.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use regprobe_probes::{self as probes, Depth, EndpointOutcome, Outcome, Reason, Role, Target};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinHandle,
    time::{sleep, sleep_until},
};

use super::{
    fleet::{Fleet, service},
    retry_after,
    timetable::{Moment, Pace, Place, Timetable},
};
use crate::{
    config,
    plan::{NodeSource, Plan, PlannedRegistry},
};

/// Rounds at the same time; each is a few sockets for an endpoint. As many as there are where a
/// thousand endpoints answer nothing, each until its time-out.
const MAX_ROUNDS: usize = 512;

/// Between the first rounds of a node's registries: one after the other they take little memory and no
/// nameserver by surprise. After that each keeps to its slot.
const STAGGER: Duration = Duration::from_millis(5);

/// Keeps one task for each planned registry.
pub(crate) struct Scheduler {
    shared: Arc<Shared>,
    node: u64,
    tasks: HashMap<Arc<str>, Task>,
    fleet: watch::Sender<Option<Fleet>>,
    count: Option<(config::FleetConfig, AbortOnDrop)>,
}

impl Scheduler {
    /// Probes nothing until a plan is applied; `node_name` spreads the phases of a fleet.
    pub(crate) fn new(plan: &Plan, node_name: &str, reports: mpsc::Sender<Report>) -> Self {
        let shared = Shared {
            node: Mutex::new(plan.node.clone()),
            slots: Semaphore::new(MAX_ROUNDS),
            reports,
        };
        Self {
            shared: Arc::new(shared),
            node: hash_of(node_name),
            tasks: HashMap::new(),
            fleet: watch::Sender::new(None),
            count: None,
        }
    }

    /// The fleet as it is known; nothing before the first answer, or the end of the wait for it.
    pub(crate) fn fleet(&self) -> watch::Receiver<Option<Fleet>> {
        self.fleet.subscribe()
    }

    /// From now on probes what `plan` says.
    pub(crate) fn apply(&mut self, plan: &Plan) {
        *self.shared.node() = plan.node.clone();
        let counts = |(config, _): &(config::FleetConfig, _)| *config == plan.fleet;
        if !self.count.as_ref().is_some_and(counts) {
            let count = service::count(plan.fleet.clone(), self.node, self.fleet.clone());
            let count = AbortOnDrop(tokio::spawn(count).abort_handle());
            self.count = Some((plan.fleet.clone(), count));
        }
        let mut before = std::mem::take(&mut self.tasks);
        let (mut wait, registries) = (Duration::ZERO, plan.registries.len());
        for planned in &plan.registries {
            let unchanged = before
                .remove(&planned.name)
                .filter(|task| task.planned == *planned);
            let task = unchanged.unwrap_or_else(|| {
                wait += STAGGER;
                self.start(planned.clone(), registries, wait)
            });
            self.tasks.insert(planned.name.clone(), task);
        }
    }

    fn start(&self, planned: Arc<PlannedRegistry>, registries: usize, wait: Duration) -> Task {
        let driver = drive(
            self.shared.clone(),
            planned.clone(),
            registries,
            wait,
            self.fleet(),
        );
        Task {
            planned,
            handle: tokio::spawn(driver),
        }
    }
}

/// What a task tells the board.
#[derive(Debug)]
pub(crate) enum Report {
    /// A round is over.
    Round {
        /// Of which registry.
        planned: Arc<PlannedRegistry>,
        /// What it saw.
        outcome: Outcome,
        /// How far up it went.
        depth: Depth,
        /// When it began.
        at: Timestamp,
        /// How late it began.
        lag: Duration,
    },
    /// Rounds did not take place.
    Skipped {
        /// Of which registry.
        planned: Arc<PlannedRegistry>,
        /// Why not.
        why: Skip,
        /// How many.
        rounds: u32,
    },
}

/// Why rounds did not take place: the label `why`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skip {
    /// The round before took longer than the interval, or waited that long for its turn.
    Overrun,
    /// The node's files cannot be read.
    Node,
    /// The round panicked; the agent goes on.
    Panic,
    /// The node slept: it was suspended, or its virtual machine was.
    Suspend,
}

impl Skip {
    /// Every reason to skip.
    pub(crate) const ALL: [Self; 4] = [Self::Overrun, Self::Node, Self::Panic, Self::Suspend];

    /// The value of the label `why`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Overrun => "overrun",
            Self::Node => "node",
            Self::Panic => "panic",
            Self::Suspend => "suspend",
        }
    }
}

struct Shared {
    node: Mutex<Arc<NodeSource>>,
    slots: Semaphore,
    reports: mpsc::Sender<Report>,
}

impl Shared {
    fn node(&self) -> MutexGuard<'_, Arc<NodeSource>> {
        // Nothing can panic between a lock and its release.
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Task {
    planned: Arc<PlannedRegistry>,
    handle: JoinHandle<()>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

async fn drive(
    shared: Arc<Shared>,
    planned: Arc<PlannedRegistry>,
    registries: usize,
    wait: Duration,
    mut fleet: watch::Receiver<Option<Fleet>>,
) {
    sleep(wait).await;
    let Some(mut known) = first_of(&mut fleet).await else {
        return;
    };
    let mut timetable = start(&planned, registries, &known);
    let mut target = Arc::new(planned.target.clone());
    loop {
        tokio::select! {
            biased;
            Ok(()) = fleet.changed() => {
                known = fleet.borrow_and_update().unwrap_or(known);
                let (pace, place) = turns(&planned, registries, &known);
                timetable.adopt(Moment::now(), pace, place);
                timetable.hold(Depth::Request, known.quiet_until);
                continue;
            }
            () = sleep_until(Moment::now().instant(timetable.due())) => {}
        }
        let Ok(_slot) = shared.slots.acquire().await else {
            return;
        };
        let tick = timetable.take(Moment::now());
        let skipped = |why, rounds| Report::Skipped {
            planned: planned.clone(),
            why,
            rounds,
        };
        for (why, rounds) in [(Skip::Overrun, tick.missed), (Skip::Suspend, tick.slept)] {
            if rounds > 0 {
                tell(&shared, skipped(why, rounds)).await;
            }
        }
        let report = match round(&shared, &target, tick.depth).await {
            Ok((outcome, at)) => {
                Arc::make_mut(&mut target).token = token_endpoint(&outcome);
                bear_with(&mut timetable, &planned, &outcome);
                if known.may_ask_at_once(target.images.len()) {
                    timetable.note(tick.depth, is_suspect(&outcome));
                }
                Report::Round {
                    planned: planned.clone(),
                    outcome,
                    depth: tick.depth,
                    at,
                    lag: tick.lag,
                }
            }
            Err(why) => skipped(why, 1),
        };
        tell(&shared, report).await;
    }
}

/// Waits for what is known of the fleet.
async fn first_of(fleet: &mut watch::Receiver<Option<Fleet>>) -> Option<Fleet> {
    *fleet.wait_for(Option::is_some).await.ok()?
}

/// The first round goes all the way where all nodes of the fleet may do so at the same moment, as they
/// do when all start together; else the requests wait for their turn.
fn start(planned: &PlannedRegistry, registries: usize, fleet: &Fleet) -> Timetable {
    let first = match fleet.may_ask_at_once(planned.target.images.len()) {
        true => Depth::Image,
        false => Depth::Network,
    };
    let (pace, place) = turns(planned, registries, fleet);
    let mut timetable = Timetable::start(Moment::now(), pace, place, first);
    timetable.hold(Depth::Request, fleet.quiet_until);
    timetable
}

fn turns(planned: &PlannedRegistry, registries: usize, fleet: &Fleet) -> (Pace, Place) {
    let place = fleet.place.seen_from(hash_of(&planned.name), registries);
    (planned.pace(fleet), place)
}

/// Does as the registry asks that has enough of us.
fn bear_with(timetable: &mut Timetable, planned: &PlannedRegistry, outcome: &Outcome) {
    for (depth, wait) in retry_after::asked_for(outcome, Timestamp::now()) {
        let (registry, depth_name, seconds) = (&planned.name, depth.as_str(), wait.as_secs());
        tracing::info!(%registry, depth = depth_name, seconds, "registry asks to wait");
        timetable.hold(depth, Moment::now().awake + wait);
    }
}

async fn round(
    shared: &Shared,
    target: &Arc<Target>,
    depth: Depth,
) -> Result<(Outcome, Timestamp), Skip> {
    let source = shared.node().clone();
    let node = source.read().map_err(|error| {
        tracing::warn!(%error, "round skipped");
        Skip::Node
    })?;
    let (target, tls, at) = (target.clone(), source.tls().clone(), Timestamp::now());
    let outcome = alone(async move { probes::run(&target, &node, &tls, depth).await }).await?;
    Ok((outcome, at))
}

/// Runs a round as a task of its own, so that a panic ends it and nothing else.
async fn alone<T: Send + 'static>(
    round: impl Future<Output = T> + Send + 'static,
) -> Result<T, Skip> {
    let round = tokio::spawn(round);
    let _stopped_with_us = AbortOnDrop(round.abort_handle());
    round.await.map_err(|error| {
        tracing::error!(%error, "round failed; please report this");
        Skip::Panic
    })
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn token_endpoint(outcome: &Outcome) -> Option<probes::Endpoint> {
    let mut endpoints = outcome.endpoints.iter().map(|outcome| &outcome.endpoint);
    endpoints
        .find(|endpoint| endpoint.role == Role::Token)
        .cloned()
}

/// Whether something failed that may be over the next time; a registry that asks for patience gets it.
fn is_suspect(outcome: &Outcome) -> bool {
    let failures = outcome
        .endpoints
        .iter()
        .filter_map(EndpointOutcome::failure);
    failures
        .map(|(_, fault)| fault.reason())
        .any(|reason| reason != Reason::Throttled)
}

async fn tell(shared: &Shared, report: Report) {
    // The board is gone only when the agent ends.
    let _ = shared.reports.send(report).await;
}

fn hash_of(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::timeout;

    use super::*;

    /// No registry is known to bring one about, so it is made here.
    #[tokio::test]
    async fn a_panic_ends_one_round_and_no_other() {
        let other = tokio::spawn(alone(async {
            tokio::task::yield_now().await;
            "whole"
        }));
        let broken = alone(async {
            tokio::task::yield_now().await;
            assert!(std::hint::black_box(false), "a fault of our own");
        });
        assert_eq!(broken.await, Err(Skip::Panic));
        assert_eq!(other.await.unwrap(), Ok("whole"));
        assert_eq!(alone(async { "the next" }).await, Ok("the next"));
    }

    #[tokio::test]
    async fn a_round_that_nobody_awaits_ends() {
        let (held, ended) = tokio::sync::oneshot::channel::<()>();
        let round = alone(async move {
            let _held = held;
            pending::<()>().await;
        });
        assert!(timeout(Duration::from_millis(20), round).await.is_err());
        let ended = timeout(Duration::from_secs(10), ended).await;
        assert!(ended.is_ok_and(|dropped| dropped.is_err()));
    }
}
