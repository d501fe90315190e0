use super::*;

const INTERVALS: Intervals = Intervals {
    network: Duration::from_secs(15),
    request: Duration::from_secs(60),
    token: Duration::from_secs(300),
    image: Duration::from_secs(900),
};
/// A whole number of the longest interval, so that a place of 0 begins its turns now.
const START: f64 = 900.0 * 2_000_000.0;

fn at(seconds: f64) -> Moment {
    let [wall, awake] = [START, 5000.0].map(|start| Duration::from_secs_f64(start + seconds));
    Moment {
        wall,
        awake,
        passed: awake,
    }
}

fn pace() -> Pace {
    Pace::of(&INTERVALS)
}

/// A place this far into the longest interval.
fn place(seconds: f64) -> Place {
    let ranked = Place::ranked((seconds % 60.0 * 10.0).round() as u32, 600);
    let mut turns = (0..15).map(|registry| Place { registry, ..ranked });
    let is_there = |place: &Place| (pace().offset(*place).as_secs_f64() - seconds).abs() < 1e-6;
    turns.find(is_there).expect("one of the turns")
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

fn started() -> Timetable {
    let mut timetable = Timetable::start(at(0.0), pace(), place(0.0), Depth::Image);
    timetable.take(at(0.0));
    timetable
}

#[test]
fn the_first_round_is_due_at_once_and_the_next_in_the_grid() {
    let mut timetable = Timetable::start(at(0.0), pace(), place(7.5), Depth::Image);
    assert_eq!(due(&timetable), 0.0);
    assert_eq!(timetable.take(at(0.0)).depth, Depth::Image);
    assert_eq!(next(&mut timetable), (7.5, Depth::Network));
    assert_eq!(due(&timetable), 22.5);
}

#[test]
fn deeper_rounds_ride_on_network_rounds() {
    let mut timetable = started();
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
    let [mut before, mut after] =
        [0.0, 1000.0].map(|start| Timetable::start(at(start), pace(), place(33.0), Depth::Network));
    let deep = |timetable: &mut Timetable, from: f64| loop {
        let (at, depth) = next(timetable);
        if at > from && depth > Depth::Network {
            return (at, depth);
        }
    };
    assert_eq!(deep(&mut before, 1020.0), (1053.0, Depth::Request));
    assert_eq!(deep(&mut after, 1020.0), (1053.0, Depth::Request));
}

#[test]
fn a_late_round_shifts_nothing_and_a_missed_one_is_counted() {
    let mut timetable = started();
    let tick = timetable.take(at(16.0));
    assert_eq!((tick.missed, tick.lag), (0, Duration::from_secs(1)));
    assert_eq!(due(&timetable), 30.0);
    let tick = timetable.take(at(62.0));
    assert_eq!(
        tick,
        Tick {
            depth: Depth::Request,
            lag: Duration::from_secs(2),
            missed: 2,
            slept: 0
        }
    );
    assert_eq!(due(&timetable), 75.0);
}

#[test]
fn a_node_that_slept_makes_up_for_nothing() {
    let mut timetable = started();
    let asleep = Duration::from_secs(3600);
    let mut now = at(15.0);
    now.wall += asleep;
    now.passed += asleep;
    let tick = timetable.take(now);
    assert_eq!((tick.missed, tick.slept), (0, 240));
    assert_eq!(tick.depth, Depth::Network, "it waits for its turn");
    now.awake = timetable.due();
    now.wall += Duration::from_secs(15);
    now.passed += Duration::from_secs(15);
    assert_eq!(due(&timetable), 30.0);
    assert_eq!(timetable.take(now).depth, Depth::Network);
}

#[test]
fn a_clock_that_is_set_makes_no_burst_and_no_gap() {
    for set in [-86_400.0, -3600.0, -7.0, -0.02, 0.02, 7.0, 3600.0, 86_400.0] {
        let mut timetable = started();
        let mut last = 0.0;
        let mut deep = 0.0;
        for _ in 0..40 {
            let awake = due(&timetable);
            let mut now = at(awake);
            now.wall = Duration::from_secs_f64(now.wall.as_secs_f64() + set);
            let tick = timetable.take(now);
            assert_eq!((tick.missed, tick.slept), (0, 0), "{set}");
            assert!(awake - last <= 30.0 && awake > last, "{set}");
            last = awake;
            if tick.depth > Depth::Network {
                assert!(awake - deep <= 120.0, "{set}: {awake} after {deep}");
                deep = awake;
            }
        }
        assert!(last > 560.0, "{set}: no burst until {last}");
    }
}

#[test]
fn a_small_move_costs_no_turn_and_doubles_none() {
    for moved in [-9.0, 9.0] {
        let mut timetable = Timetable::start(at(0.0), pace(), place(100.0), Depth::Network);
        let mut turns = Vec::new();
        let mut adopted = false;
        while turns.len() < 12 {
            let (when, depth) = next(&mut timetable);
            turns.extend((depth > Depth::Network).then_some(when));
            if when > 150.0 && !adopted {
                adopted = true;
                timetable.adopt(at(when + 1.0), pace(), place(100.0 + moved));
            }
        }
        let gaps: Vec<_> = turns.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let all_near = gaps.iter().all(|gap| (45.0..=75.0).contains(gap));
        assert!(all_near, "{moved}: {gaps:?}");
    }
}

#[test]
fn whatever_moves_no_turn_is_two_intervals_away_and_none_is_doubled() {
    let mut timetable = started();
    let mut last = 0.0;
    for round in 0..4000_u32 {
        let (when, depth) = next(&mut timetable);
        if depth > Depth::Network {
            assert!((30.0..=135.0).contains(&(when - last)), "{last} {when}");
            last = when;
        }
        if round % 3 == 0 {
            let elsewhere = f64::from(round * 7919 % 900);
            timetable.adopt(at(when + 0.1), pace(), place(elsewhere));
        }
    }
}

#[test]
fn a_turn_that_no_round_is_left_for_is_nobodys() {
    let mut timetable = Timetable::start(at(0.0), pace(), place(30.0), Depth::Network);
    timetable.take(at(0.0));
    timetable.adopt(at(1.0), pace(), place(5.0));
    let rounds: Vec<_> = (0..4).map(|_| next(&mut timetable)).collect();
    let (network, request) = (Depth::Network, Depth::Request);
    assert_eq!(
        rounds,
        [
            (20.0, network),
            (35.0, network),
            (50.0, network),
            (65.0, request)
        ],
        "5 seconds are too soon after the last round, and 20 are somebody else's turn"
    );
}

#[test]
fn a_turn_that_a_small_move_passes_over_is_taken_at_once() {
    let mut timetable = Timetable::start(at(0.0), pace(), place(30.0), Depth::Network);
    let rounds: Vec<_> = (0..6).map(|_| next(&mut timetable)).collect();
    assert_eq!(rounds.last(), Some(&(75.0, Depth::Network)));
    timetable.adopt(at(89.0), pace(), place(28.0));
    let rounds: Vec<_> = (0..6).map(|_| next(&mut timetable)).collect();
    let (network, request) = (Depth::Network, Depth::Request);
    assert_eq!(
        rounds,
        [
            (89.0, request),
            (103.0, network),
            (118.0, network),
            (133.0, network),
            (148.0, request),
            (163.0, network)
        ]
    );
}

#[test]
fn a_move_hides_no_round_that_was_left_out() {
    for moved in [898.0, 2.0, 7.0, 333.0] {
        let mut timetable = started();
        timetable.adopt(at(47.0), pace(), place(moved));
        assert_eq!(timetable.take(at(47.0)).missed, 2, "{moved}: 15 and 30");
    }
}

#[test]
fn a_small_move_brings_no_round_soon_after_the_last() {
    for (last, now, moved, next) in [
        (99.0, 100.0, 0.1, 105.1),
        (79.0, 80.0, 896.5, 86.5),
        (103.0, 104.0, 896.5, 116.5),
    ] {
        let mut timetable = started();
        timetable.take(at(last));
        timetable.adopt(at(now), pace(), place(moved));
        assert_eq!(due(&timetable), next, "{last} {now} {moved}");
    }
}

#[test]
fn whatever_moves_rounds_are_neither_doubled_nor_left_out() {
    let mut timetable = started();
    let mut last = 0.0;
    for round in 0..4000_u32 {
        let early = f64::from(round * 31 % 150) / 10.0;
        let now = (last + early).min(due(&timetable));
        let number = round * 7919;
        let moved = match round % 2 {
            0 => f64::from(number % 900),
            _ => f64::from(number % 30) / 10.0,
        };
        timetable.adopt(at(now), pace(), place(moved));
        let (when, _) = next(&mut timetable);
        let gap = when - last;
        assert!((7.4..=30.1).contains(&gap), "{last} {now} {moved}: {gap}");
        last = when;
    }
}

#[test]
fn nodes_whose_last_turns_came_together_are_not_overdue_together() {
    let mut overdue: Vec<_> = (0..10)
        .map(|number| place(60.0 * f64::from(number) + 7.0))
        .map(|place| Timetable::start(at(0.0), pace(), place, Depth::Network))
        .map(|timetable| timetable.overdue_after(Depth::Request).as_secs_f64())
        .collect();
    overdue.sort_by(f64::total_cmp);
    assert!(overdue[0] >= 105.0 && overdue[9] <= 120.0, "{overdue:?}");
    let are_apart = overdue.windows(2).all(|pair| pair[1] - pair[0] > 0.9);
    assert!(are_apart, "{overdue:?}");
}

#[test]
fn patience_holds_the_deep_rounds_and_lets_the_others_go_on() {
    let mut timetable = started();
    timetable.hold(Depth::Token, at(700.0).awake);
    let rounds: Vec<_> = (0..120).map(|_| next(&mut timetable)).collect();
    let deeper = |than| rounds.iter().filter(move |(_, depth)| *depth >= than);
    assert_eq!(deeper(Depth::Token).next(), Some(&(900.0, Depth::Image)));
    assert_eq!(deeper(Depth::Request).count(), 30);

    let mut timetable = started();
    timetable.hold(Depth::Request, at(100.0).awake);
    let rounds: Vec<_> = (0..12).map(|_| next(&mut timetable)).collect();
    let deep: Vec<_> = rounds.iter().filter(|(_, d)| *d > Depth::Network).collect();
    assert_eq!(
        deep,
        [&(120.0, Depth::Request), &(180.0, Depth::Request)],
        "its own turn, not the moment at which everybody may go on"
    );
}

#[test]
fn patience_for_a_moment_brings_no_turn_nearer() {
    for seconds in 0..60 {
        let place = place(f64::from(seconds));
        let mut timetable = Timetable::start(at(0.0), pace(), place, Depth::Image);
        timetable.take(at(0.0));
        timetable.hold(Depth::Request, at(5.0).awake);
        let deep = std::iter::repeat_with(|| next(&mut timetable));
        let deep = deep.map(|(when, depth)| (when, depth > Depth::Network));
        let first = deep.take(20).find(|(_, is_deep)| *is_deep);
        assert!(first.is_some_and(|(when, _)| when >= 30.0), "{first:?}");
    }
}

#[test]
fn small_moves_do_not_add_up() {
    let mut timetable = started();
    let mut last = 0.0;
    for round in 0..4000_u32 {
        let (when, depth) = next(&mut timetable);
        if depth > Depth::Network {
            assert!((29.9..=135.0).contains(&(when - last)), "{last} {when}");
            last = when;
        }
        let elsewhere = f64::from(round * 9 % 60);
        timetable.adopt(at(when + 0.1), pace(), place(elsewhere));
    }
}

/// As in a fleet that grows: every newcomer moves those behind it to the next turn.
#[test]
fn moves_from_turn_to_turn_put_a_token_off_for_a_while_only() {
    let mut timetable = started();
    let mut last = 0.0;
    for round in 0..4000_u32 {
        let (when, depth) = next(&mut timetable);
        if depth > Depth::Request {
            assert!(when - last <= 1200.0, "{last} {when}");
            last = when;
        }
        timetable.adopt(at(when + 0.1), pace(), place(f64::from(60 * (round % 15))));
    }
}

#[test]
fn a_deep_round_that_fails_is_repeated_once_where_that_is_allowed() {
    let mut timetable = Timetable::start(at(0.0), pace(), place(0.0), Depth::Image);
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
    // Once all is well up there, the next failure is news again.
    while round(false) != image {}
    assert_eq!([true, false].map(&mut round), [network, network]);
    assert_eq!([false, false].map(&mut round), [network, request]);
    let depths = [false, false, false, true, true, true].map(&mut round);
    assert_eq!(
        depths,
        [network, network, network, request, request, network]
    );
}
