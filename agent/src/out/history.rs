//! What rounds saw, in memory, up to a limit in bytes. The board adds every round, and the web server looks
//! them up. When there is no more room, rounds that are like the one before go first: those in which all
//! was well, then those in which something was still wrong, and last those that changed something.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::shape::Shape;
use crate::{
    out::status::{EndpointStatus, RegistryStatus},
    state::changes::Change,
    state::{
        RegistryState, RoundId,
        condition::{Condition, EndpointCondition},
    },
};

mod shape;
mod tape;
#[cfg(test)]
mod tests;

/// A new round looks for its shape in this many rounds of its registry, which may flap.
const RECENT: usize = 20;
/// In microseconds. No round takes this long, so one that began that much later is from the future.
const AHEAD: u64 = 60_000_000;

/// The history of one agent, shared by all who read and write it. Nobody holds the lock for long.
#[derive(Clone)]
pub(crate) struct SharedHistory(Arc<Mutex<History>>);

impl SharedHistory {
    /// An empty history of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        let history = History {
            limit,
            ..History::default()
        };
        Self(Arc::new(Mutex::new(history)))
    }

    /// Locks the history.
    pub(crate) fn open(&self) -> MutexGuard<'_, History> {
        // A panic cannot leave it half changed: rounds are added and removed in single steps.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rounds of all registries.
#[derive(Default)]
pub(crate) struct History {
    /// The most bytes that it may take.
    pub limit: usize,
    rounds: BTreeMap<RoundId, Kept>,
    /// Bytes of the rounds of each worth, without the shapes that they share.
    bytes: [usize; Worth::ALL.len()],
    shape_bytes: usize,
    /// The round that was added last.
    latest: RoundId,
}

/// A round as it is kept.
pub(crate) struct Kept {
    /// When it began.
    pub id: RoundId,
    /// The condition of the registry after it.
    pub condition: Condition,
    worth: Worth,
    endpoints: Box<[EndpointCondition]>,
    shape: Arc<Shape>,
    /// The values that only this round has.
    values: Box<[u8]>,
}

/// What makes a round worth its room, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    /// All was well, as before.
    Well,
    /// Something was wrong, as before.
    Wrong,
    /// Something changed.
    Changed,
}

impl Worth {
    const ALL: [Self; 3] = [Self::Well, Self::Wrong, Self::Changed];
}

impl History {
    /// Adds the last round of a registry, which made these `changes`, and removes rounds until all fit.
    pub(crate) fn add(&mut self, state: &RegistryState, changes: &[Change<'_>]) {
        let Some(round) = state.round.as_ref().filter(|_| self.limit > 0) else {
            return;
        };
        let id = self.free_id(round.at.into());
        let mut status = RegistryStatus::of(state);
        let values = tape::take(&mut status);
        let earlier = self.rounds.range(..id).rev().map(|(_, kept)| kept);
        let earlier = earlier.filter(|kept| kept.registry() == status.name);
        let mut shapes = earlier.take(RECENT).map(|kept| &kept.shape);
        let shape = shapes.find(|shape| shape.status == status).cloned();
        let shape = shape.unwrap_or_else(|| Arc::new(Shape::new(status, values.clone())));
        let endpoints = round.outcome.endpoints.iter();
        let condition = Condition::after(round);
        let kept = Kept {
            id,
            condition,
            worth: match condition {
                _ if changes.iter().any(Change::is_of_health) => Worth::Changed,
                Condition::Ok => Worth::Well,
                _ => Worth::Wrong,
            },
            endpoints: endpoints
                .map(|seen| EndpointCondition::after(round, seen))
                .collect(),
            values: shape.shorten(&values),
            shape,
        };
        self.bytes[kept.worth as usize] += kept.own_bytes();
        self.shape_bytes += kept.last_bytes();
        self.latest = id;
        self.rounds.insert(id, kept);
        while self.bytes() > self.limit && self.remove_least_worth() {}
    }

    /// Removes all rounds of a registry.
    pub(crate) fn forget(&mut self, registry: &str) {
        let theirs = self
            .rounds
            .values()
            .filter(|kept| kept.registry() == registry);
        for id in theirs.map(|kept| kept.id).collect::<Vec<_>>() {
            self.remove(id);
        }
    }

    /// The round of this id, if it is kept.
    pub(crate) fn get(&self, id: RoundId) -> Option<&Kept> {
        self.rounds.get(&id)
    }

    /// Every round that began at `from` or later, the oldest first.
    pub(crate) fn since(&self, from: RoundId) -> impl DoubleEndedIterator<Item = &Kept> {
        self.rounds.range(from..).map(|(_, kept)| kept)
    }

    /// The bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.shape_bytes + self.bytes.iter().sum::<usize>()
    }

    /// Of rounds that began within the same microsecond, all but one get a later id.
    fn free_id(&self, mut id: RoundId) -> RoundId {
        while self.get(id).is_some() {
            id.0 += 1;
        }
        id
    }

    fn remove_least_worth(&mut self) -> bool {
        // Rounds that changed nothing keep a quarter of the limit for each worth while others can go.
        let bytes = |worth: &Worth| self.bytes[*worth as usize];
        let kept = |worth: &Worth| match worth {
            Worth::Well | Worth::Wrong => self.limit / 4,
            Worth::Changed => 0,
        };
        let mut worths = Worth::ALL.into_iter().filter(|worth| bytes(worth) > 0);
        let too_many = |worth: &Worth| bytes(worth) > kept(worth);
        let Some(worth) = worths.clone().find(too_many).or_else(|| worths.next()) else {
            return false;
        };
        // The oldest goes first, unless the clock was set back and others are from the future.
        let rounds = self.rounds.values().filter(|kept| kept.worth == worth);
        let mut ids = rounds.map(|kept| kept.id);
        let last = ids.clone().next_back();
        let ahead = last.filter(|id| id.0 > self.latest.0 + AHEAD);
        let id = ahead.or_else(|| ids.next());
        id.map(|id| self.remove(id)).is_some()
    }

    fn remove(&mut self, id: RoundId) {
        if let Some(kept) = self.rounds.remove(&id) {
            self.bytes[kept.worth as usize] -= kept.own_bytes();
            self.shape_bytes -= kept.last_bytes();
        }
    }
}

impl Kept {
    /// The name of the registry.
    pub(crate) fn registry(&self) -> &str {
        &self.shape.status.name
    }

    /// Whether this round changed anything.
    pub(crate) fn changed(&self) -> bool {
        self.worth == Worth::Changed
    }

    /// Every endpoint and its condition. The values of the endpoint are blank, its name is not.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&EndpointStatus, &EndpointCondition)> {
        self.shape.status.endpoints.iter().zip(&self.endpoints)
    }

    /// The registry as `/api/v1/status` had it after this round.
    pub(crate) fn status(&self) -> RegistryStatus {
        self.shape.with(&self.values)
    }

    /// Its bytes without the shape. The nodes of a map are about half full.
    fn own_bytes(&self) -> usize {
        2 * size_of::<(RoundId, Self)>() + size_of_val(&*self.endpoints) + self.values.len()
    }

    /// The bytes of the shape, if no other round has it.
    fn last_bytes(&self) -> usize {
        match Arc::strong_count(&self.shape) {
            1 => self.shape.bytes,
            _ => 0,
        }
    }
}
