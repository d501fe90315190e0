//! Runs the rounds. Each registry has a task that follows its timetable and sends what it saw to the
//! board; one more task counts the fleet. A plan can be replaced at any time: registries that do not
//! change keep their task.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use regprobe_probes::{
    self as probes, Depth, EndpointOutcome, Footing, HeldCredential, Outcome, Reason, Role, Target,
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinHandle,
    time::{sleep, sleep_until},
};

use super::{
    clock::Moment,
    fleet::{Census, Fleet},
    retry_after, service,
    timetable::{Timetable, Turns, hash},
    walks::Walks,
};
use crate::{
    config,
    plan::{NodeSource, Plan, PlannedRegistry},
};

/// Rounds that may run at the same time. Each needs a few sockets for an endpoint; this many run where
/// a thousand endpoints do not answer and each waits for its time-out.
const MAX_ROUNDS: usize = 512;

/// Between the first rounds of a node's registries, so that they need little memory and do not send
/// the nameserver a burst of questions. Later rounds follow the timetable.
const STAGGER: Duration = Duration::from_millis(5);

/// Keeps one task for each planned registry.
pub(crate) struct Scheduler {
    shared: Arc<Shared>,
    node: u64,
    tasks: HashMap<Arc<str>, Task>,
    fleet: watch::Sender<Fleet>,
    count: Option<(config::FleetConfig, AbortOnDrop)>,
}

impl Scheduler {
    /// Probes nothing until a plan is applied. `node_name` decides when the node has its turns.
    pub(crate) fn new(plan: &Plan, node_name: &str, reports: mpsc::Sender<Report>) -> Self {
        let shared = Shared {
            node: Mutex::new(plan.node.clone()),
            slots: Semaphore::new(MAX_ROUNDS),
            reports,
        };
        let node = hash(node_name);
        let census = Census::start(plan.fleet.clone(), node, Moment::now());
        Self {
            shared: Arc::new(shared),
            node,
            tasks: HashMap::new(),
            fleet: watch::Sender::new(census.fleet()),
            count: None,
        }
    }

    /// The fleet as far as it is known, now and after each change.
    pub(crate) fn fleet(&self) -> watch::Receiver<Fleet> {
        let mut fleet = self.fleet.subscribe();
        fleet.mark_changed();
        fleet
    }

    /// From now on probes what `plan` says.
    pub(crate) fn apply(&mut self, plan: &Plan) {
        *self.shared.node() = plan.node.clone();
        let counts = |(config, _): &(config::FleetConfig, _)| config.counts_as(&plan.fleet);
        if !self.count.as_ref().is_some_and(counts) {
            let census = Census::start(plan.fleet.clone(), self.node, Moment::now());
            let count = service::count(census, plan.fleet.clone(), self.fleet.clone());
            let count = AbortOnDrop(tokio::spawn(count).abort_handle());
            self.count = Some((plan.fleet.clone(), count));
        }
        let mut before = std::mem::take(&mut self.tasks);
        let mut wait = Duration::ZERO;
        for (number, planned) in plan.registries.iter().enumerate() {
            let unchanged = before
                .remove(&planned.name)
                .filter(|task| task.planned == *planned);
            let task = unchanged.unwrap_or_else(|| {
                wait += STAGGER;
                self.start(planned.clone(), number, wait)
            });
            self.tasks.insert(planned.name.clone(), task);
        }
    }

    fn start(&self, planned: Arc<PlannedRegistry>, number: usize, wait: Duration) -> Task {
        let walks = Walks::of(planned.pulls());
        let target = Target {
            layers: walks.layers(),
            ..planned.target.clone()
        };
        let driver = Driver {
            shared: self.shared.clone(),
            target: Arc::new(target),
            planned: planned.clone(),
            number,
            walks,
            fleet: self.fleet(),
            footing: None,
            held: HeldCredential::default(),
        };
        Task {
            planned,
            handle: tokio::spawn(driver.drive(wait)),
        }
    }
}

