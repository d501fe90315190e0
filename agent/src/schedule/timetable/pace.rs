//! The rhythm that all nodes of a fleet have in common, and where in it a node stands.

use std::time::Duration;

use num_integer::{ExtendedGcd, Integer};
use regprobe_probes::Depth;

use crate::config;

/// Requests to the registry for one image: index, manifest, configuration and first layer.
const REQUESTS_PER_IMAGE: f64 = 4.0;
/// The part of the budget that is planned with. The rest is for what nobody plans: nodes that the
/// others do not know of yet, and agents that start anew.
const PLANNED: f64 = 0.9;
/// The part of a minute's budget that may be used within a moment.
const AT_ONCE: f64 = 0.1;

/// How often each depth is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// Of rounds at all.
    pub network: Duration,
    /// Of rounds with requests.
    pub request: Duration,
    /// Of rounds with a token request.
    pub token: Duration,
    /// Of rounds that walk to the images.
    pub image: Duration,
}

impl From<&config::ScheduleConfig> for Intervals {
    fn from(schedule: &config::ScheduleConfig) -> Self {
        Self {
            network: schedule.network_interval,
            request: schedule.request_interval,
            token: schedule.token_interval,
            image: schedule.image_interval,
        }
    }
}

/// How many rounds of the network make one of each depth. Each is a multiple of those it rides on, so
/// that their grids meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    network: Duration,
    rounds: [u64; 4],
}

impl Pace {
    /// As configured; intervals that are no multiples of those they ride on become the next that are.
    pub fn of(intervals: &Intervals) -> Self {
        let network = intervals.network;
        let times = |long: Duration, short: Duration| {
            long.as_nanos().div_ceil(short.as_nanos().max(1)).max(1) as u64
        };
        let request = times(intervals.request, network);
        let of_requests = |long| times(long, network).div_ceil(request);
        let (token, image) = (of_requests(intervals.token), of_requests(intervals.image));
        let pace = Self {
            network,
            rounds: [1, 1, token, image],
        };
        pace.with(request)
    }

    /// This pace for a fleet of `size` nodes that may send `budget` requests a minute to one registry,
    /// with so many `images`: requests become as rare as it takes, rounds of the network stay.
    #[must_use]
    pub fn within(self, budget: u32, size: u32, images: usize) -> Self {
        let [_, request, token, image] = self.rounds.map(|rounds| rounds as f64);
        // Of one node, for each request that is due.
        let requests = 1.0 + request / token + REQUESTS_PER_IMAGE * images as f64 * request / image;
        let minute = self.network.as_secs_f64() / 60.0;
        let rounds = f64::from(size) * requests / (f64::from(budget) * PLANNED * minute);
        match rounds > request {
            true => self.with(few_digits(rounds.ceil() as u64)),
            false => self,
        }
    }

    /// Whether all nodes of a fleet may do a full round at the same moment.
    pub fn allows_at_once(budget: u32, size: u32, images: usize) -> bool {
        let requests = 2.0 + REQUESTS_PER_IMAGE * images as f64;
        f64::from(size) * requests <= f64::from(budget) * AT_ONCE
    }

    /// The interval of one depth.
    pub fn interval(&self, depth: Depth) -> Duration {
        let nanos = self.network.as_nanos() * u128::from(self.rounds[depth as usize]);
        Duration::from_nanos_u128(nanos)
    }

    /// With requests every so many rounds of the network, and all that rides on them in proportion.
    fn with(self, request: u64) -> Self {
        let [_, before, token, image] = self.rounds;
        let (mut token, mut image) = (token / before, image / before);
        match token < image {
            true => image = image.next_multiple_of(token),
            false => token = token.next_multiple_of(image),
        }
        Self {
            network: self.network,
            rounds: [1, request, request * token, request * image],
        }
    }

    /// Where the grids of the node at `place` begin.
    pub(super) fn offset(&self, place: Place) -> Duration {
        let [_, request, token, image] = self.rounds;
        let [often, seldom] = [token.min(image), token.max(image)].map(|rounds| rounds / request);
        let turn =
            (place.turn(often as i64, seldom as i64) as u64 + place.registry % seldom) % seldom;
        let requests = turn as f64 + f64::from(place.rank) / f64::from(place.of);
        self.interval(Depth::Request).mul_f64(requests) + self.delay(place)
    }

    /// By how much a registry's rounds come after the node's place: by some rounds of the network, so that
    /// not all registries of a node get requests in the same one, and by a slot.
    fn delay(&self, place: Place) -> Duration {
        let [_, request, ..] = self.rounds;
        let rounds = u128::from(place.registry) * u128::from(request);
        let slot = (u128::from(rounds as u64) * u128::from(place.slots)) >> u64::BITS;
        let apart = APART.min(self.network / place.slots);
        let nanos = self.network.as_nanos() * (rounds >> u64::BITS) + apart.as_nanos() * slot;
        Duration::from_nanos_u128(nanos)
    }
}

