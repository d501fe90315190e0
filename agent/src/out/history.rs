//! What rounds saw, in memory, up to a cap of bytes. The board adds every round; the web server looks
//! rounds up. Where there is no room, what is like the round before it goes first: what was well,
//! then what went on failing, and last of all the rounds with which something changed.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    num::{NonZeroU32, ParseIntError},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use regprobe_probes::{Depth, Endpoint, EndpointOutcome, Reason, Role, Severity, Stage};
use smallvec::SmallVec;

use self::document::{Bases, Document, Edits};
use crate::{
    changes::Change,
    out::status::RegistryStatus,
    printable::printable_json,
    state::{RegistryState, Round, condition::Condition},
};

mod document;
#[cfg(test)]
mod tests;

/// Most documents are shorter.
const DOCUMENT: usize = 8 * 1024;

/// The history of one agent, for all who read and write it; nobody holds it for long.
#[derive(Clone)]
pub(crate) struct SharedHistory(Arc<Mutex<History>>);

impl SharedHistory {
    /// An empty one that will take `limit` bytes at most.
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(History::new(limit))))
    }

    /// The history, for a moment.
    pub(crate) fn open(&self) -> MutexGuard<'_, History> {
        // Whoever panicked with it left it whole: rounds are added and removed by single steps.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rounds of all registries.
pub(crate) struct History {
    limit: usize,
    /// For each worth.
    shelves: [Shelf; Worth::ALL.len()],
    /// Bytes of the wholes that documents share.
    shared_bytes: usize,
    /// The round that was added last.
    latest: RoundId,
    registries: HashMap<Arc<str>, Latest>,
}

/// Rounds of one worth.
#[derive(Default)]
struct Shelf {
    /// The oldest first.
    rounds: VecDeque<(RoundId, Kept)>,
    edits: Edits,
    /// Without the wholes that documents share.
    bytes: usize,
}

/// When a round began, in microseconds since 1970; no two rounds have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RoundId(u64);

/// A round as it is kept.
pub(crate) struct Kept {
    /// Whose round it was.
    pub subject: Arc<Subject>,
    /// How the registry fared.
    pub condition: Condition,
    worth: Worth,
    /// How each of its endpoints fared.
    pub cells: Cells,
    document: Document,
}

/// What rounds saw; those in a row that saw the same share it.
pub(crate) struct Subject {
    /// The registry's name.
    pub registry: Arc<str>,
    /// In the order of the cells.
    pub endpoints: Box<[Endpoint]>,
}

/// As many as most registries have endpoints lie in the row: a piece of memory of their own would outlast
/// its neighbours, and leave holes.
pub(crate) type Cells = SmallVec<[Cell; 3]>;

/// How one endpoint fared in one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// In one word.
    pub condition: Condition,
    /// What a pull would have failed at.
    pub failure: Option<(Stage, Reason)>,
    /// Microseconds of the lookup, the dial and the handshake on the pull path.
    pub micros: Option<NonZeroU32>,
}

/// What makes a round worth its room, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    /// All was well, as before.
    Well,
    /// Something was wrong, as before.
    Wrong,
    /// Something had changed.
    Changed,
}

impl Worth {
    const ALL: [Self; 3] = [Self::Well, Self::Wrong, Self::Changed];

    /// The part of the limit that stays with these rounds while there are others to remove.
    fn share(self, limit: usize) -> usize {
        match self {
            Self::Well | Self::Wrong => limit / 4,
            Self::Changed => 0,
        }
    }
}

/// What the next round of a registry is compared with.
#[derive(Default)]
struct Latest {
    bases: Bases,
    subject: Option<Arc<Subject>>,
}

