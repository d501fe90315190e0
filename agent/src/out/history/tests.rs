//! What stays and what goes, and that every byte is accounted for.

use jiff::SignedDuration;

use super::*;
use crate::{changes::between, state::story};

const KIB: usize = 1024;

/// A story as it is after a round that began so many seconds after it.
fn told(story: &RegistryState, seconds: i64) -> RegistryState {
    let mut state = story.clone();
    let round = state.round_mut();
    round.at += SignedDuration::from_secs(seconds);
    for seen in &mut round.outcome.endpoints {
        let stages = seen.addresses.iter_mut().flat_map(|seen| &mut seen.stages);
        for stage in stages {
            stage.took += std::time::Duration::from_micros(seconds.unsigned_abs() * 7919 % 1000);
        }
    }
    state
}

/// The registry of [`story::failing`] in good health.
fn well() -> RegistryState {
    let mut state = RegistryState::clone(&story::healthy());
    state.planned = story::failing().planned.clone();
    state
}

/// Adds rounds as the board does.
struct Recorder {
    history: History,
    last: HashMap<Arc<str>, RegistryState>,
}

impl Recorder {
    fn new(limit: usize) -> Self {
        Self {
            history: History::new(limit),
            last: HashMap::new(),
        }
    }

    fn add(&mut self, state: &RegistryState) {
        let before = self.last.insert(state.planned.name.clone(), state.clone());
        let before = before.as_ref().and_then(|before| before.round.as_deref());
        let changes = between(before, state.round.as_ref().unwrap());
        self.history.add(state, &changes);
    }
}

impl std::ops::Deref for Recorder {
    type Target = History;

    fn deref(&self) -> &History {
        &self.history
    }
}

fn rounds(history: &History) -> impl Iterator<Item = &Kept> {
    history.since(RoundId::FIRST).map(|(_, kept)| kept)
}

/// What [`History::bytes`] must say, counted anew.
fn counted(history: &History) -> usize {
    let own: usize = rounds(history).map(Kept::own_bytes).sum();
    let mut wholes: Vec<_> = rounds(history).map(|kept| kept.document.whole()).collect();
    wholes.sort_unstable_by_key(|whole| whole.as_ptr());
    wholes.dedup_by_key(|whole| whole.as_ptr());
    own + wholes.into_iter().map(<[u8]>::len).sum::<usize>()
}

fn seconds(history: &History, worth: Worth) -> Vec<i64> {
    let start = story::healthy().round.as_ref().unwrap().at;
    let of_worth = &history.shelves[worth as usize].rounds;
    of_worth
        .iter()
        .map(|(id, _)| id.at().duration_since(start).as_secs())
        .collect()
}

#[test]
fn a_round_is_there_in_full() {
    let mut history = Recorder::new(64 * KIB);
    for second in 0..3 {
        history.add(&told(&story::failing(), second));
    }
    let ids: Vec<_> = history.since(RoundId::FIRST).map(|(id, _)| id).collect();
    for (id, second) in ids.into_iter().zip(0..) {
        let kept = history.get(id).unwrap();
        let state = told(&story::failing(), second);
        let json = serde_json::to_string(&RegistryStatus::of(&state)).unwrap();
        assert_eq!(String::from_utf8(kept.document()).unwrap(), json);
        assert_eq!(kept.changed(), second == 0);
        assert_eq!(kept.condition, Condition::Failing);
        let conditions: Vec<_> = kept.cells.iter().map(|cell| cell.condition).collect();
        assert_eq!(conditions, [Condition::Degraded, Condition::Failing]);
        assert_eq!(
            kept.cells[1].failure,
            Some((Stage::Resolve, Reason::NxDomain))
        );
        assert_eq!(kept.cells[1].micros, None);
    }
    assert!(history.get(RoundId(7)).is_none());
}

#[test]
fn rounds_alike_take_little_room() {
    let mut history = Recorder::new(usize::MAX);
    history.add(&told(&story::healthy(), 0));
    let first = history.bytes();
    for second in 1..=100 {
        history.add(&told(&story::healthy(), second));
    }
    let each = (history.bytes() - first) / 100;
    assert!(each * 8 < first, "{first} bytes, then {each} each");
    assert_eq!(history.bytes(), counted(&history));
}

