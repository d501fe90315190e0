//! When the rounds of one registry are due on one node, and how deep they go. Pure: it is told what
//! the clocks say, so the agent and the simulation of a fleet (`benches/fleet`) go by the same rules.
//!
//! Every depth has a grid of its own, laid over the time of day, so that no delay shifts it and a
//! node that starts anew finds its old turns again. Where in the grid a node's turns are follows
//! from its place in the fleet: all nodes together are spread evenly.

use std::time::Duration;

use regprobe_probes::Depth;

pub use self::pace::{Intervals, Pace, Place};

mod pace;

/// A grid point so near is the one that is due: timers are a little late, clocks a little early.
const NEAR: Duration = Duration::from_millis(50);

/// What the node's clocks say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The time of day, since 1970. It may be set.
    pub wall: Duration,
    /// Time that passed while the node was awake (`CLOCK_MONOTONIC`).
    pub awake: Duration,
    /// Time that passed at all (`CLOCK_BOOTTIME`).
    pub passed: Duration,
}

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

/// The timetable of one registry on one node.
#[derive(Clone, Debug)]
pub struct Timetable {
    pace: Pace,
    /// Where the grids begin, counted from 1970.
    offset: Duration,
    /// When the next round is due, by [`Moment::awake`].
    due: Duration,
    first: Option<Depth>,
    last: Moment,
    turns: [Turn; 4],
    /// To be repeated with the next round.
    again: Option<Depth>,
    /// The deepest round that failed, until one as deep does not.
    failed: Option<Depth>,
    /// From this depth on the registry, or the fleet, asks for patience until then.
    held: [Duration; 4],
}

/// The last turn of one depth.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// Its number in the grid.
    number: u64,
    /// When it was taken, by [`Moment::awake`].
    at: Duration,
}

impl Timetable {
    /// A first round of depth `first` is due at once; all others keep to the grids.
    pub fn start(now: Moment, pace: Pace, place: Place, first: Depth) -> Self {
        let mut timetable = Self {
            offset: pace.offset(place),
            pace,
            due: now.awake,
            first: Some(first),
            last: now,
            turns: [Turn::default(); 4],
            again: None,
            failed: None,
            held: [Duration::ZERO; 4],
        };
        for depth in Depth::ALL {
            // The first may come at any moment: to start is not to ask.
            timetable.turns[depth as usize] = Turn {
                number: timetable.number(depth, now.wall),
                at: timetable.ready_at(depth, now.awake),
            };
        }
        timetable
    }

    /// When the next round is due, by [`Moment::awake`].
    pub fn due(&self) -> Duration {
        self.due
    }

    /// The pace at which rounds take place.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// From now on keeps to another pace, or to another place in the fleet. Where that moves the grid
    /// little, it moves the turns; else the grid is laid anew, as it is for what comes with another of a
    /// node's requests: moved over and over by one more, it would never come.
    pub fn adopt(&mut self, now: Moment, pace: Pace, place: Place) {
        let offset = pace.offset(place);
        if (pace, offset) == (self.pace, self.offset) {
            return;
        }
        let before = (self.pace, self.offset);
        (self.pace, self.offset) = (pace, offset);
        let is_little = |depth| {
            let interval = pace.interval(depth);
            let little = interval.min(pace.interval(Depth::Request)) / 4;
            pace == before.0 && distance(before.1, offset, interval) < little
        };
        self.due = self.due_after_move(now, is_little(Depth::Network));
        let next = now.wall + self.due.saturating_sub(now.awake);
        let gone = next.saturating_sub(pace.interval(Depth::Network));
        for depth in Depth::ALL {
            let interval = pace.interval(depth);
            let turn = self.turns[depth as usize];
            if is_little(depth) {
                let nanos = interval.as_nanos() * u128::from(turn.number);
                let at = before.1 + Duration::from_nanos_u128(nanos);
                // Many small moves must not bring the next turn near the last.
                let last = self.number_near(depth, self.wall_of(turn, now));
                self.turns[depth as usize].number = self.number_near(depth, at).max(last);
                continue;
            }
            if interval < before.0.interval(depth) {
                // By a quicker pace many nodes would be overdue at the same moment.
                self.turns[depth as usize].at = turn.at.max(self.ready_at(depth, now.awake));
            }
            self.lay_anew(depth, now, gone);
        }
    }

