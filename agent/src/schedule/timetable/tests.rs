use std::collections::{HashMap, HashSet};

use super::*;
use crate::schedule::pace::Intervals;

const INTERVALS: Intervals = Intervals {
    network: Duration::from_secs(15),
    request: Duration::from_secs(60),
    token: Duration::from_secs(300),
    image: Duration::from_secs(900),
};
/// A whole number of the longest interval.
const START: f64 = 900.0 * 2_000_000.0;

fn at(seconds: f64) -> Moment {
    let [wall, awake] = [START, 5000.0].map(|start| Duration::from_secs_f64(start + seconds));
    Moment {
        wall,
        awake,
        passed: awake,
    }
}

/// Whose image's turn comes that many seconds into each of its intervals.
fn turns(seconds: u32) -> Turns {
    let ahead = 900 - seconds;
    Turns {
        pace: Pace::of(&INTERVALS),
        phase: Phase {
            place: f64::from(ahead % 60) / 60.0,
            interval: ahead / 60,
            round: 0,
            group: Duration::ZERO,
        },
        quiet_until: Duration::ZERO,
        at_once: false,
    }
}

/// When the next round is due.
fn due(timetable: &Timetable) -> f64 {
    let due = timetable.due().as_secs_f64() - 5000.0;
    (due * 1000.0).round() / 1000.0
}

/// Takes the next round when it is due.
fn next(timetable: &mut Timetable) -> (f64, Depth) {
    let at_due = due(timetable);
    (at_due, timetable.take(at(at_due)).depth)
}

/// When the next rounds with requests are, and how deep they go.
fn deep(timetable: &mut Timetable, until: f64) -> Vec<(f64, Depth)> {
    let rounds = std::iter::repeat_with(|| next(timetable));
    let rounds = rounds.take_while(|(at, _)| *at < until);
    rounds
        .filter(|(_, depth)| *depth > Depth::Network)
        .collect()
}

fn started(seconds: u32) -> Timetable {
    let mut timetable = Timetable::start(at(0.0), turns(seconds), Depth::Network);
    timetable.take(at(0.0));
    timetable
}

#[test]
fn the_first_round_is_due_at_once_and_the_next_in_the_grid() {
    let mut timetable = Timetable::start(at(0.0), turns(9), Depth::Image);
    assert_eq!(next(&mut timetable), (0.0, Depth::Image));
    assert_eq!(next(&mut timetable), (9.0, Depth::Network));
    assert_eq!(due(&timetable), 24.0);
    assert_eq!(due(&started(3)), 18.0, "at least half an interval later");
}

#[test]
fn deeper_rounds_ride_on_network_rounds() {
    let mut timetable = started(0);
    let rounds: Vec<_> = (1..=60).map(|_| next(&mut timetable)).collect();
    for (number, (at, depth)) in (1_u32..).zip(rounds) {
        assert_eq!(at, 15.0 * f64::from(number));
        let expected = match number {
            60 => Depth::Image,
            _ if number % 20 == 0 => Depth::Token,
            _ if number % 4 == 0 => Depth::Request,
            _ => Depth::Network,
        };
        assert_eq!(depth, expected, "{number}");
    }
}

#[test]
fn a_node_that_starts_anew_finds_its_old_turns() {
    let mut before = started(33);
    let mut after = Timetable::start(at(1000.0), turns(33), Depth::Network);
    deep(&mut before, 1000.0);
    assert_eq!(deep(&mut before, 1300.0), deep(&mut after, 1300.0));
}

#[test]
fn a_late_round_shifts_nothing_and_a_missed_one_is_counted() {
    let mut timetable = started(0);
    let tick = timetable.take(at(29.0));
    assert_eq!((tick.missed, tick.lag), (0, Duration::from_secs(14)));
    assert_eq!(due(&timetable), 30.0);
    let tick = timetable.take(at(62.0));
    let lag = Duration::from_secs(2);
    assert_eq!((tick.missed, tick.lag, tick.slept), (2, lag, 0));
    assert_eq!(tick.depth, Depth::Request);
    assert_eq!(due(&timetable), 75.0);
}

