//! When each registry is probed. One task a registry walks its timetable and sends what it saw to
//! the board; a plan can be replaced while it runs, and registries that stay as they are keep
//! their timetable.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use regprobe_probes::{self as probes, Depth, EndpointOutcome, Outcome, Reason, Role, Target};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use crate::{
    node::NodeSource,
    plan::{Intervals, Plan, PlannedRegistry},
};

/// Rounds at the same time; each is a few sockets for an endpoint.
const MAX_ROUNDS: usize = 32;

/// Keeps one task for each planned registry.
pub(crate) struct Scheduler {
    shared: Arc<Shared>,
    node_name: String,
    tasks: HashMap<Arc<str>, Task>,
}

impl Scheduler {
    /// Probes nothing until a plan is applied; `node_name` spreads the phases of a fleet.
    pub(crate) fn new(plan: &Plan, node_name: &str, reports: mpsc::Sender<Report>) -> Self {
        let shared = Shared {
            node: ArcSwap::new(plan.node.clone()),
            slots: Semaphore::new(MAX_ROUNDS),
            reports,
        };
        Self {
            shared: Arc::new(shared),
            node_name: node_name.to_owned(),
            tasks: HashMap::new(),
        }
    }

    /// From now on probes what `plan` says.
    pub(crate) fn apply(&mut self, plan: &Plan) {
        self.shared.node.store(plan.node.clone());
        let mut before = std::mem::take(&mut self.tasks);
        for planned in &plan.registries {
            let unchanged = before
                .remove(&planned.name)
                .filter(|task| task.planned == *planned);
            let task = unchanged.unwrap_or_else(|| self.start(planned.clone()));
            self.tasks.insert(planned.name.clone(), task);
        }
    }

    fn start(&self, planned: Arc<PlannedRegistry>) -> Task {
        let timetable = Timetable::start(
            Instant::now(),
            planned.intervals,
            phase(&self.node_name, &planned.name),
        );
        let driver = drive(self.shared.clone(), planned.clone(), timetable);
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
}

impl Skip {
    /// Every reason to skip.
    pub(crate) const ALL: [Self; 3] = [Self::Overrun, Self::Node, Self::Panic];

    /// The value of the label `why`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Overrun => "overrun",
            Self::Node => "node",
            Self::Panic => "panic",
        }
    }
}

