//! Which rounds stay and which go, that every byte is counted, and how far back a typical node can look.

use std::{collections::HashMap, time::Duration};

use jiff::SignedDuration;

use regprobe_probes::{Depth, Evidence, Nameserver, Reason, Severity, Stage};

use super::*;
use crate::{plan::PlannedRegistry, state::changes::between, state::story};

const KIB: usize = 1024;

/// A story after a round that began this many seconds later.
fn told(story: &RegistryState, seconds: i64) -> RegistryState {
    let mut state = story.clone();
    let round = state.round_mut();
    round.at += SignedDuration::from_secs(seconds);
    for seen in &mut round.outcome.endpoints {
        let stages = seen.addresses.iter_mut().flat_map(|seen| &mut seen.stages);
        for stage in stages {
            stage.took += Duration::from_micros(seconds.unsigned_abs() * 7919 % 1000);
        }
    }
    state
}

/// The registry of [`story::failing`], healthy.
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
            history: History {
                limit,
                ..History::default()
            },
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
    history.since(RoundId::FIRST)
}

/// What [`History::bytes`] must say, counted again.
fn counted(history: &History) -> usize {
    let own: usize = rounds(history).map(Kept::own_bytes).sum();
    let mut shapes: Vec<_> = rounds(history).map(|kept| &kept.shape).collect();
    shapes.sort_unstable_by_key(|shape| Arc::as_ptr(shape));
    shapes.dedup_by_key(|shape| Arc::as_ptr(shape));
    own + shapes.into_iter().map(|shape| shape.bytes).sum::<usize>()
}

fn seconds(history: &History, worth: Worth) -> Vec<i64> {
    let start = story::healthy().round.as_ref().unwrap().at;
    let of_worth = rounds(history).filter(|kept| kept.worth == worth);
    of_worth
        .map(|kept| kept.id.at().duration_since(start).as_secs())
        .collect()
}

#[test]
fn a_round_comes_back_in_full() {
    let mut history = Recorder::new(64 * KIB);
    for second in 0..3 {
        history.add(&told(&story::failing(), second));
    }
    let ids: Vec<_> = rounds(&history).map(|kept| kept.id).collect();
    for (id, second) in ids.into_iter().zip(0..) {
        let kept = history.get(id).unwrap();
        let state = told(&story::failing(), second);
        let json = serde_json::to_string(&RegistryStatus::of(&state)).unwrap();
        assert_eq!(serde_json::to_string(&kept.status()).unwrap(), json);
        assert_eq!(kept.changed(), second == 0);
        assert_eq!(kept.condition, Condition::Failing);
        let (endpoints, fared): (Vec<_>, Vec<&EndpointCondition>) = kept.endpoints().unzip();
        assert_eq!(endpoints[0].endpoint, "contoso.azurecr.io:443");
        let conditions: Vec<_> = fared.iter().map(|fared| fared.condition).collect();
        assert_eq!(conditions, [Condition::Degraded, Condition::Failing]);
        let failure = Some((Stage::Resolve, Reason::NxDomain));
        assert_eq!((fared[1].failure, fared[1].micros), (failure, None));
    }
    assert!(history.get(RoundId(7)).is_none());
}

