//! How many agents there are, and which of them this one is. Pure, like the timetable; `service` asks
//! the nameserver.
//!
//! A registry counts the anonymous requests of all nodes as those of one client (ACR: 5,000 or 10,000 a
//! minute for each identity). So the budget covers the login server and its token service. Data
//! endpoints count separately, and none of them gets more requests than the login server.
//!
//! **The rule.** An agent believes the highest count of the last half hour. A new agent sends no
//! request until the nameserver lists it and all others have asked again. So each agent that sends
//! requests knows of all that do, and uses only its part of the budget.

use std::time::Duration;

use super::{
    clock::Moment,
    pace::{Intervals, Pace},
    timetable::{Phase, Turns, fraction},
    walks::Walks,
};
use crate::config::{self, FleetSize};

/// The assumed size of a fleet that could not be counted: Kubernetes supports this many nodes.
pub const ASSUMED_SIZE: u32 = 5000;
/// A count is remembered for one to two of these, so that a short answer, a roll-out or an outage of
/// some nodes does not make the others send more.
const MEMORY: Duration = Duration::from_secs(30 * 60);
/// An agent that is not listed by then stops waiting for it.
const UNLISTED: Duration = Duration::from_secs(2 * 60);
/// The time between two questions of an agent: the first, or the second for each agent, whichever is
/// longer. An answer holds the address of every agent, so its size grows with the fleet.
const PERIOD: Duration = Duration::from_secs(10);
const PERIOD_EACH: Duration = Duration::from_millis(20);

/// Where the size of the fleet comes from: the label `source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `fleet.size`.
    Fixed,
    /// The last answer for the Service.
    Known,
    /// An earlier answer: the last question got none.
    Stale,
    /// An answer that does not list all agents.
    AtLeast,
    /// No answer yet, or nobody to ask.
    Assumed,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 5] = [
        Self::Fixed,
        Self::Known,
        Self::Stale,
        Self::AtLeast,
        Self::Assumed,
    ];

    /// The value of the label `source`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Known => "known",
            Self::Stale => "stale",
            Self::AtLeast => "at_least",
            Self::Assumed => "assumed",
        }
    }
}

/// The fleet as one node sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fleet {
    /// How many agents there are.
    pub size: u32,
    /// How that is known.
    pub source: Source,
    /// Until when, by [`Moment::awake`], this agent sends no request.
    pub quiet_until: Duration,
    node: u64,
    place: Option<f64>,
    requests_per_minute: u32,
    is_counted: bool,
}

impl Fleet {
    /// The pace at which this node probes a registry with these walks.
    pub fn pace(&self, intervals: &Intervals, walks: Walks) -> Pace {
        let share = fraction((self.node, "share"));
        Pace::of(intervals).within(self.requests_per_minute, self.size, walks.requests(), share)
    }

    /// This node's turns at its `number`th registry, which has these walks.
    pub fn turns(
        &self,
        intervals: &Intervals,
        walks: Walks,
        registry: &str,
        number: usize,
    ) -> Turns {
        Turns {
            pace: self.pace(intervals, walks),
            at_once: self.may_ask_at_once(walks),
            phase: Phase::new(self.node, registry, number, self.place),
            quiet_until: self.quiet_until,
        }
    }

    /// Whether its size is no more than an assumption, although there is a Service to ask for.
    pub fn is_assumed(&self) -> bool {
        self.is_counted && self.source == Source::Assumed
    }

    /// Whether it is so small that all its nodes may send requests at the same moment: when they start,
    /// once more after a failure, or after a change. This never holds for a fleet that is counted: it may grow.
    pub fn may_ask_at_once(&self, walks: Walks) -> bool {
        let budget = self.requests_per_minute;
        !self.is_counted && Pace::allows_at_once(budget, self.size, walks.requests())
    }
}

