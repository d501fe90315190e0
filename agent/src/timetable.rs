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
        timetable.wait_for_turns(now);
        // The first may come at any moment: to start is not to ask.
        for depth in Depth::ALL {
            let half = timetable.pace.interval(depth) / 2;
            timetable.turns[depth as usize].at = now.awake.saturating_sub(half);
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

    /// From now on keeps to another pace, or to another place in the fleet. What changes little
    /// costs no turn; after a great change the first turn in the new grid is waited for.
    pub fn adopt(&mut self, now: Moment, pace: Pace, place: Place) {
        let offset = pace.offset(place);
        if (pace, offset) == (self.pace, self.offset) {
            return;
        }
        let moved = offset.abs_diff(self.offset);
        let same_turns = pace == self.pace && moved < pace.interval(Depth::Request) / 2;
        for depth in Depth::ALL {
            let (turn, interval) = (&mut self.turns[depth as usize], pace.interval(depth));
            if interval < self.pace.interval(depth) {
                // By a quicker pace many nodes would be overdue at the same moment.
                turn.at = turn.at.max(now.awake.saturating_sub(interval));
            }
        }
        (self.pace, self.offset) = (pace, offset);
        if !same_turns {
            self.wait_for_turns(now);
        }
        if self.first.is_none() {
            let since = now.awake.saturating_sub(self.last.awake);
            let soonest = (pace.interval(Depth::Network) / 2).saturating_sub(since);
            self.due = self.point_after(now, soonest);
        }
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
            self.wait_for_turns(now);
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

    /// The deepest of which a turn has come. It comes once in its interval, and not later than two
    /// after the last. Where the grid was laid anew, requests keep half an interval apart: a turn
    /// that comes sooner is left out.
    fn turn_of(&mut self, now: Moment) -> Depth {
        let since = |turn: &Turn| now.awake.saturating_sub(turn.at);
        let apart = self.pace.interval(Depth::Request) / 2;
        if since(&self.turns[Depth::Request as usize]) < apart {
            self.wait_for_turns(now);
            return Depth::Network;
        }
        let network = self.pace.interval(Depth::Network);
        let is_ripe = |depth: &Depth| {
            let turn = &self.turns[*depth as usize];
            let overdue = since(turn) + network > 2 * self.pace.interval(*depth);
            overdue || self.number(*depth, now) > turn.number
        };
        Depth::ALL
            .into_iter()
            .rfind(is_ripe)
            .unwrap_or(Depth::Network)
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
            self.turns[waiting as usize] = Turn {
                number: self.number(waiting, now),
                at: until.saturating_sub(self.pace.interval(waiting)),
            };
        }
        match first {
            Depth::Network | Depth::Request => Depth::Network,
            Depth::Token => depth.min(Depth::Request),
            Depth::Image => depth.min(Depth::Token),
        }
    }

    /// All turns up to `depth` are taken now.
    fn take_turns(&mut self, depth: Depth, now: Moment) {
        for depth in Depth::ALL.into_iter().filter(|d| *d <= depth) {
            self.turns[depth as usize] = Turn {
                number: self.number(depth, now),
                at: now.awake,
            };
        }
    }

    /// The turns of the grid that have come already are nobody's.
    fn wait_for_turns(&mut self, now: Moment) {
        for depth in Depth::ALL {
            self.turns[depth as usize].number = self.number(depth, now);
        }
    }

    /// The number of the turn that `now` belongs to.
    fn number(&self, depth: Depth, now: Moment) -> u64 {
        let since = (now.wall + NEAR).saturating_sub(self.offset);
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

#[cfg(test)]
mod tests;