impl History {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            shelves: Default::default(),
            shared_bytes: 0,
            latest: RoundId::FIRST,
            registries: HashMap::new(),
        }
    }

    /// Adds the last round of a registry, and removes what there is no more room for.
    pub(crate) fn add(&mut self, state: &RegistryState, changes: &[Change<'_>]) {
        let Some(round) = &state.round else {
            return;
        };
        if self.limit == 0 {
            return;
        }
        let mut json = Vec::with_capacity(DOCUMENT);
        if serde_json::to_writer(&mut json, &RegistryStatus::of(state)).is_err() {
            return;
        }
        let json = String::from_utf8_lossy(&json);
        let text = printable_json(&json);
        let registry = &state.planned.name;
        let seen = &round.outcome.endpoints;
        let latest = self.registries.entry(registry.clone()).or_default();
        let endpoints = seen.iter().map(|seen| &seen.endpoint);
        let known = latest.subject.take();
        let known = known.filter(|known| known.endpoints.iter().eq(endpoints.clone()));
        let subject = known.unwrap_or_else(|| {
            Arc::new(Subject {
                registry: registry.clone(),
                endpoints: endpoints.cloned().collect(),
            })
        });
        latest.subject = Some(subject.clone());
        let cells: Cells = seen.iter().map(|seen| Cell::of(seen, round)).collect();
        let condition = Condition::after(round);
        let worth = match condition {
            _ if changes.iter().any(Change::is_of_health) => Worth::Changed,
            Condition::Ok => Worth::Well,
            _ => Worth::Wrong,
        };
        let shelf = &mut self.shelves[worth as usize];
        let kept = Kept {
            subject,
            condition,
            worth,
            cells,
            document: latest.bases.document(text.as_bytes(), &mut shelf.edits),
        };
        self.shared_bytes += kept.document.last_bytes();
        let id = self.free_id(round.at);
        self.shelves[worth as usize].add(id, kept);
        self.latest = id;
        while self.bytes() > self.limit && self.remove_least_worth() {}
    }

    /// Removes all rounds of a registry.
    pub(crate) fn forget(&mut self, registry: &str) {
        for shelf in &mut self.shelves {
            for place in (0..shelf.rounds.len()).rev() {
                if *shelf.rounds[place].1.subject.registry == *registry {
                    self.shared_bytes -= shelf.remove(place);
                }
            }
            shelf.settle();
        }
        self.registries.remove(registry);
    }

    /// The round of this id, if it is kept.
    pub(crate) fn get(&self, id: RoundId) -> Option<&Kept> {
        self.shelves.iter().find_map(|shelf| {
            let place = shelf.place(id).ok()?;
            Some(&shelf.rounds[place].1)
        })
    }

    /// Every round that began at `from` or later, the oldest first.
    pub(crate) fn since(&self, from: RoundId) -> impl DoubleEndedIterator<Item = (RoundId, &Kept)> {
        let later = self.shelves.iter().flat_map(|shelf| {
            let first = shelf.place(from).unwrap_or_else(|place| place);
            shelf.rounds.range(first..)
        });
        let mut rounds: Vec<_> = later.map(|(id, kept)| (*id, kept)).collect();
        // Three runs in order: a merge.
        rounds.sort_by_key(|(id, _)| *id);
        rounds.into_iter()
    }

    /// What it takes.
    pub(crate) fn bytes(&self) -> usize {
        let own = self.shelves.iter().map(|shelf| shelf.bytes);
        self.shared_bytes + own.sum::<usize>()
    }

    /// What it may take.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Of rounds that began within the same microsecond, all but one are told a little later.
    fn free_id(&self, at: Timestamp) -> RoundId {
        let mut id = RoundId::from(at);
        while self.get(id).is_some() {
            id.0 += 1;
        }
        id
    }

    fn remove_least_worth(&mut self) -> bool {
        let shelf = |worth: &Worth| &self.shelves[*worth as usize];
        let all = || {
            let worths = Worth::ALL.into_iter();
            worths.filter(|worth| !shelf(worth).rounds.is_empty())
        };
        let too_many = |worth: &Worth| shelf(worth).bytes > worth.share(self.limit);
        let Some(worth) = all().find(too_many).or_else(|| all().next()) else {
            return false;
        };
        let shelf = &mut self.shelves[worth as usize];
        let place = shelf.least(self.latest);
        self.shared_bytes -= shelf.remove(place);
        true
    }
}

