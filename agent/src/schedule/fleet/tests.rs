use super::*;

fn config(yaml: &str) -> config::FleetConfig {
    let text = format!("registries: [{{server: contoso.azurecr.io}}]\nfleet: {{{yaml}}}\n");
    config::Config::parse(&text).unwrap().fleet
}

const SERVICE: &str = "service: regprobe.kube-system.svc.cluster.local";

/// At a time that is the beginning of a period of memory, and so many seconds.
fn at(seconds: u64) -> Moment {
    Moment {
        wall: 5_000_000 * MEMORY + Duration::from_secs(seconds),
        awake: Duration::from_secs(100 + seconds),
        passed: Duration::from_secs(100 + seconds),
    }
}

/// With this node in the second place.
fn of(count: u32) -> Answer {
    Answer {
        count,
        rank: Some(1),
        is_cut: false,
    }
}

/// What is known after an answer of each size at each time.
fn counted(answers: &[(u64, u32)]) -> Fleet {
    let mut census = Census::start(config(SERVICE), 7, at(0));
    for (seconds, count) in answers {
        census.hear(at(*seconds), of(*count));
    }
    census.fleet()
}

#[test]
fn nobody_to_ask_is_an_agent_of_its_own() {
    let fleet = Census::start(config(""), 7, at(0)).fleet();
    assert_eq!((fleet.size, fleet.source), (1, Source::Assumed));
    assert!(fleet.may_ask_at_once(3));
    assert!(fleet.quiet_until <= at(0).awake);
}

#[test]
fn a_fixed_size_is_believed_whatever_is_said() {
    let text = format!("size: 4500, {SERVICE}");
    let mut census = Census::start(config(&text), 7, at(0));
    census.hear(at(1), of(10));
    let fleet = census.fleet();
    assert_eq!((fleet.size, fleet.source), (4500, Source::Fixed));
    assert_eq!(fleet.place, Place::ranked(1, 10));
    census.miss();
    assert_eq!(census.fleet().source, Source::Fixed);
    assert!(!census.fleet().may_ask_at_once(0));
    assert!(
        Census::start(config("size: 20"), 7, at(0))
            .fleet()
            .may_ask_at_once(0)
    );
}

#[test]
fn a_size_never_known_is_assumed_and_one_that_was_is_kept() {
    let mut census = Census::start(config(SERVICE), 7, at(0));
    let size = |census: &Census| (census.fleet().size, census.fleet().source);
    census.miss();
    assert_eq!(size(&census), (ASSUMED_SIZE, Source::Assumed));
    assert_eq!(census.fleet().place, Place::scattered(7));
    census.hear(at(30), of(10));
    assert_eq!(size(&census), (10, Source::Known));
    census.miss();
    assert_eq!(size(&census), (10, Source::Stale));
    assert_eq!(census.fleet().place, Place::ranked(1, 10));
    census.hear(at(60), of(11));
    assert_eq!(size(&census), (11, Source::Known));
}

#[test]
fn growth_is_believed_at_once_and_shrinking_late() {
    assert_eq!(counted(&[(0, 100), (30, 120)]).size, 120);
    assert_eq!(counted(&[(0, 100), (30, 20), (60, 99)]).size, 100);
    assert_eq!(counted(&[(1790, 100), (1820, 20), (3590, 20)]).size, 100);
    assert_eq!(counted(&[(1790, 100), (1820, 20), (3610, 20)]).size, 20);
    assert_eq!(counted(&[(0, 100), (86_400, 20)]).size, 20);
    assert_eq!(counted(&[(1801, 100), (1799, 20)]).size, 100);
}

#[test]
fn an_answer_that_is_cut_is_the_least_there_are() {
    let mut census = Census::start(config(SERVICE), 7, at(0));
    let cut = |count| Answer {
        is_cut: true,
        ..of(count)
    };
    census.hear(at(1), cut(4091));
    let fleet = census.fleet();
    assert_eq!((fleet.size, fleet.source), (ASSUMED_SIZE, Source::AtLeast));
    assert_eq!(fleet.place, Place::scattered(7), "a part tells no place");
    let without = Answer {
        rank: None,
        ..cut(4091)
    };
    census.hear(at(200), without);
    assert_eq!(census.fleet().quiet_until, fleet.quiet_until);
}

