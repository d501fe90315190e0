//! When the rounds of one registry are due on one node, and how deep they go. Pure: its caller reads
//! the clocks, so the agent and the simulation of a fleet (`benches/fleet`) use the same rules.
//!
//! **The rule.** Each depth has one turn in each of its intervals, always at the same time of day: the
//! node's phase. A round takes every depth that has had a turn since half an interval after that depth
//! was last taken; where all nodes may send their requests at the same moment, since it was last taken. Nothing
//! else makes a node of a counted fleet send requests. Events that reach many nodes at the same moment (a start,
//! an outage, a clock that is set, a date in `Retry-After`) make none of them send requests at that moment: each
//! waits for its turn.
//!
//! After a change on the way to the registry, turns come early for a while, by the rule of `haste`: a full round
//! has its turn in a shorter span, and other turns are given up for it. Only where all nodes may send their
//! requests at the same moment is that round due at once.
//!
//! **The bound.** For every fleet of 10 to 20,000 nodes no minute exceeds the budget. From 100 nodes on,
//! the busiest minute has at most 1.2 times the mean and the busiest ten seconds have at most twice the
//! mean. No node goes without requests for more than twice the interval that it exports. `benches/fleet`
//! checks this, while nodes start, restart, come and go, and while the count is late or wrong.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use regprobe_probes::Depth;

use super::{
    clock::{Moment, NEAR},
    haste::{Haste, Hurry},
    pace::Pace,
};

/// The number of a node's registries whose rounds begin at the same moment. They wake the node once,
/// and each finds in the processor's caches what the one before it used. More of them would need more
/// memory and send the nameserver a burst of questions.
const TOGETHER: usize = 8;
/// The time between one such group of registries and the next.
const APART: Duration = Duration::from_millis(50);

/// One round that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// How deep it goes.
    pub depth: Depth,
    /// How late it is.
    pub lag: Duration,
    /// Rounds before it that had to be left out, because others took too long.
    pub missed: u32,
    /// Rounds before it that the node slept through.
    pub slept: u32,
}

/// When the turns of one node at one registry are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// The node's place among all, from 0 to 1, which is a part of an interval of requests. Places are
    /// evenly spread, and so are requests.
    place: f64,
    /// A number of such intervals. It decides which requests come with a token or an image, and which
    /// are left out if the interval is stretched.
    interval: u32,
    /// A number of rounds of the network, so that not all registries of a node get requests in the same
    /// round.
    round: u32,
    /// The time between the node's first group of registries and this one's.
    group: Duration,
}

impl Phase {
    /// Of `node` at its `number`th registry. A node that does not know its place takes any.
    pub(super) fn new(node: u64, registry: &str, number: usize, place: Option<f64>) -> Self {
        Self {
            place: place.unwrap_or_else(|| fraction((node, "place"))),
            interval: hash((node, registry)) as u32 >> 12,
            round: hash(registry) as u32,
            group: APART * (number / TOGETHER) as u32,
        }
    }

    /// Turns come this long before the multiples of their interval.
    fn ahead(&self, pace: &Pace) -> Duration {
        let [network, request] =
            [Depth::Network, Depth::Request].map(|depth| pace.configured(depth));
        let rounds = request.div_duration_f64(network) as u32;
        request * self.interval
            + request.mul_f64(self.place)
            + network * (self.round % rounds)
            + self.group
    }
}

/// The turns of one node at one registry, as the fleet's budget allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turns {
    /// How often they come.
    pub pace: Pace,
    /// When they come.
    pub phase: Phase,
    /// Until then, by [`Moment::awake`], only the network has turns.
    pub quiet_until: Duration,
    /// Whether all nodes may send their requests at the same moment.
    pub at_once: bool,
}

/// The timetable of one registry on one node.
#[derive(Clone, Debug)]
pub struct Timetable {
    turns: Turns,
    /// When the next round is due, by [`Moment::awake`]. If turns move, it may come from `soonest` on.
    due: Duration,
    soonest: Duration,
    last: Moment,
    /// Earlier turns of each depth do not count, by [`Moment::awake`].
    ready: [Duration; 4],
    /// Until then the registry has asked each depth to wait, by [`Moment::awake`].
    held: [Duration; 4],
    /// The next round is as deep as this even without a turn.
    out_of_turn: Option<Depth>,
    /// The depth of the deepest round that failed, until one as deep succeeds.
    failed: Option<Depth>,
    hurry: Hurry,
}

impl Timetable {
    /// A first round of depth `first` is due at once. All later ones wait for their turns. Turns too close
    /// to the first round are left out: taken later, they would come on top of other nodes' turns.
    pub fn start(now: Moment, turns: Turns, first: Depth) -> Self {
        let ready = now.awake + turns.pace.interval(Depth::Network) / 2;
        Self {
            turns,
            due: now.awake,
            soonest: now.awake,
            last: now,
            ready: [ready; 4],
            held: [Duration::ZERO; 4],
            out_of_turn: Some(first),
            failed: None,
            hurry: Hurry::default(),
        }
    }

    /// When the next round is due, by [`Moment::awake`].
    pub fn due(&self) -> Duration {
        self.due
    }

    /// Uses these turns from now on. A round that is already late stays late.
    pub fn adopt(&mut self, now: Moment, turns: Turns) {
        self.turns = turns;
        if now.awake < self.due {
            self.due = self.next_turn(now).max(now.awake);
        }
    }

