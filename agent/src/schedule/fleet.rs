//! How many agents there are, and which of them this one is: what a request budget is shared by.
//! Pure, as the timetable is; `service` does the asking.
//!
//! All anonymous requests of a fleet count as one client's (ACR: 5,000 or 10,000 a minute and
//! identity). So the budget is for what the login server and its token service get; data endpoints
//! hand out nothing to strangers, count apart, and each gets no more than the login server.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    net::IpAddr,
    time::Duration,
};

use super::timetable::{Intervals, Moment, Pace, Place};
use crate::config::{self, FleetSize};

pub(crate) mod service;

/// What a fleet is taken for that could not be counted: Kubernetes supports as many nodes.
pub const ASSUMED_SIZE: u32 = 5000;
/// A fleet that shrinks is believed to after one to two of these, so that neither a short answer nor a
/// roll-out nor an outage makes it hasty. They begin at the same time on all nodes.
const MEMORY: Duration = Duration::from_secs(30 * 60);
/// For so long a new agent that is not listed itself takes the list for an old one, of which others may be
/// missing, too. After that it is believed to be one that is never listed.
const UNLISTED: Duration = Duration::from_secs(5 * 60);
/// Before the second question, at most, and twice as long before each after it, until the turns of all agents
/// come sooner: of agents that start together the first answers hold few.
const SECOND: Duration = Duration::from_secs(10);
/// Between the questions of two nodes to the cluster's nameserver, on average: an answer holds an address of
/// every one.
const TURN: Duration = Duration::from_millis(20);
/// Between two questions of a node; twice as long where not all have their turn in it, and so on.
const PERIOD: Duration = Duration::from_secs(30);
/// A question so near was asked already: timers are a little late, clocks a little early.
const NEAR: Duration = Duration::from_secs(1);

/// The golden ratio's fraction, of 2^64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where the size of the fleet comes from: the label `source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `fleet.size`.
    Fixed,
    /// The last answer for the Service.
    Known,
    /// An earlier answer: the last question got none.
    Stale,
    /// An answer that did not hold all addresses.
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
    /// Where among them this one stands.
    pub place: Place,
    /// What all of them may send to one registry.
    pub requests_per_minute: u32,
    /// Until when, by [`Moment::awake`], this agent sends no request: the others may not know of it
    /// yet, and it may not know of them. It is later with every answer in which this agent is missing.
    pub quiet_until: Duration,
    alone: bool,
}

impl Fleet {
    /// The pace at which its nodes probe a registry.
    pub fn pace(&self, intervals: &Intervals, images: usize) -> Pace {
        Pace::of(intervals).within(self.requests_per_minute, self.size, images)
    }

    /// Whether it is so small that all may ask at the same moment: when they start, or once more after
    /// a failure. A fleet that is still being counted never is.
    pub fn may_ask_at_once(&self, images: usize) -> bool {
        self.alone && Pace::allows_at_once(self.requests_per_minute, self.size, images)
    }
}

/// What the nameserver said of the Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How many addresses there are of one family.
    pub count: u32,
    /// How many of them come before this node's own, if that is among them.
    pub rank: Option<u32>,
    /// Whether there are more.
    pub is_cut: bool,
}

/// The count so far.
#[derive(Clone, Debug)]
pub struct Census {
    config: config::FleetConfig,
    scattered: u64,
    /// Once an answer held an address of this node.
    place: Option<Place>,
    /// Whether an answer did, or none is waited for any longer.
    is_listed: bool,
    /// When this agent started, or last heard an answer without it that others may still believe, too.
    unknown: Duration,
    /// When the first answer came.
    heard: Option<Duration>,
    source: Source,
    /// How long to wait before the next question at most.
    pause: Duration,
    /// The number of the memory that is being filled, its highest count, and that of the one before.
    memory: (u64, u32, u32),
}

impl Census {
    /// Before anybody was asked. By `scattered` the node has a place as long as none is known.
    pub fn start(config: config::FleetConfig, scattered: u64, now: Moment) -> Self {
        Self {
            source: match config.size {
                FleetSize::Fixed(_) => Source::Fixed,
                FleetSize::Auto => Source::Assumed,
            },
            config,
            scattered,
            place: None,
            is_listed: false,
            unknown: now.awake,
            heard: None,
            pause: SECOND,
            memory: (0, 0, 0),
        }
    }