#[test]
fn a_node_that_slept_makes_up_for_nothing() {
    let mut timetable = started(0);
    let asleep = Duration::from_secs(3600 + 7);
    let mut now = at(15.0);
    now.wall += asleep;
    now.passed += asleep;
    let tick = timetable.take(now);
    assert_eq!((tick.missed, tick.slept), (0, 240));
    assert_eq!(tick.depth, Depth::Network, "it waits for its turn");
    assert_eq!(due(&timetable), 23.0, "in the grid again");
}

#[test]
fn a_clock_that_is_set_makes_no_burst_and_no_gap() {
    for set in [-86_400.0, -3600.0, -7.0, -0.02, 0.02, 7.0, 3600.0, 86_400.0] {
        let mut timetable = started(0);
        let (mut last, mut last_deep) = (0.0, None);
        for _ in 0..40 {
            let awake = due(&timetable);
            let mut now = at(awake);
            now.wall = Duration::from_secs_f64(now.wall.as_secs_f64() + set);
            let tick = timetable.take(now);
            assert_eq!((tick.missed, tick.slept), (0, 0), "{set}");
            assert!((7.4..=22.6).contains(&(awake - last)), "{set}");
            last = awake;
            if tick.depth > Depth::Network {
                let gap = awake - last_deep.replace(awake).unwrap_or(awake - 60.0);
                assert!((30.0..=105.0).contains(&gap), "{set}: {gap}");
            }
        }
    }
}

#[test]
fn whatever_moves_no_turn_is_two_intervals_away_and_none_is_doubled() {
    for step in [1, 9, 31, 7919] {
        let mut timetable = started(0);
        let (mut last, mut last_deep) = (0.0, None);
        for round in 0..4000_u32 {
            let early = f64::from(round * 31 % 150) / 10.0;
            let now = (last + early).min(due(&timetable));
            timetable.adopt(at(now), turns(round * step % 900));
            let (when, depth) = next(&mut timetable);
            assert!(
                (7.4..=30.1).contains(&(when - last)),
                "{step}: {last} {when}"
            );
            last = when;
            if depth > Depth::Network {
                let gap = when - last_deep.replace(when).unwrap_or(when - 60.0);
                assert!((30.0..=120.0).contains(&gap), "{step}: {gap} until {when}");
            }
        }
    }
}

#[test]
fn a_longer_interval_leaves_out_turns_and_moves_none() {
    let mut timetable = started(33);
    let mut others = started(33);
    let stretched = Turns {
        pace: Pace::of(&INTERVALS).within(1000, 1000, 0, 0.0),
        ..turns(33)
    };
    timetable.adopt(at(1.0), stretched);
    let all: HashSet<_> = deep(&mut others, 7200.0)
        .iter()
        .map(|(at, _)| *at as u32)
        .collect();
    let some = deep(&mut timetable, 7200.0);
    assert_eq!(stretched.pace.interval(Depth::Request).as_secs(), 120);
    assert_eq!(some.len(), all.len() / 2);
    assert!(some.iter().all(|(at, _)| all.contains(&(*at as u32))));
}

#[test]
fn a_move_hides_no_round_that_was_left_out() {
    for moved in [898, 2, 7, 333] {
        let mut timetable = started(0);
        timetable.adopt(at(47.0), turns(moved));
        assert_eq!(timetable.take(at(47.0)).missed, 2, "{moved}: 15 and 30");
    }
}

#[test]
fn a_registry_that_asks_to_wait_holds_deep_rounds_and_no_others() {
    let mut timetable = started(0);
    timetable.hold(Depth::Token, at(700.0).awake);
    let rounds = deep(&mut timetable, 901.0);
    let deepest = rounds.iter().find(|(_, depth)| *depth >= Depth::Token);
    assert_eq!(deepest, Some(&(900.0, Depth::Image)));
    assert_eq!(rounds.len(), 15);

    let mut timetable = started(0);
    timetable.hold(Depth::Request, at(100.0).awake);
    assert_eq!(
        deep(&mut timetable, 181.0),
        [(120.0, Depth::Request), (180.0, Depth::Request)],
        "its own turn, not the moment at which everybody may go on"
    );
}