#[test]
fn the_limit_holds_and_what_went_wrong_outlives_what_went_well() {
    let mut history = Recorder::new(64 * KIB);
    let (well, wrong) = (well(), story::failing());
    for second in 0..2000 {
        let story = if (100..110).contains(&second) {
            &wrong
        } else {
            &well
        };
        history.add(&told(story, second));
        assert!(history.bytes() <= history.limit());
    }
    assert_eq!(history.bytes(), counted(&history));
    assert_eq!(seconds(&history, Worth::Changed), [0, 100, 110]);
    assert_eq!(
        seconds(&history, Worth::Wrong),
        (101..110).collect::<Vec<_>>()
    );
    let kept = seconds(&history, Worth::Well);
    assert!(
        kept.len() > 50 && kept[0] > 1500,
        "{} from {}",
        kept.len(),
        kept[0]
    );
    assert!(kept.iter().copied().eq(kept[0]..2000), "not the latest");
}

#[test]
fn an_outage_takes_neither_all_room_nor_its_own_beginning_away() {
    let mut history = Recorder::new(64 * KIB);
    let (well, wrong) = (well(), story::failing());
    for second in 0..2000 {
        let story = if (100..1500).contains(&second) {
            &wrong
        } else {
            &well
        };
        history.add(&told(story, second));
    }
    assert_eq!(seconds(&history, Worth::Changed), [0, 100, 1500]);
    let wrong = seconds(&history, Worth::Wrong);
    assert_eq!(wrong.last(), Some(&1499));
    assert!(history.shelves[Worth::Wrong as usize].bytes >= history.limit / 5);
    assert_eq!(seconds(&history, Worth::Well).last(), Some(&1999));
    assert_eq!(history.bytes(), counted(&history));
}

#[test]
fn a_clock_that_is_set_back_costs_what_is_in_the_future() {
    let mut history = Recorder::new(64 * KIB);
    let well = well();
    for second in (10_000..12_000).chain(0..20) {
        history.add(&told(&well, second));
    }
    let kept = seconds(&history, Worth::Well);
    assert!(kept.iter().copied().take(20).eq(0..20), "{kept:?}");
    assert!(kept[20] >= 10_000 && kept[kept.len() - 1] < 11_999);
    assert_eq!(history.bytes(), counted(&history));
    assert!(history.bytes() <= history.limit());
}

#[test]
fn room_that_is_not_needed_any_more_is_given_back() {
    let mut history = Recorder::new(usize::MAX);
    for second in 0..1000 {
        history.add(&told(&story::drift(), second));
    }
    history.add(&told(&story::failing(), 1000));
    history.history.forget("drift");
    let shelves = history.shelves.iter();
    let room: usize = shelves.map(|shelf| shelf.rounds.capacity()).sum();
    assert!(room <= 3 * 4 * Shelf::MORE, "{room}");
    let kept = rounds(&history).next().unwrap();
    let json = serde_json::to_string(&RegistryStatus::of(&told(&story::failing(), 1000))).unwrap();
    assert_eq!(String::from_utf8(kept.document()).unwrap(), json);
}

#[test]
fn a_registry_that_goes_takes_its_rounds_along() {
    let mut history = Recorder::new(64 * KIB);
    for second in 0..20 {
        history.add(&told(&story::failing(), second));
        history.add(&told(&story::drift(), second));
    }
    history.history.forget("contoso");
    assert!(rounds(&history).all(|kept| &*kept.subject.registry == "drift"));
    assert_eq!(
        (rounds(&history).count(), history.bytes()),
        (20, counted(&history))
    );
    history.history.forget("drift");
    assert_eq!((rounds(&history).count(), history.bytes()), (0, 0));
}

#[test]
fn without_room_nothing_is_kept() {
    let mut history = Recorder::new(0);
    for second in 0..5 {
        history.add(&told(&story::healthy(), second));
        assert_eq!((rounds(&history).count(), history.bytes()), (0, 0));
    }
}