    /// When the next round is due in a grid that has moved. What is late already stays so.
    fn due_after_move(&self, now: Moment, is_little: bool) -> Duration {
        if self.due <= now.awake {
            return self.due;
        }
        let network = self.pace.interval(Depth::Network);
        let half = network / 2;
        let since = now.awake.saturating_sub(self.last.awake);
        if !is_little {
            return self.point_after(now, half.saturating_sub(since));
        }
        let wall = (now.wall + self.due).saturating_sub(now.awake + half);
        let awake = self.due.saturating_sub(half);
        let moved = self.point_after(Moment { wall, awake, ..now }, Duration::ZERO);
        if moved <= now.awake && since < half {
            return moved + network;
        }
        // It may have moved back over now: a round later it would be the turn of others.
        moved.max(now.awake)
    }

    /// Rounds of `depth` and beyond wait until `until`, by [`Moment::awake`], and then for their turn.
    pub fn hold(&mut self, depth: Depth, until: Duration) {
        let held = &mut self.held[depth as usize];
        *held = until.max(*held);
    }

    /// Takes the round that is due `now`.
    pub fn take(&mut self, now: Moment) -> Tick {
        let network = self.pace.interval(Depth::Network);
        let lag = now.awake.saturating_sub(self.due);
        let steps = |time: Duration| (time.as_nanos() / network.as_nanos()) as u32;
        let asleep = |moment: Moment| moment.passed.saturating_sub(moment.awake);
        let slept = asleep(now).saturating_sub(asleep(self.last));
        let missed = steps(lag);
        // The node slept, or its clock was set: no reason to ask at once, together with others.
        let expected = self.last.wall + now.awake.saturating_sub(self.last.awake);
        if now.wall.abs_diff(expected) > network / 2 {
            for depth in Depth::ALL {
                self.lay_anew(depth, now, now.wall);
            }
        }
        let depth = match self.first.take() {
            Some(depth) => depth,
            None => self
                .turn_of(now)
                .max(self.again.take().unwrap_or(Depth::Network)),
        };
        let depth = self.within_patience(depth, now);
        self.take_turns(depth, now);
        self.last = now;
        self.due = self.point_after(now, NEAR);
        Tick {
            depth,
            lag: lag.saturating_sub(network * missed),
            missed,
            slept: steps(slept),
        }
    }

    /// A round of this depth is over, and the load allows to repeat it once: no single lost answer
    /// is then held against a registry for as long as the deeper intervals are.
    pub fn note(&mut self, depth: Depth, failed: bool) {
        let depth = Some(depth).filter(|depth| *depth > Depth::Network);
        if !failed && depth >= self.failed {
            self.failed = None;
        } else if failed && depth > self.failed {
            self.failed = depth;
            self.again = depth;
        }
    }

    /// The deepest of which a turn has come. It comes once in its interval, or when it is overdue. What is
    /// deeper than a request rides on one.
    fn turn_of(&self, now: Moment) -> Depth {
        let network = self.pace.interval(Depth::Network);
        let is_ripe = |depth: &Depth| {
            let turn = &self.turns[*depth as usize];
            let since = now.awake.saturating_sub(turn.at);
            let overdue = since + network > self.overdue_after(*depth);
            overdue || self.number(*depth, now.wall) > turn.number
        };
        Depth::ALL
            .into_iter()
            .rfind(is_ripe)
            .filter(|_| is_ripe(&Depth::Request))
            .unwrap_or(Depth::Network)
    }

    /// How long after the last a turn comes whatever the grid says: up to a quarter of an interval sooner than
    /// [`latest`], by the node's place, for many nodes may have had their last at the same moment.
    fn overdue_after(&self, depth: Depth) -> Duration {
        let all = self.pace.interval(Depth::Image).as_nanos();
        let place = (self.offset.as_nanos() % all) as f64 / all as f64;
        let intervals = f64::from(latest(depth)) - place / 4.0;
        self.pace.interval(depth).mul_f64(intervals)
    }