    /// An answer came.
    pub fn hear(&mut self, now: Moment, answer: Answer) {
        let count = match answer.is_cut {
            true => answer.count.max(ASSUMED_SIZE),
            false => answer.count,
        };
        let number = now.wall.as_secs() / MEMORY.as_secs();
        let (filled, highest, before) = self.memory;
        self.memory = match number.checked_sub(filled) {
            Some(0) => (number, highest.max(count), before),
            Some(1) => (number, count, highest),
            // The clock was set back a little.
            None if filled == number + 1 => (filled, highest.max(count), before),
            _ => (number, count, 0),
        };
        let first = *self.heard.get_or_insert(now.awake);
        self.is_listed |= answer.rank.is_some() || now.awake > first + UNLISTED;
        if !self.is_listed && !answer.is_cut {
            self.unknown = now.awake;
        }
        if self.source != Source::Fixed {
            self.source = match answer.is_cut || !self.is_listed {
                true => Source::AtLeast,
                false => Source::Known,
            };
        }
        if answer.is_cut {
            // Each node may have seen another part.
            self.place = None;
        } else if let Some(rank) = answer.rank.filter(|_| count >= self.counted()) {
            // Who is missing for a while keeps its place, and so do the others theirs.
            self.place = Some(Place::ranked(rank, count));
        }
    }

    /// No answer came.
    pub fn miss(&mut self) {
        if matches!(self.source, Source::Known | Source::AtLeast) {
            self.source = Source::Stale;
        }
    }

    /// The fleet as far as it is known.
    pub fn fleet(&self) -> Fleet {
        let alone = self.config.service.is_none();
        let size = match (self.config.size, self.counted()) {
            (FleetSize::Fixed(size), _) => size,
            (FleetSize::Auto, 0) if alone => 1,
            (FleetSize::Auto, counted) if self.is_listed => counted,
            (FleetSize::Auto, counted) => counted.max(ASSUMED_SIZE),
        };
        let is_fixed = matches!(self.config.size, FleetSize::Fixed(_));
        let quiet = match alone || is_fixed {
            true => Duration::ZERO,
            false => period(self.heard_of()),
        };
        Fleet {
            size,
            source: self.source,
            place: self
                .place
                .unwrap_or_else(|| Place::scattered(self.scattered)),
            requests_per_minute: self.config.requests_per_minute,
            quiet_until: self.unknown + quiet,
            alone: alone || is_fixed,
        }
    }

    /// The most that was counted lately; 0 before the first answer.
    fn counted(&self) -> u32 {
        let (_, highest, before) = self.memory;
        highest.max(before)
    }

    /// Of how many there are others are likely to know: by that all agents ask.
    fn heard_of(&self) -> u32 {
        match (self.config.size, self.counted()) {
            (FleetSize::Fixed(size), _) => size,
            (FleetSize::Auto, 0) => ASSUMED_SIZE,
            (FleetSize::Auto, counted) => counted,
        }
    }

    /// How long to wait before the next question. All agents ask in turn, beginning at the same times of day,
    /// so that between those times the nodes of a small fleet know of the same ones.
    pub fn patience(&mut self, now: Moment) -> Duration {
        let size = self.heard_of();
        // In no order: in that of places, what nodes hear would run before or after the turns of their
        // requests, and those would pile up.
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(self.scattered);
        let turn = (TURN * size).mul_f64(hash as f64 / u64::MAX as f64);
        let since = (now.wall + NEAR).saturating_sub(turn).as_nanos() % period(size).as_nanos();
        let wait = NEAR + period(size) - Duration::from_nanos_u128(since);
        let pause = self.pause;
        self.pause = pause.saturating_mul(2);
        wait.min(pause)
    }
}

/// A number that scatters nodes whose addresses follow each other, in whatever steps, more evenly than
/// chance would: multiples of the golden ratio (Kronecker's sequence).
pub fn scattered(address: IpAddr) -> u64 {
    let number = match address.to_canonical() {
        IpAddr::V4(v4) => u32::from(v4).into(),
        // A node may have a network of its own, and the same address in it as others in theirs.
        IpAddr::V6(v6) => (u128::from(v6) as u64).wrapping_add((u128::from(v6) >> 64) as u64),
    };
    number.wrapping_mul(GOLDEN)
}

/// Within this time every node asks how many there are.
fn period(size: u32) -> Duration {
    let periods = (TURN * size).as_nanos().div_ceil(PERIOD.as_nanos());
    PERIOD * periods.max(1).next_power_of_two() as u32
}

#[cfg(test)]
mod tests;