#[test]
fn a_short_wait_brings_no_turn_nearer() {
    for seconds in 0..60 {
        let mut timetable = Timetable::start(at(0.0), turns(seconds), Depth::Image);
        timetable.take(at(0.0));
        timetable.hold(Depth::Request, at(5.0).awake);
        let first = deep(&mut timetable, 300.0)[0];
        assert!(first.0 >= 30.0, "{seconds}: {first:?}");
    }
}

#[test]
fn an_agent_that_others_do_not_know_of_sends_no_request() {
    let quiet = Turns {
        quiet_until: at(100.0).awake,
        ..turns(0)
    };
    let mut timetable = Timetable::start(at(0.0), quiet, Depth::Network);
    let first = deep(&mut timetable, 130.0);
    assert_eq!(first, [(120.0, Depth::Request)]);
}

#[test]
fn a_deep_round_that_fails_is_repeated_once_where_that_is_allowed() {
    let mut timetable = Timetable::start(at(0.0), turns(0), Depth::Image);
    let mut round = |failed: bool| {
        let (_, depth) = next(&mut timetable);
        timetable.note(depth, failed);
        depth
    };
    let (network, request, image) = (Depth::Network, Depth::Request, Depth::Image);
    assert_eq!([true, true, true].map(&mut round), [image, image, network]);
    // Not that often while it goes on, nor for the failure of a round that is no deeper.
    let depths = [true; 5].map(&mut round);
    assert_eq!(depths, [network, request, network, network, network]);
    // After a success at that depth the next failure is repeated again.
    while round(false) != image {}
    assert_eq!([true, false].map(&mut round), [network, network]);
    assert_eq!([false, false].map(&mut round), [network, request]);
    let depths = [false, false, false, true, true, true].map(&mut round);
    assert_eq!(
        depths,
        [network, network, network, request, request, network]
    );
}

#[test]
fn registries_of_a_node_begin_together_and_not_all_of_them() {
    for pace in [
        Pace::of(&INTERVALS),
        Pace::of(&INTERVALS).within(1000, 5000, 0, 0.0),
    ] {
        for (registries, groups) in [(8, 1), (9, 2), (20, 3), (300, 38)] {
            let mut begin = HashMap::new();
            for number in 0..registries {
                let phase = Phase::new(7, &format!("registry{number}"), number, Some(0.3));
                let nanos = phase.ahead(&pace).as_nanos() % INTERVALS.network.as_nanos();
                *begin.entry(nanos).or_insert(0) += 1;
            }
            let most = begin.values().max();
            assert!(begin.len() == groups && most <= Some(&8), "{begin:?}");
        }
    }
}

#[test]
fn registries_of_a_node_do_not_all_get_requests_in_the_same_round() {
    let phases = (0..8).map(|number| Phase::new(7, &format!("registry{number}"), number, None));
    let pace = Pace::of(&INTERVALS);
    let rounds: HashSet<_> = phases
        .map(|phase| phase.ahead(&pace).as_secs() % 60 / 15)
        .collect();
    assert!(rounds.len() > 2, "{rounds:?}");
}

/// Turns in a fleet of this size with one image; a fleet of one may ask at once.
fn turns_in(size: u32, seconds: u32) -> Turns {
    Turns {
        pace: Pace::of(&INTERVALS).within(1000, size, 7, 0.0),
        at_once: size == 1,
        ..turns(seconds)
    }
}

/// Starts with such turns, sees a change with each of these rounds, and takes all until then.
fn changed(turns: Turns, changes: impl Fn(u32) -> bool, until: f64) -> Vec<(f64, Depth)> {
    let mut timetable = Timetable::start(at(0.0), turns, Depth::Network);
    let mut deep = Vec::new();
    for round in 0.. {
        let (when, depth) = next(&mut timetable);
        if when >= until {
            break;
        }
        if depth > Depth::Network {
            deep.push((when, depth));
        }
        if changes(round) {
            timetable.hasten(at(when + 0.2));
        }
    }
    deep
}