#[test]
fn rounds_that_change_nothing_take_little_room() {
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
fn the_limit_holds_and_failures_outlive_successes() {
    let mut history = Recorder::new(64 * KIB);
    let (well, wrong) = (well(), story::failing());
    for second in 0..2000 {
        let story = if (100..110).contains(&second) {
            &wrong
        } else {
            &well
        };
        history.add(&told(story, second));
        assert!(history.bytes() <= history.limit);
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
fn an_outage_leaves_room_for_other_rounds_and_for_its_own_beginning() {
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
    assert!(history.bytes[Worth::Wrong as usize] >= history.limit / 5);
    assert_eq!(seconds(&history, Worth::Well).last(), Some(&1999));
    assert_eq!(history.bytes(), counted(&history));
}

#[test]
fn a_clock_that_is_set_back_costs_the_rounds_from_the_future() {
    let mut history = Recorder::new(64 * KIB);
    let well = well();
    for second in (10_000..12_000).chain(0..20) {
        history.add(&told(&well, second));
    }
    let kept = seconds(&history, Worth::Well);
    assert!(kept.iter().copied().take(20).eq(0..20), "{kept:?}");
    assert!(kept[20] >= 10_000 && kept[kept.len() - 1] < 11_999);
    assert_eq!(history.bytes(), counted(&history));
    assert!(history.bytes() <= history.limit);
}

#[test]
fn a_shape_goes_with_its_last_round() {
    let mut history = Recorder::new(usize::MAX);
    for second in 0..1000 {
        history.add(&told(&story::drift(), second));
    }
    history.add(&told(&story::failing(), 1000));
    history.history.forget("drift");
    assert_eq!(history.bytes(), counted(&history));
    let kept = rounds(&history).next().unwrap();
    let json = serde_json::to_string(&RegistryStatus::of(&told(&story::failing(), 1000))).unwrap();
    assert_eq!(serde_json::to_string(&kept.status()).unwrap(), json);
}

#[test]
fn a_registry_that_goes_takes_its_rounds_with_it() {
    let mut history = Recorder::new(64 * KIB);
    for second in 0..20 {
        history.add(&told(&story::failing(), second));
        history.add(&told(&story::drift(), second));
    }
    history.history.forget("contoso");
    assert!(rounds(&history).all(|kept| kept.registry() == "drift"));
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

/// The round number `round` of a registry on a typical node: three endpoints, two nameservers whose TTLs
/// run down, two certificates, and an id in each response. The third registry rotates its addresses.
fn typical(registry: u64, round: u64) -> RegistryState {
    let mut state = RegistryState::clone(&story::healthy());
    let planned = &state.planned;
    state.planned = Arc::new(PlannedRegistry {
        name: format!("registry{registry}").into(),
        server: planned.server.clone(),
        target: planned.target.clone(),
        expectation: planned.expectation.clone(),
        ..**planned
    });
    let info = story::drift().round.as_ref().unwrap().diagnosis.findings[1].clone();
    let now = state.round_mut();
    now.at += SignedDuration::from_millis((15_000 * round + 7 * registry) as i64);
    // Requests are due in every fourth round.
    let asked = round - round % 4;
    now.depth = match round == asked {
        true => Depth::Request,
        false => Depth::Network,
    };
    now.diagnosis.findings = vec![info];
    now.found = vec![now.since];
    let endpoints = &mut now.outcome.endpoints;
    let mut third = endpoints[1].clone();
    third.endpoint.host = "contoso.northeurope.data.azurecr.io".into();
    endpoints.push(third);
    let mut seed = (round * 31 + registry) * 2_654_435_761;
    let mut random = move |most: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005);
        seed = seed.wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % most
    };
    for seen in endpoints {
        let mut second = seen.lookups[0].clone();
        let mut nameserver = Nameserver::clone(&second.nameserver);
        nameserver.address.set_port(5353);
        second.nameserver = Arc::new(nameserver);
        seen.lookups.push(second);
        for lookup in &mut seen.lookups {
            lookup.a_took = Duration::from_micros(300 + random(2000));
            let Ok(answer) = &mut lookup.a else { continue };
            answer.ttl = random(30) as u32;
            answer
                .chain
                .iter_mut()
                .for_each(|alias| alias.ttl = random(30) as u32);
            if registry == 2 {
                answer.addresses = [5, 6, 7, 8].map(|last| [10, 240, 1, last].into()).to_vec();
                answer.addresses.rotate_left(random(4) as usize);
            }
        }
        for stage in seen.addresses.iter_mut().flat_map(|seen| &mut seen.stages) {
            stage.took = Duration::from_micros(match stage.stage.is_http() {
                true => 800 + asked * 7919 % 3000,
                false => 800 + random(3000),
            });
            match &mut stage.result {
                Ok(Evidence::Challenge(challenge)) => {
                    let id = format!("1c6a2f7e-0000-4000-8000-{:012x}", asked * 7919);
                    challenge.correlation_id = Some(id);
                    challenge.server = Some("AzureContainerRegistry".to_owned());
                    challenge.clock_skew = Some((asked % 8) as f64 * 0.125);
                }
                Ok(Evidence::Tls(handshake)) => {
                    let chain = Arc::make_mut(&mut handshake.chain);
                    let issuer = chain.certificates[0].clone();
                    chain.certificates.push(issuer);
                    let names = (0..12).map(|n| format!("*.{n}.azurecr.io"));
                    chain.certificates[0].names = names.collect();
                }
                _ => {}
            }
        }
    }
    state
}

#[test]
fn a_typical_node_can_look_back_for_an_hour_and_a_half() {
    let minutes = |change: fn(&mut RegistryState)| {
        let mut history = Recorder::new(512 * KIB);
        for round in 0..380 {
            for registry in 0..3 {
                let mut state = typical(registry, round);
                change(&mut state);
                history.add(&state);
            }
        }
        assert_eq!(history.bytes(), counted(&history));
        rounds(&history).count() / 3 / 4
    };
    let none = |_: &mut RegistryState| {};
    // What is still wrong says something else in each round.
    let wrong = |state: &mut RegistryState| {
        let round = state.round_mut();
        let took = round.outcome.endpoints[0].lookups[0].took();
        let finding = &mut round.diagnosis.findings[0];
        finding.severity = Severity::Warning;
        finding.evidence = vec![
            "10.240.1.5 does not answer within 10 s".to_owned(),
            format!("before it: resolve {took:?}"),
        ];
    };
    let found = [minutes(none), minutes(wrong)];
    println!("{found:?} minutes");
    assert!(found.iter().all(|minutes| *minutes >= 90), "{found:?}");
}