#[test]
fn a_list_without_this_agent_is_an_old_one_for_a_while() {
    let mut census = Census::start(config(SERVICE), 7, at(0));
    let unlisted = |count| Answer {
        rank: None,
        ..of(count)
    };
    let size = |census: &Census| (census.fleet().size, census.fleet().source);
    census.hear(at(0), unlisted(10));
    assert_eq!(size(&census), (ASSUMED_SIZE, Source::AtLeast));
    assert_eq!(census.patience(at(0)), SECOND, "it asks on");
    assert!(census.fleet().quiet_until < at(31).awake);
    census.hear(at(20), unlisted(10));
    let quiet_until = census.fleet().quiet_until;
    assert!(
        quiet_until >= at(50).awake,
        "the others may believe it, too"
    );
    census.hear(at(25), unlisted(7000));
    assert_eq!(size(&census), (7000, Source::AtLeast));
    census.hear(at(30), of(7001));
    assert_eq!(size(&census), (7001, Source::Known));
    assert!(
        census.fleet().quiet_until < at(25 + 241).awake,
        "it is listed"
    );
    census.hear(at(60), unlisted(7000));
    assert_eq!(size(&census), (7001, Source::Known), "it was listed once");

    let mut census = Census::start(config(SERVICE), 7, at(0));
    census.miss();
    census.hear(at(400), unlisted(10));
    assert_eq!(size(&census), (ASSUMED_SIZE, Source::AtLeast));
    census.hear(at(700), unlisted(10));
    assert_eq!(size(&census), (ASSUMED_SIZE, Source::AtLeast));
    census.hear(at(701), unlisted(10));
    assert_eq!(size(&census), (10, Source::Known), "it never is");
    assert_eq!(census.fleet().place, Place::scattered(7));
}

#[test]
fn a_short_answer_is_no_list_to_find_ones_place_in() {
    assert_eq!(counted(&[(0, 100)]).place, Place::ranked(1, 100));
    assert_eq!(counted(&[(0, 100), (30, 50)]).place, Place::ranked(1, 100));
    assert_eq!(counted(&[(0, 100), (30, 110)]).place, Place::ranked(1, 110));
    assert_eq!(counted(&[(0, 100), (3600, 50)]).place, Place::ranked(1, 50));
}

#[test]
fn a_new_agent_is_quiet_until_the_others_know_of_it() {
    let fleet = counted(&[(0, 1000)]);
    assert_eq!(fleet.quiet_until, at(30).awake);
    assert!(
        !counted(&[(0, 1)]).may_ask_at_once(0),
        "it may be the first"
    );
}

#[test]
fn all_agents_ask_in_turn_at_the_same_times_of_day() {
    let after = |time: Duration| Moment {
        wall: at(0).wall + time,
        ..at(0)
    };
    for (size, period) in [(1, 30), (100, 30), (1500, 30), (1501, 60), (5000, 120)] {
        let period = Duration::from_secs(period);
        let mut turns = [0; 10];
        for node in 0..size {
            let mut census = Census::start(config(SERVICE), u64::from(node), at(0));
            census.hear(at(0), of(size));
            census.pause = Duration::MAX;
            let next = Duration::from_secs(7) + census.patience(after(Duration::from_secs(7)));
            let turn = Duration::from_nanos_u128(next.as_nanos() % period.as_nanos());
            let part = turn.as_secs_f64() / (TURN * size).as_secs_f64();
            turns[(part * 10.0) as usize] += 1;
            let (early, late) = (next - NEAR / 2, next + NEAR / 2);
            for asked in [early, next, late] {
                let wait = census.patience(after(asked));
                assert_eq!(asked + wait, next + period, "{size}: {asked:?}");
            }
        }
        let is_even = |turns: &u32| (size / 20..=size / 5 + 1).contains(turns);
        assert!(turns.iter().all(is_even), "{size}: {turns:?}");
    }
}

#[test]
fn a_new_agent_asks_again_soon_and_an_old_one_forever() {
    let mut census = Census::start(config(SERVICE), 7, at(0));
    census.miss();
    let mut waits = (0..1000).map(|_| census.patience(at(0)).as_secs());
    let early: Vec<_> = waits.by_ref().take(2).collect();
    assert_eq!(early, [10, 20]);
    assert!(waits.all(|wait| wait <= 121));
}

#[test]
fn addresses_that_follow_each_other_are_spread() {
    for step in [1, 3, 31, 32, 256] {
        let first = u32::from_be_bytes([10, 240, 3, 7]);
        let addresses = (0..1000).map(|node| first + node * step);
        let mut parts = [0; 10];
        for address in addresses {
            let number = scattered(std::net::Ipv4Addr::from(address).into());
            parts[(number as f64 / u64::MAX as f64 * 10.0) as usize] += 1;
        }
        assert!(
            parts.iter().all(|part| (94..=106).contains(part)),
            "{parts:?}"
        );
    }
}