/// What the nameserver answered for the Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// How many addresses there are of one family.
    pub agents: u32,
    /// How many of them come before this node's own, if that is listed. They are in the order of their
    /// hashes: new agents come between the others, so they move no place far.
    pub rank: Option<u32>,
    /// Whether the answer leaves some out.
    pub is_cut: bool,
}

/// The count so far.
#[derive(Clone, Debug)]
pub struct Census {
    config: config::FleetConfig,
    node: u64,
    started: Duration,
    /// When an answer first held this agent.
    listed: Option<Duration>,
    place: Option<f64>,
    /// The answer to the last question, if there was one.
    last: Option<Count>,
    /// The number of the memory that is being filled, its highest count, and that of the one before.
    memory: (u64, u32, u32),
}

impl Census {
    /// Before the first question. `node` is a number that no other node has.
    pub fn start(config: config::FleetConfig, node: u64, now: Moment) -> Self {
        Self {
            config,
            node,
            started: now.awake,
            listed: None,
            place: None,
            last: None,
            memory: (0, 0, 0),
        }
    }

    /// An answer came.
    pub fn hear(&mut self, now: Moment, count: Count) {
        let agents = match count.is_cut {
            true => count.agents.max(ASSUMED_SIZE),
            false => count.agents,
        };
        let number = now.awake.as_secs() / MEMORY.as_secs();
        let (filled, highest, before) = self.memory;
        self.memory = match number - filled {
            0 => (number, highest.max(agents), before),
            1 => (number, agents, highest),
            _ => (number, agents, 0),
        };
        if count.rank.is_some() || now.awake > self.started + UNLISTED {
            self.listed.get_or_insert(now.awake);
        }
        // A list that is not whole says nothing about places.
        let is_whole = !count.is_cut && agents >= self.counted();
        if let Some(rank) = count.rank.filter(|_| is_whole) {
            self.place = Some(f64::from(rank) / f64::from(agents));
        }
        self.last = Some(count);
    }

    /// No answer came.
    pub fn miss(&mut self) {
        self.last = None;
    }

    /// The fleet as far as it is known.
    pub fn fleet(&self) -> Fleet {
        let is_alone = self.config.service.is_none();
        let (size, source) = match (self.config.size, self.counted()) {
            (FleetSize::Fixed(size), _) => (size, Source::Fixed),
            (FleetSize::Auto, 0) if is_alone => (1, Source::Assumed),
            (FleetSize::Auto, 0) => (ASSUMED_SIZE, Source::Assumed),
            (FleetSize::Auto, counted) => match (self.last, self.listed) {
                (_, None) => (counted.max(ASSUMED_SIZE), Source::AtLeast),
                (None, _) => (counted, Source::Stale),
                (Some(last), _) if last.is_cut => (counted, Source::AtLeast),
                (Some(_), _) => (counted, Source::Known),
            },
        };
        let is_counted = !is_alone && source != Source::Fixed;
        Fleet {
            size,
            source,
            quiet_until: match (is_counted, self.listed) {
                (false, _) => Duration::ZERO,
                (true, None) => self.started + UNLISTED,
                (true, Some(listed)) => listed + self.period(),
            },
            node: self.node,
            place: self.place,
            requests_per_minute: self.config.requests_per_minute,
            is_counted,
        }
    }

    /// How long to wait before the next question. The agents ask in turn, so the nameserver never has to
    /// answer all of them at once.
    pub fn wait(&self, now: Moment) -> Duration {
        let ahead = self.period().mul_f64(fraction((self.node, "census")));
        now.until_turn(self.period(), ahead)
    }

    /// The most that was counted lately; 0 before the first answer.
    fn counted(&self) -> u32 {
        let (_, highest, before) = self.memory;
        highest.max(before)
    }

    /// Within this time every agent asks how many there are.
    fn period(&self) -> Duration {
        PERIOD.max(PERIOD_EACH * self.counted())
    }
}

#[cfg(test)]
mod tests;