impl Shelf {
    /// A shelf grows by so many rounds.
    const MORE: usize = 128;
    /// No round takes so many microseconds: one that began that much later is from the future.
    const AHEAD: u64 = 60_000_000;

    fn place(&self, id: RoundId) -> Result<usize, usize> {
        self.rounds.binary_search_by_key(&id, |(id, _)| *id)
    }

    /// Nearly always as the last; but rounds may end in another order than they begin.
    fn add(&mut self, id: RoundId, kept: Kept) {
        if self.rounds.len() == self.rounds.capacity() {
            self.rounds.reserve_exact(Self::MORE);
        }
        self.bytes += kept.own_bytes();
        let place = self.place(id).unwrap_or_else(|place| place);
        self.rounds.insert(place, (id, kept));
    }

    /// The first to go: the oldest, unless the clock was set back and others are from the future.
    fn least(&self, latest: RoundId) -> usize {
        match self.rounds.back() {
            Some((id, _)) if id.0 > latest.0 + Self::AHEAD => self.rounds.len() - 1,
            _ => 0,
        }
    }

    /// Returns what it frees of what documents share.
    fn remove(&mut self, place: usize) -> usize {
        let Some((_, kept)) = self.rounds.remove(place) else {
            return 0;
        };
        if self.rounds.capacity() > self.rounds.len() + 3 * Self::MORE {
            self.rounds.shrink_to(self.rounds.len() + Self::MORE);
        }
        self.bytes -= kept.own_bytes();
        kept.document.last_bytes()
    }

    /// Gives blocks back of which others had most.
    fn settle(&mut self) {
        let mut edits = Edits::default();
        for (_, kept) in &mut self.rounds {
            kept.document.keep_in(&mut edits);
        }
        self.edits = edits;
    }
}

impl Kept {
    /// Whether something was other than in the round before.
    pub(crate) fn changed(&self) -> bool {
        self.worth == Worth::Changed
    }

    /// The registry as `/api/v1/status` had it after this round.
    pub(crate) fn document(&self) -> Vec<u8> {
        self.document.text()
    }

    /// What it takes, without what it shares with others.
    fn own_bytes(&self) -> usize {
        let cells = match self.cells.spilled() {
            true => size_of_val(&*self.cells),
            false => 0,
        };
        size_of::<(RoundId, Self)>() + cells + self.document.own_bytes()
    }
}

impl Cell {
    fn of(seen: &EndpointOutcome, round: &Round) -> Self {
        let failure = seen.failure().map(|(stage, fault)| (stage, fault.reason()));
        let asked = seen.endpoint.role != Role::Storage || round.depth == Depth::Image;
        let findings = round.diagnosis.findings.iter();
        let here = findings.filter(|finding| finding.endpoint == seen.endpoint);
        Self {
            condition: match (failure, here.map(|finding| finding.severity).max()) {
                (Some((_, Reason::Local)), _) => Condition::Unknown,
                (Some(_), _) | (None, Some(Severity::Critical)) => Condition::Failing,
                (None, Some(Severity::Warning)) => Condition::Degraded,
                (None, Some(Severity::Info) | None) => Condition::Ok,
            },
            failure,
            micros: asked
                .then(|| seen.time_to_connection())
                .flatten()
                .and_then(|took| NonZeroU32::new(took.as_micros().try_into().ok()?)),
        }
    }
}

impl RoundId {
    /// No round is before it.
    pub(crate) const FIRST: Self = Self(0);

    /// When the round began.
    pub(crate) fn at(self) -> Timestamp {
        i64::try_from(self.0)
            .ok()
            .and_then(|micros| Timestamp::from_microsecond(micros).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

impl From<Timestamp> for RoundId {
    fn from(at: Timestamp) -> Self {
        Self(u64::try_from(at.as_microsecond()).unwrap_or_default())
    }
}

impl fmt::Display for RoundId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RoundId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}
