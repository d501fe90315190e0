//! The rhythm that all nodes of a fleet have in common, and where in it a node stands.

use std::time::Duration;

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

impl From<&config::Schedule> for Intervals {
    fn from(schedule: &config::Schedule) -> Self {
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
        let turn = u64::from(place.turn) % (token.max(image) / request);
        let requests = turn as f64 + place.phase;
        self.interval(Depth::Request).mul_f64(requests) + self.behind(place)
    }

    /// How far the turns at a registry are behind those of the node: by rounds of the network, and by the
    /// moment within one.
    fn behind(&self, place: Place) -> Duration {
        let [_, request, ..] = self.rounds;
        let moments = u128::from(place.moments);
        let moment = (u128::from(place.registry) * u128::from(request) * moments) >> u64::BITS;
        Duration::from_nanos_u128(self.network.as_nanos() * moment / moments)
    }
}

/// The next number with four binary digits, for small changes of a fleet's size are none of its pace.
fn few_digits(number: u64) -> u64 {
    let digits = u64::BITS - number.leading_zeros();
    number.next_multiple_of(1 << digits.saturating_sub(4))
}

/// Registries of a node whose rounds begin at the same moment, as far as hashes are even. They wake the node
/// once, and find in the processor's caches what the round before them has used; more of them would take
/// more memory, and the nameserver by surprise.
const TOGETHER: usize = 8;

/// The moments within an interval of the network at which a node with so many registries begins rounds: a
/// power of two, so that registries that come later meet those that are there.
pub fn moments(registries: usize) -> u32 {
    let moments = registries.div_ceil(TOGETHER).next_power_of_two();
    u32::try_from(moments).unwrap_or(1 << 31)
}

/// Where a node stands among all, as seen from one registry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Within the interval of requests, from 0 to 1: where all of its turns are.
    pub(super) phase: f64,
    /// Which of these turns are also those of what is rarer. Neighbours take different ones.
    pub(super) turn: u32,
    /// The registry's hash. On all nodes it puts its turns as far behind theirs.
    pub(super) registry: u64,
    /// Within an interval of the network, at which this node begins rounds.
    pub(super) moments: u32,
}

impl Place {
    /// Of a node that is the `rank`th of all, counted from 0.
    pub fn ranked(rank: u32, of: u32) -> Self {
        Self {
            phase: f64::from(rank) / f64::from(of.max(1)),
            turn: rank,
            registry: 0,
            moments: 1,
        }
    }

    /// Of a node that knows of no other: wherever `number` is within all there are.
    pub fn scattered(number: u64) -> Self {
        Self {
            phase: number as f64 / u64::MAX as f64,
            // The lowest bits are alike where addresses are a power of two apart.
            turn: (number >> 16) as u32,
            registry: 0,
            moments: 1,
        }
    }

    /// As seen from a registry with this hash, on a node that begins rounds at so many `moments`.
    #[must_use]
    pub fn seen_from(self, registry: u64, moments: u32) -> Self {
        Self {
            turn: self.turn.wrapping_add(registry as u32),
            registry,
            moments,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const INTERVALS: Intervals = Intervals {
        network: Duration::from_secs(15),
        request: Duration::from_secs(60),
        token: Duration::from_secs(300),
        image: Duration::from_secs(900),
    };

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

    /// How far the most crowded and the emptiest of some equal parts of an interval are apart.
    fn unevenness(mut times: Vec<f64>) -> f64 {
        times.sort_by(f64::total_cmp);
        let wanted = 1.0 / times.len() as f64;
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.fold(0.0_f64, |most, gap| most.max(gap / wanted))
    }

    #[test]
    fn every_depth_is_spread_evenly() {
        for size in [3_u32, 10, 15, 100, 997, 1000, 5000] {
            let pace = Pace::of(&INTERVALS).within(1000, size, 0);
            for depth in [Depth::Request, Depth::Token, Depth::Image] {
                let interval = pace.interval(depth).as_secs_f64();
                let times = (0..size).map(|rank| {
                    let place = Place::ranked(rank, size).seen_from(42 << 50, 4);
                    (pace.offset(place).as_secs_f64() / interval).fract()
                });
                let unevenness = unevenness(times.collect());
                assert!(unevenness < 5.0, "{size} {depth:?}: {unevenness}");
            }
        }
    }

    #[test]
    fn registries_of_a_node_begin_together_and_not_all_of_them() {
        let pace = Pace::of(&INTERVALS);
        let hash = |registry: u64| registry.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for (registries, of_a_node, at_most) in [(1, 1, 1), (8, 1, 8), (20, 4, 8), (300, 64, 8)] {
            assert_eq!(moments(registries), of_a_node);
            let place = Place::ranked(7, 100);
            let mut begin = HashMap::new();
            for registry in 0..registries as u64 {
                let offset = pace.offset(place.seen_from(hash(registry), of_a_node));
                *begin.entry(offset.as_nanos() % 15_000_000_000).or_insert(0) += 1;
            }
            let most = begin.values().max();
            assert!(
                most <= Some(&at_most) && begin.len() <= of_a_node as usize,
                "{begin:?}"
            );
        }
    }

    #[test]
    fn a_registry_moves_all_nodes_alike() {
        let pace = Pace::of(&INTERVALS).within(1000, 5000, 0);
        let request = pace.interval(Depth::Request).as_nanos();
        let behind = |rank| {
            let place = Place::ranked(rank, 5000);
            let [own, seen] =
                [place, place.seen_from(77 << 56, 16)].map(|place| pace.offset(place));
            (seen.as_nanos() + u128::from(u32::MAX) * request - own.as_nanos()) % request
        };
        let first = behind(0);
        assert_ne!(first, 0);
        assert!((1..5000).all(|rank| behind(rank).abs_diff(first) <= 1));
    }
}