    /// `depth` and all deeper ones wait until `until`, by [`Moment::awake`], and then for their turn.
    pub fn hold(&mut self, depth: Depth, until: Duration) {
        for held in &mut self.held[depth as usize..] {
            *held = until.max(*held);
        }
    }

    /// The way to the registry changed, so that earlier requests tell nothing: all are due early.
    pub fn hasten(&mut self, now: Moment) {
        let Some(haste) = self.turns.pace.haste() else {
            return;
        };
        self.hurry
            .start(now.awake.max(self.turns.quiet_until), haste);
        if self.turns.at_once && self.hurry.is_on(now.awake) {
            self.due = now.awake;
        }
    }

    /// Takes the round that is due `now`.
    pub fn take(&mut self, now: Moment) -> Tick {
        let network = self.interval(Depth::Network);
        let rounds = |time: Duration| time.div_duration_f64(network) as u32;
        let asleep = |moment: Moment| moment.passed.saturating_sub(moment.awake);
        let lag = now.awake.saturating_sub(self.due);
        let missed = rounds(lag);
        let slept = rounds(asleep(now).saturating_sub(asleep(self.last)));

        if let Some(haste) = self.turns.pace.haste() {
            self.hurry.go_on(now.awake, haste);
        }
        let out_of_turn = self.out_of_turn.take();
        let wanted = self.turn(now).max(out_of_turn.unwrap_or(Depth::Network));
        let allowed = |depth: &Depth| *depth <= wanted && self.held[*depth as usize] <= now.awake;
        let depth = Depth::ALL.into_iter().rfind(allowed);
        let depth = depth.unwrap_or(Depth::Network);
        for taken in Depth::ALL.into_iter().filter(|taken| *taken <= depth) {
            self.ready[taken as usize] = now.awake + self.apart(self.interval(taken));
        }
        if depth == Depth::Image {
            self.hurry.end_wait();
        } else if let (Depth::Image, Some(haste)) = (wanted, self.turns.pace.haste()) {
            self.hurry.put_off(self.held[Depth::Image as usize], haste);
        }
        self.last = now;
        self.soonest = self.due + network * missed + self.apart(network);
        self.due = self.next_turn(now);
        Tick {
            depth,
            lag: lag.saturating_sub(network * missed),
            missed,
            slept,
        }
    }

    /// A round of this depth is over, in a fleet that may repeat it. One that begins to fail is repeated
    /// once: a single lost answer should not count for as long as the deeper intervals are.
    pub fn note(&mut self, depth: Depth, failed: bool) {
        let depth = Some(depth).filter(|depth| *depth > Depth::Network);
        if !failed && depth >= self.failed {
            self.failed = None;
        } else if failed && depth > self.failed {
            self.failed = depth;
            self.out_of_turn = depth;
        }
    }

    /// The deepest depth that has had a turn. What is deeper than a request waits for one.
    fn turn(&self, now: Moment) -> Depth {
        if let Some(haste) = self
            .turns
            .pace
            .haste()
            .filter(|_| self.hurry.is_on(now.awake))
        {
            return self.hurried_turn(now, haste);
        }
        let had_turn = |depth: &Depth| {
            let since = self.ready[*depth as usize];
            self.had_turn(now, *depth, since, self.interval(*depth))
        };
        match had_turn(&Depth::Request) {
            true => Depth::ALL.into_iter().rfind(had_turn),
            false => None,
        }
        .unwrap_or(Depth::Network)
    }

    /// The same in a hurry: a full round, and requests beside it.
    fn hurried_turn(&self, now: Moment, haste: &Haste) -> Depth {
        let full =
            || self.turns.at_once || self.had_turn(now, Depth::Image, Duration::ZERO, haste.full);
        let request = |span| {
            let since = self.ready[Depth::Request as usize];
            self.had_turn(now, Depth::Request, since, span)
        };
        match haste.request {
            _ if self.hurry.waits() && full() => Depth::Image,
            Some(span) if request(span) => Depth::Request,
            _ => Depth::Network,
        }
    }

    /// Whether `depth` has had one of its turns, of which there is one in each `interval`, after `since`, by
    /// [`Moment::awake`].
    fn had_turn(&self, now: Moment, depth: Depth, since: Duration, interval: Duration) -> bool {
        let ahead = self.turns.phase.ahead(&self.turns.pace);
        let of_hurry = self.hurry.since(now.awake, self.interval(Depth::Network));
        let since = since
            .max(self.held[depth as usize])
            .max(self.turns.quiet_until)
            .max(of_hurry);
        let number = |moment: Moment| moment.turn(interval, ahead);
        since <= now.awake && number(now.at(since)) < number(now)
    }

    /// How long after a round a turn counts. Where all nodes may ask at the same moment, a round out of turn puts off
    /// no turn.
    fn apart(&self, interval: Duration) -> Duration {
        match self.turns.at_once {
            true => 2 * NEAR,
            false => interval / 2,
        }
    }

    /// The next turn of the network, by [`Moment::awake`].
    fn next_turn(&self, now: Moment) -> Duration {
        let ahead = self.turns.phase.ahead(&self.turns.pace);
        let from = now.at(self.soonest);
        self.soonest + from.until_turn(self.interval(Depth::Network), ahead)
    }

    fn interval(&self, depth: Depth) -> Duration {
        self.turns.pace.interval(depth)
    }
}

/// A number from 0 to 1 that depends on the value alone.
pub(super) fn fraction(value: impl Hash) -> f64 {
    hash(value) as f64 / u64::MAX as f64
}

/// A number that depends on the value alone, in every process of this build.
pub(super) fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