/// The next number with four binary digits, for small changes of a fleet's size are none of its pace.
fn few_digits(number: u64) -> u64 {
    let digits = u64::BITS - number.leading_zeros();
    number.next_multiple_of(1 << digits.saturating_sub(4))
}

/// Registries of a node that share a slot, by their hashes, at most on average. Their rounds wake the node
/// once, and each finds in the processor's caches what the one before it has used; more at once would need
/// more memory, and send the nameserver a burst of questions.
const TOGETHER: usize = 8;
/// Between two slots of a node. So short that nodes which do not have the same registries, and so not as
/// many slots, still ask each of them in their turn.
const APART: Duration = Duration::from_millis(50);

/// Where a node stands among all, as seen from one registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Of all nodes in order, counted from 0: so far into the interval of requests are all of its turns.
    pub(super) rank: u32,
    /// How many nodes there are, and never 0.
    pub(super) of: u32,
    /// The registry's hash, which delays its rounds alike on every node.
    pub(super) registry: u64,
    /// How many slots there are for the registries of the node: a power of two, and never 0.
    pub(super) slots: u32,
}

impl Place {
    /// Of a node that is the `rank`th of all, counted from 0.
    pub fn ranked(rank: u32, of: u32) -> Self {
        Self {
            rank,
            of: of.max(1),
            registry: 0,
            slots: 1,
        }
    }

    /// Of a node that knows of no other: wherever `number` is within all there are.
    pub fn scattered(number: u64) -> Self {
        Self::ranked((number >> 32) as u32, u32::MAX)
    }

    /// As seen from the registry with this hash, one of so many on the node.
    #[must_use]
    pub fn seen_from(self, registry: u64, of: usize) -> Self {
        let slots = of.div_ceil(TOGETHER).next_power_of_two();
        Self {
            registry,
            slots: u32::try_from(slots).unwrap_or(1 << 31),
            ..self
        }
    }

    /// Which of `seldom` turns is that of what comes as seldom. What comes `often`, every so many turns, of which
    /// `seldom` is a multiple, has its own in it.
    fn turn(self, often: i64, seldom: i64) -> i64 {
        let (rank, of) = (self.rank.into(), self.of.into());
        let turn = even_turn(rank, of, often);
        let order = (turn * of + rank) / often;
        turn + often * even_turn(order, of, seldom / often)
    }
}

