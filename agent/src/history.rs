//! What rounds saw, in memory, up to a cap of bytes. The board adds every round; the web server looks
//! rounds up. Where there is no room, what is like the round before it goes first: what was well,
//! then what went on failing, and last of all the rounds with which something changed.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    num::{NonZeroU32, ParseIntError},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use regprobe_probes::{Depth, Endpoint, EndpointOutcome, Finding, Reason, Role, Severity, Stage};

use self::document::{Bases, Document};
use crate::{
    board::{RegistryState, Round},
    condition::Condition,
    printable::printable_json,
    status::RegistryStatus,
};

mod document;
#[cfg(test)]
mod tests;

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
    rounds: BTreeMap<RoundId, Kept>,
    /// The oldest first, for each worth.
    by_worth: [VecDeque<RoundId>; Worth::ALL.len()],
    /// Bytes of each worth, without the wholes that documents share.
    bytes: [usize; Worth::ALL.len()],
    /// Bytes of those.
    shared_bytes: usize,
    registries: HashMap<Arc<str>, Latest>,
}

/// When a round began, in microseconds since 1970; no two rounds have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RoundId(u64);

/// A round as it is kept.
pub(crate) struct Kept {
    /// Of which registry.
    pub registry: Arc<str>,
    /// How the registry fared.
    pub condition: Condition,
    worth: Worth,
    /// Which endpoints it saw.
    pub endpoints: Arc<[Endpoint]>,
    /// How each of them fared.
    pub cells: Box<[Cell]>,
    document: Document,
}

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
    endpoints: Option<Arc<[Endpoint]>>,
    fingerprint: u64,
}

impl History {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            rounds: BTreeMap::new(),
            by_worth: Default::default(),
            bytes: Default::default(),
            shared_bytes: 0,
            registries: HashMap::new(),
        }
    }

    /// Adds the last round of a registry, and removes what there is no more room for.
    pub(crate) fn add(&mut self, state: &RegistryState) {
        let Some(round) = &state.round else {
            return;
        };
        if self.limit == 0 {
            return;
        }
        let Ok(text) = serde_json::to_string(&RegistryStatus::of(state)) else {
            return;
        };
        let text = printable_json(&text);
        let registry = &state.planned.name;
        let seen = &round.outcome.endpoints;
        let latest = self.registries.entry(registry.clone()).or_default();
        let known = latest.endpoints.take();
        let known = known.filter(|known| known.iter().eq(seen.iter().map(|seen| &seen.endpoint)));
        let endpoints =
            known.unwrap_or_else(|| seen.iter().map(|seen| seen.endpoint.clone()).collect());
        latest.endpoints = Some(endpoints.clone());
        let cells: Box<[_]> = seen.iter().map(|seen| Cell::of(seen, round)).collect();
        let condition = Condition::after(round);
        let fingerprint = fingerprint(&cells, round);
        let changed = std::mem::replace(&mut latest.fingerprint, fingerprint) != fingerprint;
        let worth = match condition {
            _ if changed => Worth::Changed,
            Condition::Ok => Worth::Well,
            _ => Worth::Wrong,
        };
        let kept = Kept {
            registry: registry.clone(),
            condition,
            worth,
            endpoints,
            cells,
            document: latest.bases.document(text.as_bytes()),
        };
        self.shared_bytes += kept.document.last_bytes();
        self.bytes[worth as usize] += kept.own_bytes();
        let id = self.free_id(round.at);
        self.by_worth[worth as usize].push_back(id);
        self.rounds.insert(id, kept);
        while self.bytes() > self.limit && self.remove_least_worth() {}
    }

    /// Removes all rounds of a registry.
    pub(crate) fn forget(&mut self, registry: &str) {
        let theirs = |(id, kept): (&RoundId, &Kept)| (*kept.registry == *registry).then_some(*id);
        let ids: Vec<_> = self.rounds.iter().filter_map(theirs).collect();
        ids.into_iter().for_each(|id| self.remove(id));
        self.registries.remove(registry);
    }

    /// The round of this id, if it is kept.
    pub(crate) fn get(&self, id: RoundId) -> Option<&Kept> {
        self.rounds.get(&id)
    }

    /// Every round that began at `from` or later, the oldest first.
    pub(crate) fn since(&self, from: RoundId) -> impl DoubleEndedIterator<Item = (RoundId, &Kept)> {
        self.rounds.range(from..).map(|(id, kept)| (*id, kept))
    }

    /// What it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.shared_bytes + self.bytes.iter().sum::<usize>()
    }

    /// What it may take.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Of rounds that began within the same microsecond, all but one are told a little later.
    fn free_id(&self, at: Timestamp) -> RoundId {
        let mut id = RoundId::from(at);
        while self.rounds.contains_key(&id) {
            id.0 += 1;
        }
        id
    }

    fn remove_least_worth(&mut self) -> bool {
        let of_worth = |worth: &&Worth| {
            let bytes = self.bytes[**worth as usize];
            bytes > worth.share(self.limit)
        };
        let has_any = |worth: &&Worth| !self.by_worth[**worth as usize].is_empty();
        let all = || Worth::ALL.iter().filter(has_any);
        let Some(worth) = all().find(of_worth).or_else(|| all().next()) else {
            return false;
        };
        match self.by_worth[*worth as usize].front() {
            Some(oldest) => self.remove(*oldest),
            None => return false,
        }
        true
    }

    fn remove(&mut self, id: RoundId) {
        let Some(kept) = self.rounds.remove(&id) else {
            return;
        };
        self.bytes[kept.worth as usize] -= kept.own_bytes();
        self.shared_bytes -= kept.document.last_bytes();
        let queue = &mut self.by_worth[kept.worth as usize];
        // Nearly always the first.
        if let Some(place) = queue.iter().position(|other| *other == id) {
            queue.remove(place);
        }
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
        size_of::<(RoundId, Self)>()
            + size_of::<RoundId>()
            + size_of_val(&*self.cells)
            + self.document.own_bytes()
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

/// Two rounds in a row with the same one tell the same.
fn fingerprint(cells: &[Cell], round: &Round) -> u64 {
    let mut hasher = DefaultHasher::new();
    for cell in cells {
        (cell.condition as u8, cell.failure).hash(&mut hasher);
    }
    for Finding {
        code,
        severity,
        endpoint,
        nameserver,
        ..
    } in &round.diagnosis.findings
    {
        (code, severity, endpoint, nameserver).hash(&mut hasher);
    }
    hasher.finish()
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
