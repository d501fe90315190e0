use super::*;

fn config(yaml: &str) -> config::FleetConfig {
    let text = format!("registries: [{{server: contoso.azurecr.io}}]\nfleet: {{{yaml}}}\n");
    config::Config::parse(&text).unwrap().fleet
}

const SERVICE: &str = "service: regprobe.kube-system.svc.cluster.local";

/// This many seconds after a memory began.
fn at(seconds: u64) -> Moment {
    Moment {
        wall: Duration::from_secs(1_790_000_000 + seconds),
        awake: 100 * MEMORY + Duration::from_secs(seconds),
        passed: 100 * MEMORY + Duration::from_secs(seconds),
    }
}

/// With this node in the second place.
fn of(agents: u32) -> Count {
    Count {
        agents,
        rank: Some(1),
        is_cut: false,
    }
}

fn without_this_one(agents: u32) -> Count {
    Count {
        rank: None,
        ..of(agents)
    }
}

fn census(yaml: &str) -> Census {
    Census::start(config(yaml), 7, at(0))
}

/// What is known after an answer of each size at each time.
fn counted(answers: &[(u64, u32)]) -> Fleet {
    let mut census = census(SERVICE);
    for (seconds, agents) in answers {
        census.hear(at(*seconds), of(*agents));
    }
    census.fleet()
}

fn size(census: &Census) -> (u32, Source) {
    (census.fleet().size, census.fleet().source)
}

#[test]
fn nobody_to_ask_is_an_agent_of_its_own() {
    let fleet = census("").fleet();
    assert_eq!((fleet.size, fleet.source), (1, Source::Assumed));
    assert!(fleet.may_ask_at_once(Walks::of(3)));
    assert!(fleet.quiet_until <= at(0).awake);
}

#[test]
fn a_fixed_size_is_believed_whatever_is_said() {
    let mut census = census(&format!("size: 4500, {SERVICE}"));
    census.hear(at(1), of(10));
    assert_eq!(size(&census), (4500, Source::Fixed));
    assert_eq!(census.fleet().place, Some(0.1));
    census.miss();
    assert_eq!(census.fleet().source, Source::Fixed);
    assert!(!census.fleet().may_ask_at_once(Walks::of(0)));
    let small = Census::start(config("size: 20"), 7, at(0));
    assert!(small.fleet().may_ask_at_once(Walks::of(0)));
}

#[test]
fn a_size_never_known_is_assumed_and_one_that_was_is_kept() {
    let mut census = census(SERVICE);
    census.miss();
    assert_eq!(size(&census), (ASSUMED_SIZE, Source::Assumed));
    assert_eq!(census.fleet().place, None);
    census.hear(at(30), of(10));
    assert_eq!(size(&census), (10, Source::Known));
    census.miss();
    assert_eq!(size(&census), (10, Source::Stale));
    assert_eq!(census.fleet().place, Some(0.1));
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
}

#[test]
fn an_answer_that_is_cut_is_the_least_there_are() {
    let mut census = census(SERVICE);
    let cut = Count {
        is_cut: true,
        ..of(4091)
    };
    census.hear(at(1), cut);
    assert_eq!(size(&census), (ASSUMED_SIZE, Source::AtLeast));
    assert_eq!(census.fleet().place, None, "a part tells no place");
}

#[test]
fn a_list_without_this_agent_is_an_old_one_for_a_while() {
    let mut census = census(SERVICE);
    census.hear(at(0), without_this_one(10));
    assert_eq!(size(&census), (ASSUMED_SIZE, Source::AtLeast));
    census.hear(at(25), without_this_one(7000));
    assert_eq!(size(&census), (7000, Source::AtLeast));
    census.hear(at(30), of(7001));
    assert_eq!(size(&census), (7001, Source::Known));
    census.hear(at(60), without_this_one(7000));
    assert_eq!(size(&census), (7001, Source::Known), "it was listed once");

    let mut census = self::census(SERVICE);
    census.hear(at(119), without_this_one(10));
    assert_eq!(size(&census), (ASSUMED_SIZE, Source::AtLeast));
    census.hear(at(121), without_this_one(10));
    assert_eq!(size(&census), (10, Source::Known), "it never is");
}

#[test]
fn a_short_answer_is_no_list_to_find_ones_place_in() {
    let place = |answers| counted(answers).place;
    assert_eq!(place(&[(0, 100)]), Some(0.01));
    assert_eq!(place(&[(0, 100), (30, 50)]), Some(0.01));
    assert_eq!(place(&[(0, 100), (30, 200)]), Some(0.005));
    assert_eq!(place(&[(0, 100), (3600, 50)]), Some(0.02));
}

#[test]
fn a_new_agent_is_quiet_until_the_others_know_of_it() {
    let mut census = census(SERVICE);
    assert_eq!(
        census.fleet().quiet_until,
        at(120).awake,
        "or it is not listed"
    );
    census.hear(at(10), without_this_one(1000));
    assert_eq!(census.fleet().quiet_until, at(120).awake);
    census.hear(at(20), of(1000));
    assert_eq!(census.fleet().quiet_until, at(40).awake);
    census.hear(at(40), of(4000));
    assert_eq!(
        census.fleet().quiet_until,
        at(100).awake,
        "they ask less often"
    );
    let first = counted(&[(0, 1)]);
    assert!(!first.may_ask_at_once(Walks::of(0)), "more may come");
}

#[test]
fn the_agents_ask_in_turn() {
    for (size, period) in [(1, 10), (100, 10), (500, 10), (5000, 100)] {
        let mut turns = [0; 10];
        for node in 0..size {
            let mut census = Census::start(config(SERVICE), node, at(0));
            census.hear(at(0), of(size as u32));
            let wait = census.wait(at(0));
            let next = Moment {
                wall: at(0).wall + wait,
                ..at(0)
            };
            assert_eq!(census.wait(next), Duration::from_secs(period));
            turns[(wait.as_secs_f64() / period as f64 * 9.9) as usize] += 1;
        }
        let is_even = |turns: &u64| (size / 20..=size / 5 + 1).contains(turns);
        assert!(turns.iter().all(is_even), "{size}: {turns:?}");
    }
}