/// Which of so many turns the node at `rank` takes, so that all nodes together take theirs at even distances.
/// In each turn nodes follow each other, so this one's comes at `turn * of + rank`, and the `k`th of all is to
/// come at `k * turns`: it is that of the node whose rank is what this leaves when divided by `of`. Where the
/// two have a divisor in common, that is only one of so many nodes; the others come in groups of their own, and
/// the first of each group one before its time.
fn even_turn(rank: i64, of: i64, turns: i64) -> i64 {
    let ExtendedGcd { gcd, x, .. } = of.extended_gcd(&turns);
    let turns = turns / gcd;
    (gcd - 1 - rank % gcd) * turns + (rank / gcd * -x).rem_euclid(turns)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    const INTERVALS: Intervals = Intervals {
        network: Duration::from_secs(15),
        request: Duration::from_secs(60),
        token: Duration::from_secs(300),
        image: Duration::from_secs(900),
    };

    /// All of its bits count: multiples of it are spread evenly.
    const HASH: u64 = 0x9e37_79b9_7f4a_7c15;

    fn seconds(pace: &Pace) -> [u64; 4] {
        Depth::ALL.map(|depth| pace.interval(depth).as_secs())
    }

    #[test]
    fn intervals_are_multiples_of_those_they_ride_on() {
        assert_eq!(seconds(&Pace::of(&INTERVALS)), [15, 60, 300, 900]);
        let odd = Intervals {
            network: Duration::from_secs(7),
            token: Duration::from_secs(150),
            image: Duration::from_secs(70),
            ..INTERVALS
        };
        assert_eq!(seconds(&Pace::of(&odd)), [7, 63, 252, 126]);
    }

    #[test]
    fn a_fleet_within_its_budget_keeps_the_pace() {
        let pace = Pace::of(&INTERVALS);
        for size in [1, 100, 740] {
            assert_eq!(pace.within(1000, size, 0), pace, "{size}");
        }
        assert_eq!(
            seconds(&pace.within(1000, 5000, 0)),
            [15, 420, 2100, 6300],
            "26.7 rounds of the network"
        );
        assert_ne!(pace.within(1000, 700, 1), pace, "images count");
    }

    #[test]
    fn no_size_is_over_budget() {
        let pace = Pace::of(&INTERVALS);
        for size in (1..20_000).step_by(37) {
            for budget in [1, 60, 1000, 5000] {
                let [_, request, token, _] = seconds(&pace.within(budget, size, 0));
                let rate = f64::from(size) * 60.0 * (1.0 / request as f64 + 1.0 / token as f64);
                assert!(rate <= 0.9 * f64::from(budget) + 1e-9, "{size} {budget}");
            }
        }
    }

    #[test]
    fn small_changes_of_size_change_no_pace() {
        let pace = Pace::of(&INTERVALS);
        let paces = (4700..5200).map(|size| pace.within(1000, size, 0));
        let mut intervals: Vec<_> = paces.map(|pace| seconds(&pace)[1]).collect();
        intervals.dedup();
        assert_eq!(intervals, [390, 420]);
    }

    /// The shortest and the longest time from one of `times` in an interval to the next, in that by which they
    /// are apart where they are even.
    fn gaps(mut times: Vec<f64>) -> [f64; 2] {
        times.sort_by(f64::total_cmp);
        times.push(times[0] + 1.0);
        let count = (times.len() - 1) as f64;
        let gaps = times.windows(2).map(|pair| (pair[1] - pair[0]) * count);
        gaps.fold([f64::INFINITY, 0.0], |[least, most], gap| {
            [least.min(gap), most.max(gap)]
        })
    }

    #[test]
    fn every_depth_is_spread_evenly() {
        let seconds = [(300, 900), (900, 300), (600, 600), (60, 720), (360, 2160)];
        for (token, image) in seconds {
            let intervals = Intervals {
                token: Duration::from_secs(token),
                image: Duration::from_secs(image),
                ..INTERVALS
            };
            for size in (1..=120).chain([997, 1000, 5000]) {
                let pace = Pace::of(&intervals).within(1000, size, 0);
                for depth in [Depth::Request, Depth::Token, Depth::Image] {
                    let interval = pace.interval(depth).as_secs_f64();
                    let times = (0..size).map(|rank| {
                        let place = Place::ranked(rank, size).seen_from(HASH, 30);
                        (pace.offset(place).as_secs_f64() / interval).fract()
                    });
                    let [least, most] = gaps(times.collect());
                    let is_even = least > 0.6 && most < 2.0;
                    assert!(is_even, "{intervals:?} {size} {depth:?}: {least} to {most}");
                }
            }
        }
    }

    /// The hashes of so many registries.
    fn hashes(registries: usize) -> impl Iterator<Item = u64> {
        (0..registries as u64).map(|number| number.wrapping_mul(HASH))
    }

    #[test]
    fn registries_of_a_node_begin_together_and_not_all_of_them() {
        let network = INTERVALS.network.as_nanos();
        for pace in [
            Pace::of(&INTERVALS),
            Pace::of(&INTERVALS).within(1000, 5000, 0),
        ] {
            for (registries, slots) in [(8, 1), (9, 2), (20, 4), (300, 64), (1000, 128)] {
                let place = Place::ranked(7, 100);
                let mut begin = HashMap::new();
                for hash in hashes(registries) {
                    let offset = pace.offset(place.seen_from(hash, registries));
                    *begin.entry(offset.as_nanos() % network).or_insert(0) += 1;
                }
                let most = begin.values().max();
                assert!(begin.len() <= slots && most <= Some(&10), "{begin:?}");
            }
        }
    }

    #[test]
    fn registries_of_a_node_do_not_all_get_requests_in_the_same_round() {
        let pace = Pace::of(&INTERVALS);
        let place = Place::ranked(0, 1);
        let rounds = hashes(5).map(|hash| {
            let offset = pace.offset(place.seen_from(hash, 5));
            offset.as_secs() % 60 / 15
        });
        let mut rounds: Vec<_> = rounds.collect();
        rounds.sort_unstable();
        rounds.dedup();
        assert_eq!(rounds, [0, 1, 2, 3]);
    }

    #[test]
    fn a_registry_delays_all_nodes_alike() {
        let pace = Pace::of(&INTERVALS).within(1000, 5000, 0);
        let request = pace.interval(Depth::Request).as_nanos();
        let delay = |rank, of| {
            let place = Place::ranked(rank, 5000);
            let seen = pace.offset(place.seen_from(HASH, of)).as_nanos();
            (seen + u128::from(u32::MAX) * request - pace.offset(place).as_nanos()) % request
        };
        let first = delay(0, 1);
        assert!(first > request / 2);
        // Nanoseconds are rounded.
        assert!((1..5000).all(|rank| delay(rank, 1).abs_diff(first) <= 1));
        for of in [8, 9, 40] {
            let apart = delay(0, of).abs_diff(first);
            assert!(
                apart < Duration::from_millis(400).as_nanos(),
                "{of}: {apart} ns"
            );
        }
    }

    #[test]
    fn a_short_interval_has_room_for_all_slots() {
        let network = Duration::from_secs(1);
        let pace = Pace::of(&Intervals {
            network,
            ..INTERVALS
        });
        let delays = hashes(1000).map(|hash| pace.delay(Place::ranked(0, 1).seen_from(hash, 1000)));
        let slots: HashSet<_> = delays.map(|delay| delay.subsec_nanos()).collect();
        assert_eq!(slots.len(), 128);
    }
}