    /// `depth`, or as far as patience lets a round go. A turn that was waited out is over: the next
    /// is a turn in the grid again, so that those who waited for the same moment do not meet.
    fn within_patience(&mut self, depth: Depth, now: Moment) -> Depth {
        let held = |d: &Depth| self.held[*d as usize] > now.awake;
        let Some(first) = Depth::ALL.into_iter().find(held) else {
            return depth;
        };
        let until = self.held[first as usize];
        for waiting in Depth::ALL.into_iter().filter(|d| *d >= first) {
            let turn = self.turns[waiting as usize];
            self.turns[waiting as usize] = Turn {
                number: turn.number.max(self.number(waiting, now.wall)),
                at: turn.at.max(self.ready_at(waiting, until)),
            };
        }
        match first {
            Depth::Network | Depth::Request => Depth::Network,
            Depth::Token => depth.min(Depth::Request),
            Depth::Image => depth.min(Depth::Token),
        }
    }

    /// All turns up to `depth` are taken now, those of the grid that are nearest: what comes out of turn
    /// is no reason to ask again soon.
    fn take_turns(&mut self, depth: Depth, now: Moment) {
        for depth in Depth::ALL.into_iter().filter(|d| *d <= depth) {
            self.turns[depth as usize] = Turn {
                number: self.number_near(depth, now.wall),
                at: now.awake,
            };
        }
    }

    /// The next turn in a new grid is at least [`soonest`] after the last in the old, and as a rule less than an
    /// interval later; those up to `gone` have no round left that could take them, and are nobody's. Many
    /// nodes may change their grid at the same moment, and together they send less for a while, never more.
    fn lay_anew(&mut self, depth: Depth, now: Moment, gone: Duration) {
        let last = self.wall_of(self.turns[depth as usize], now);
        let number = self.number_at(depth, last + self.soonest(depth));
        self.turns[depth as usize].number = number.max(self.number(depth, gone));
    }

    /// How long after the last turn the next may come in a new grid.
    fn soonest(&self, depth: Depth) -> Duration {
        self.pace.interval(depth).mul_f64(soonest(depth))
    }

    /// When the last turn was taken at the latest, if the next may come at `moment`.
    fn ready_at(&self, depth: Depth, moment: Duration) -> Duration {
        moment.saturating_sub(self.soonest(depth))
    }

    /// When a turn was taken, by the clock on the wall as it is `now`.
    fn wall_of(&self, turn: Turn, now: Moment) -> Duration {
        now.wall.saturating_sub(now.awake.saturating_sub(turn.at))
    }

    /// The number of the turn that came last.
    fn number(&self, depth: Depth, wall: Duration) -> u64 {
        self.number_at(depth, wall + NEAR)
    }

    /// The number of the turn that is nearest.
    fn number_near(&self, depth: Depth, wall: Duration) -> u64 {
        self.number_at(depth, wall + self.pace.interval(depth) / 2)
    }

    fn number_at(&self, depth: Depth, wall: Duration) -> u64 {
        let since = wall.saturating_sub(self.offset);
        (since.as_nanos() / self.pace.interval(depth).as_nanos()) as u64
    }

    /// The first point of the network's grid that is at least `soonest` away, by [`Moment::awake`].
    fn point_after(&self, now: Moment, soonest: Duration) -> Duration {
        let network = self.pace.interval(Depth::Network).as_nanos();
        let since = (now.wall + soonest).saturating_sub(self.offset).as_nanos();
        let wait = Duration::from_nanos((network - since % network) as u64);
        now.awake + soonest + wait
    }
}

/// [`Timetable::soonest`] in intervals. Each newcomer moves all of the deeper turns: they wait longer, so that
/// nodes send less, not more, while many come.
const fn soonest(depth: Depth) -> f64 {
    match depth {
        Depth::Network | Depth::Request => 0.75,
        Depth::Token | Depth::Image => 0.95,
    }
}

/// After how many intervals a turn is overdue, and comes whatever the grid says. In a fleet that grows, deeper
/// turns have to be moved again and again; those that come out of their turn meet the turns of others, and
/// there must be few.
const fn latest(depth: Depth) -> u32 {
    match depth {
        Depth::Network | Depth::Request => 2,
        Depth::Token | Depth::Image => 4,
    }
}

/// Between two grids of this interval.
fn distance(one: Duration, other: Duration, interval: Duration) -> Duration {
    let apart = one.abs_diff(other).as_nanos() % interval.as_nanos();
    Duration::from_nanos_u128(apart.min(interval.as_nanos() - apart))
}

#[cfg(test)]
mod tests;