struct Shared {
    node: ArcSwap<NodeSource>,
    slots: Semaphore,
    reports: mpsc::Sender<Report>,
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

async fn drive(shared: Arc<Shared>, planned: Arc<PlannedRegistry>, mut timetable: Timetable) {
    let mut target = planned.target.clone();
    loop {
        sleep_until(timetable.next()).await;
        let Ok(_slot) = shared.slots.acquire().await else {
            return;
        };
        let now = Instant::now();
        let tick = timetable.take(now);
        let skipped = |why, rounds| Report::Skipped {
            planned: planned.clone(),
            why,
            rounds,
        };
        if tick.missed > 0 {
            tell(&shared, skipped(Skip::Overrun, tick.missed)).await;
        }
        let report = match round(&shared, &target, tick.depth).await {
            Ok((outcome, at)) => {
                target.token = token_endpoint(&outcome);
                timetable.note(tick.depth, is_suspect(&outcome));
                let (planned, depth, lag) = (planned.clone(), tick.depth, now - tick.due);
                Report::Round {
                    planned,
                    outcome,
                    depth,
                    at,
                    lag,
                }
            }
            Err(why) => skipped(why, 1),
        };
        tell(&shared, report).await;
    }
}

async fn round(
    shared: &Shared,
    target: &Target,
    depth: Depth,
) -> Result<(Outcome, Timestamp), Skip> {
    let node = shared.node.load().read().map_err(|error| {
        tracing::warn!(%error, "round skipped");
        Skip::Node
    })?;
    let (target, at) = (target.clone(), Timestamp::now());
    // A task of its own, so that a panic ends this round and nothing else.
    let round = tokio::spawn(async move { probes::run(&target, &node, depth).await });
    let _stopped_with_us = AbortOnDrop(round.abort_handle());
    match round.await {
        Ok(outcome) => Ok((outcome, at)),
        Err(error) => {
            tracing::error!(%error, "round failed; please report this");
            Err(Skip::Panic)
        }
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

/// Where in its interval a registry's rounds fall on this node, from 0 to 1.
fn phase(node_name: &str, registry: &str) -> f64 {
    let mut hasher = DefaultHasher::new();
    (node_name, registry).hash(&mut hasher);
    hasher.finish() as f64 / u64::MAX as f64
}

/// When rounds are due, and how deep. The first is due at once and goes all the way up; from then
/// on every depth keeps to a grid of its own, from which no delay shifts it. A deep round that fails
/// where the one before did not is repeated with the next that is due, once: no single lost answer
/// is held against a registry for as long as the deeper intervals are.
#[derive(Debug)]
struct Timetable {
    intervals: Intervals,
    due: [(Depth, Instant); 4],
    first: bool,
    again: Option<Depth>,
    /// The deepest round that failed, until one as deep does not.
    failed: Option<Depth>,
}

/// One round that is due.
#[derive(Debug, PartialEq, Eq)]
struct Tick {
    depth: Depth,
    due: Instant,
    missed: u32,
}

impl Timetable {
    fn start(now: Instant, intervals: Intervals, phase: f64) -> Self {
        let due = Depth::ALL.map(|depth| (depth, now + intervals.of(depth).mul_f64(phase)));
        Self {
            intervals,
            due: due.map(|(depth, at)| (depth, at.max(now))),
            first: true,
            again: None,
            failed: None,
        }
    }

    fn next(&self) -> Instant {
        match self.first {
            true => Instant::now(),
            false => self.due[0].1,
        }
    }

    /// The round that is due `now`, and how many before it were missed.
    fn take(&mut self, now: Instant) -> Tick {
        if std::mem::take(&mut self.first) {
            for (depth, due) in &mut self.due {
                advance(due, self.intervals.of(*depth), now);
            }
            return Tick {
                depth: Depth::Image,
                due: now,
                missed: 0,
            };
        }
        let ripe = self
            .due
            .iter()
            .filter(|(_, due)| *due <= now)
            .map(|(depth, _)| *depth);
        let depth = ripe.max().max(self.again.take());
        let depth = depth.unwrap_or(Depth::Network);
        let due = self.due[0].1;
        let mut missed = 0;
        for (depth, due) in &mut self.due {
            let passed = advance(due, self.intervals.of(*depth), now);
            if *depth == Depth::Network {
                missed = passed.saturating_sub(1);
            }
        }
        let late = self.intervals.network * missed;
        Tick {
            depth,
            due: due + late,
            missed,
        }
    }

    /// A round of this depth is over.
    fn note(&mut self, depth: Depth, failed: bool) {
        let depth = Some(depth).filter(|depth| *depth > Depth::Network);
        if !failed && depth >= self.failed {
            self.failed = None;
        } else if failed && depth > self.failed {
            self.failed = depth;
            self.again = depth;
        }
    }
}

/// Moves `due` along its grid past `now`; returns by how many steps.
fn advance(due: &mut Instant, interval: Duration, now: Instant) -> u32 {
    let mut steps = 0;
    while *due <= now {
        *due += interval;
        steps += 1;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVALS: Intervals = Intervals {
        network: Duration::from_secs(15),
        request: Duration::from_secs(60),
        token: Duration::from_secs(300),
        image: Duration::from_secs(900),
    };

    fn after(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn the_first_round_is_due_at_once_and_goes_all_the_way() {
        let start = Instant::now();
        let mut timetable = Timetable::start(start, INTERVALS, 0.5);
        assert!(timetable.next() < after(start, 1.0));
        let tick = timetable.take(start);
        assert_eq!(
            tick,
            Tick {
                depth: Depth::Image,
                due: start,
                missed: 0
            }
        );
        assert_eq!(timetable.next(), after(start, 7.5));
    }

    #[test]
    fn deeper_rounds_ride_on_network_rounds() {
        let start = Instant::now();
        let mut timetable = Timetable::start(start, INTERVALS, 0.0);
        timetable.take(start);
        let mut depths = Vec::new();
        for round in 1..=20 {
            let now = timetable.next();
            assert_eq!(now, after(start, 15.0 * f64::from(round)));
            depths.push(timetable.take(now).depth);
        }
        let requests = depths
            .iter()
            .filter(|depth| **depth == Depth::Request)
            .count();
        assert_eq!(
            (requests, depths[3], depths[19]),
            (4, Depth::Request, Depth::Token)
        );
    }

    #[test]
    fn a_deep_round_that_fails_is_repeated_once() {
        let start = Instant::now();
        let mut timetable = Timetable::start(start, INTERVALS, 0.0);
        let mut round = |failed: bool| {
            let depth = timetable.take(timetable.next()).depth;
            timetable.note(depth, failed);
            depth
        };
        let (network, request, image) = (Depth::Network, Depth::Request, Depth::Image);
        assert_eq!([true, true, true].map(&mut round), [image, image, network]);
        // Not that often while it goes on, nor for the failure of a round that is no deeper.
        let depths = [true; 5].map(&mut round);
        assert_eq!(depths, [network, request, network, network, network]);
        // Once all is well up there, the next failure is news again.
        while round(false) != image {}
        assert_eq!([true, false].map(&mut round), [network, network]);
        assert_eq!([false, false].map(&mut round), [network, request]);
        let depths = [false, false, false, true, true, true].map(&mut round);
        assert_eq!(
            depths,
            [network, network, network, request, request, network]
        );
    }

    #[test]
    fn a_late_round_shifts_nothing_and_a_missed_one_is_counted() {
        let start = Instant::now();
        let mut timetable = Timetable::start(start, INTERVALS, 0.0);
        timetable.take(start);
        assert_eq!(timetable.take(after(start, 16.0)).missed, 0);
        assert_eq!(timetable.next(), after(start, 30.0));
        let tick = timetable.take(after(start, 61.0));
        assert_eq!(
            tick,
            Tick {
                depth: Depth::Request,
                due: after(start, 60.0),
                missed: 2
            }
        );
        assert_eq!(timetable.next(), after(start, 75.0));
    }

    #[test]
    fn a_fleet_is_spread_over_the_interval() {
        let mut buckets = [0; 10];
        for node in 0..5000 {
            buckets[(phase(&format!("aks-pool-{node}"), "contoso") * 9.999) as usize] += 1;
        }
        assert!(
            buckets.iter().all(|nodes| (350..650).contains(nodes)),
            "{buckets:?}"
        );
    }
}