/// What a task tells the board.
#[derive(Debug)]
pub(crate) enum Report {
    /// A round is over.
    Round {
        /// The registry.
        planned: Arc<PlannedRegistry>,
        /// What it saw.
        outcome: Outcome,
        /// How deep it went.
        depth: Depth,
        /// When it began.
        at: Timestamp,
        /// How late it began.
        lag: Duration,
        /// The registry's walks, as they are known now.
        walks: Walks,
    },
    /// Rounds did not take place.
    Skipped {
        /// The registry.
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

/// The task of one registry.
struct Driver {
    shared: Arc<Shared>,
    planned: Arc<PlannedRegistry>,
    /// As planned, and with the token service once the registry has named it.
    target: Arc<Target>,
    /// Which of the node's registries it is.
    number: usize,
    walks: Walks,
    fleet: watch::Receiver<Fleet>,
    /// What the requests so far rest on.
    footing: Option<Footing>,
    /// What rounds so far got for the node's identity.
    held: HeldCredential,
}

impl Driver {
    async fn drive(mut self, wait: Duration) {
        sleep(wait).await;
        let mut timetable = self.start();
        loop {
            tokio::select! {
                biased;
                Ok(()) = self.fleet.changed() => {
                    let turns = self.turns();
                    timetable.adopt(Moment::now(), turns);
                    continue;
                }
                () = sleep_until(Moment::now().instant(timetable.due())) => {}
            }
            let shared = self.shared.clone();
            let Ok(_slot) = shared.slots.acquire().await else {
                return;
            };
            let tick = timetable.take(Moment::now());
            for (why, rounds) in [(Skip::Overrun, tick.missed), (Skip::Suspend, tick.slept)] {
                if rounds > 0 {
                    self.tell(self.skipped(why, rounds)).await;
                }
            }
            let report = match round(&shared, &self.target, tick.depth, &mut self.held).await {
                Ok((outcome, at)) => {
                    Arc::make_mut(&mut self.target).token = token_endpoint(&outcome);
                    wait_as_asked(&mut timetable, &self.planned, &outcome);
                    let has_more_layers = self.has_more_layers(&outcome);
                    if has_more_layers {
                        timetable.adopt(Moment::now(), self.turns());
                    }
                    if self.may_ask_at_once() {
                        timetable.note(tick.depth, is_suspect(&outcome));
                    }
                    let has_changed = self.has_changed(&outcome) && tick.depth < Depth::Image;
                    if has_changed || has_more_layers {
                        timetable.hasten(Moment::now());
                    }
                    Report::Round {
                        planned: self.planned.clone(),
                        outcome,
                        depth: tick.depth,
                        at,
                        lag: tick.lag,
                        walks: self.walks,
                    }
                }
                Err(why) => self.skipped(why, 1),
            };
            self.tell(report).await;
        }
    }

    /// The first round is as deep as possible if all nodes of the fleet may send their requests at the
    /// same moment, as they do if all start together. Otherwise requests wait for their turn.
    fn start(&mut self) -> Timetable {
        let first = match self.may_ask_at_once() {
            true => Depth::Image,
            false => Depth::Network,
        };
        Timetable::start(Moment::now(), self.turns(), first)
    }

    /// Whether earlier requests rest on something that this round found otherwise.
    fn has_changed(&mut self, outcome: &Outcome) -> bool {
        let before = self.footing.replace(Footing::of(outcome));
        before.is_some_and(|before| !before.holds(outcome))
    }

    /// Whether an image has more layers than were known. From now on they are asked for.
    fn has_more_layers(&mut self, outcome: &Outcome) -> bool {
        let known = self.walks;
        self.walks = known.after(outcome);
        Arc::make_mut(&mut self.target).layers = self.walks.layers();
        self.walks != known
    }

    fn turns(&mut self) -> Turns {
        let fleet = *self.fleet.borrow_and_update();
        let planned = &self.planned;
        fleet.turns(&planned.intervals, self.walks, &planned.name, self.number)
    }

    fn may_ask_at_once(&self) -> bool {
        self.fleet.borrow().may_ask_at_once(self.walks)
    }

    fn skipped(&self, why: Skip, rounds: u32) -> Report {
        Report::Skipped {
            planned: self.planned.clone(),
            why,
            rounds,
        }
    }

    async fn tell(&self, report: Report) {
        // The board is gone only when the agent ends.
        let _ = self.shared.reports.send(report).await;
    }
}

/// Obeys a registry that asks to wait.
fn wait_as_asked(timetable: &mut Timetable, planned: &PlannedRegistry, outcome: &Outcome) {
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
    held: &mut HeldCredential,
) -> Result<(Outcome, Timestamp), Skip> {
    let source = shared.node().clone();
    let node = source.read().map_err(|error| {
        tracing::warn!(%error, "round skipped");
        Skip::Node
    })?;
    let (target, tls, at) = (target.clone(), source.tls().clone(), Timestamp::now());
    let mut purse = std::mem::take(held);
    let round = async move {
        let outcome = probes::run_holding(&target, &node, &tls, depth, &mut purse, &|_| {}).await;
        (outcome, purse)
    };
    let outcome;
    (outcome, *held) = alone(round).await?;
    Ok((outcome, at))
}

/// Starts a round as a separate task, so that a panic ends it and nothing else. The task of the registry, which
/// stays when the round is over, keeps no room for it.
fn alone<T: Send + 'static>(
    round: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = Result<T, Skip>> {
    let round = tokio::spawn(round);
    let stopped_with_us = AbortOnDrop(round.abort_handle());
    async move {
        let _stopped_with_us = stopped_with_us;
        round.await.map_err(|error| {
            tracing::error!(%error, "round failed; please report this");
            Skip::Panic
        })
    }
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

/// Whether something failed that a second round may find in order. Too many requests are no such thing.
fn is_suspect(outcome: &Outcome) -> bool {
    let failures = outcome
        .endpoints
        .iter()
        .filter_map(EndpointOutcome::failure);
    failures
        .map(|(_, fault)| fault.reason())
        .any(|reason| reason != Reason::Throttled)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::timeout;

    use super::*;

    /// No registry is known to cause a panic, so the test does.
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