#[test]
fn a_node_alone_leaves_out_no_turn_after_its_start() {
    let mut timetable = Timetable::start(at(0.0), turns_in(1, 300), Depth::Image);
    let images = deep(&mut timetable, 1300.0);
    let images: Vec<_> = images
        .iter()
        .filter(|(_, depth)| *depth == Depth::Image)
        .map(|(when, _)| *when)
        .collect();
    assert_eq!(images, [0.0, 300.0, 1200.0]);

    let mut timetable = Timetable::start(at(0.0), turns_in(1, 3), Depth::Image);
    assert_eq!(next(&mut timetable), (0.0, Depth::Image));
    assert_eq!(next(&mut timetable), (3.0, Depth::Image));
    assert_eq!(due(&timetable), 18.0);
}

#[test]
fn after_a_change_a_node_alone_asks_at_once_and_then_as_usual() {
    let (request, image) = (Depth::Request, Depth::Image);
    let rounds = changed(turns_in(1, 0), |round| round == 5, 200.0);
    assert_eq!(
        rounds,
        [
            (60.0, request),
            (75.2, image),
            (120.0, request),
            (180.0, request)
        ]
    );
}

#[test]
fn after_a_change_a_node_of_many_has_a_full_round_in_its_turn_and_gives_up_others() {
    // The span of a full round is 120 s here.
    let rounds = changed(turns_in(100, 0), |round| round == 7, 330.0);
    let (request, image) = (Depth::Request, Depth::Image);
    assert_eq!(
        rounds,
        [
            (60.0, request),
            (180.0, image),
            (240.0, request),
            (300.0, request)
        ]
    );
}

#[test]
fn a_change_while_the_full_round_is_to_come_makes_no_second_one() {
    let once = changed(turns_in(100, 0), |round| round == 7, 330.0);
    assert_eq!(
        changed(turns_in(100, 0), |round| (7..11).contains(&round), 330.0),
        once
    );
}

#[test]
fn flapping_at_most_doubles_the_requests() {
    let requests = |rounds: Vec<(f64, Depth)>| -> u32 {
        let of = |(_, depth): (f64, Depth)| match depth {
            Depth::Network => 0,
            Depth::Request => 1,
            Depth::Token => 2,
            Depth::Image => 9,
        };
        rounds.into_iter().map(of).sum()
    };
    for size in [1, 10, 100, 1000, 10_000] {
        let hours = 24.0 * 3600.0;
        let usual = requests(changed(turns_in(size, 0), |_| false, hours));
        let flapping = requests(changed(turns_in(size, 0), |_| true, hours));
        // And the first four.
        assert!(
            flapping <= 2 * usual + 36,
            "{size}: {flapping} instead of {usual}"
        );
    }
}

#[test]
fn a_change_brings_no_request_while_the_registry_asks_to_wait() {
    for size in [1, 100] {
        let mut timetable = Timetable::start(at(0.0), turns_in(size, 0), Depth::Network);
        timetable.take(at(0.0));
        timetable.hold(Depth::Request, at(700.0).awake);
        timetable.hasten(at(1.0));
        let first = deep(&mut timetable, 1000.0)[0];
        assert!(first.0 >= 700.0, "{size}: {first:?}");
    }
}

#[test]
fn a_full_round_that_has_to_wait_is_made_when_it_may() {
    let mut timetable = Timetable::start(at(0.0), turns_in(1, 0), Depth::Network);
    timetable.take(at(0.0));
    timetable.hold(Depth::Token, at(100.0).awake);
    timetable.hasten(at(1.0));
    let rounds = deep(&mut timetable, 200.0);
    let full = rounds.iter().find(|(_, depth)| *depth == Depth::Image);
    assert_eq!(full, Some(&(105.0, Depth::Image)), "{rounds:?}");
}

#[test]
fn a_change_brings_no_request_of_an_agent_that_others_do_not_know_of() {
    let quiet = Turns {
        quiet_until: at(100.0).awake,
        ..turns_in(100, 0)
    };
    let first = changed(quiet, |round| round == 1, 300.0)[0];
    assert!(first.0 > 100.0, "{first:?}");
}
