//! How often one node sends requests to a registry: at the configured intervals, and in a large fleet
//! at a power of two times those, so that all nodes together keep within the budget.
//!
//! It is a power of two because the turns at the longer interval are then some of those at the shorter
//! one. A fleet that grows leaves out turns, and moves none.

use std::time::Duration;

use regprobe_probes::Depth;

use super::haste::Haste;
pub use crate::plan::Intervals;

/// In a large fleet chance decides which nodes have their turns in the same minute, so its requests
/// vary around their mean. The budget has room for this many standard deviations above it.
const DEVIATIONS: f64 = 5.0;
/// The part of a minute's budget that may be used at once.
const AT_ONCE: f64 = 0.1;
/// Whatever the budget, intervals become no longer: they have to fit their type.
const MOST_STRETCH: u32 = 1 << 30;
/// A fleet that has to stretch its intervals more than this keeps its turns after a change: little would come earlier,
/// and in the simulation a minute of 20,000 nodes exceeded the budget.
const MOST_HASTY: f64 = 16.0;

/// How often one node takes each depth at one registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    network: Duration,
    /// How many rounds of the network make one of each depth, as configured. Each is a multiple of
    /// the one before, so that deep rounds ride on others.
    rounds: [u64; 4],
    /// How many times longer all intervals but the network's are: a power of two.
    stretch: u32,
    haste: Option<Haste>,
}

impl Pace {
    /// As configured. An interval that is no multiple of the one it rides on becomes the next that is.
    /// A round with images requests a token as well, so tokens are no rarer than images.
    pub fn of(intervals: &Intervals) -> Self {
        let times = |long: Duration, short: Duration| {
            long.as_nanos().div_ceil(short.as_nanos().max(1)).max(1) as u64
        };
        let request = times(intervals.request, intervals.network);
        let rounds_of = |interval| times(interval, intervals.network);
        let token = rounds_of(intervals.token.min(intervals.image)).next_multiple_of(request);
        let image = rounds_of(intervals.image).next_multiple_of(token);
        Self {
            network: intervals.network,
            rounds: [1, request, token, image],
            stretch: 1,
            haste: None,
        }
    }

    /// This pace for a fleet of `size` nodes that may send `budget` requests a minute to one registry,
    /// which gets this many for the `walks` of a round. Requests become as rare as it takes, rounds of the network stay.
    ///
    /// `share` is the node's own number, from 0 to 1. Where a power of two is too little and the next
    /// one too much, nodes with low shares take the greater. Without that a fleet that grows through
    /// such a size would send twice as much before it as after it.
    #[must_use]
    pub fn within(self, budget: u32, size: u32, walks: u32, share: f64) -> Self {
        let [_, request, token, image] = self.rounds.map(|rounds| 1.0 / rounds as f64);
        let full = full_round(walks);
        // Of one node in an interval of the network; the squares are of what it sends at once.
        let requests = request + token + (full - 2.0) * image;
        let squares = request + 3.0 * token + (full.powi(2) - 4.0) * image;
        // The part of each node, in an interval of the network.
        let part = |planned: f64| {
            let intervals = 60.0 / self.network.as_secs_f64();
            planned / intervals / f64::from(size)
        };
        let stretch = requests / part(planned(budget, squares / requests));
        let own_stretch = power_of_two(stretch, share);
        let worth = (full / requests).ceil() * f64::from(own_stretch);
        let spans = (stretch <= MOST_HASTY)
            .then(|| self.spans(full, part(planned(budget, full)), stretch, own_stretch))
            .flatten();
        let rounds = |rounds: f64| self.network.mul_f64(rounds);
        Self {
            stretch: own_stretch,
            haste: spans.map(|(full, request)| Haste {
                full: rounds(full),
                request: request.map(rounds),
                worth: rounds(worth.max(full)),
            }),
            ..self
        }
    }

    /// After a change, in rounds of the network: the span of one full round, which is `full` requests, and of
    /// other requests beside it. A node sends no more than `part` in a round of the network, in a fleet that has to
    /// `stretch` its intervals so far. No node goes without requests for longer than twice its interval.
    ///
    /// `None` where that would make nothing come earlier.
    fn spans(
        &self,
        full: f64,
        part: f64,
        stretch: f64,
        own_stretch: u32,
    ) -> Option<(f64, Option<f64>)> {
        let [_, request, _, image] = self.rounds.map(|rounds| rounds as f64);
        let alone = (full / part).ceil();
        if alone <= request * f64::from(power_below(stretch)) {
            return Some((alone, None));
        }
        // Every second turn of a request is left out, and what that saves goes into the full round.
        let seldom = 2.0 * request;
        let saved = part * stretch.max(1.0) - 1.0 / seldom;
        let full = ((full - 1.0) / saved / seldom).ceil() * seldom;
        let own = f64::from(own_stretch);
        (saved > 0.0 && full < image).then_some((full * own, Some(seldom * own)))
    }

    /// How turns come after a change; `None` where they come no earlier than usual.
    pub(super) fn haste(&self) -> Option<&Haste> {
        self.haste.as_ref()
    }

    /// Whether all nodes of a fleet may do a full round at the same moment.
    pub fn allows_at_once(budget: u32, size: u32, walks: u32) -> bool {
        f64::from(size) * full_round(walks) <= f64::from(budget) * AT_ONCE
    }

    /// The interval of one depth.
    pub fn interval(&self, depth: Depth) -> Duration {
        let stretch = match depth {
            Depth::Network => 1,
            _ => self.stretch,
        };
        self.configured(depth) * stretch
    }

    /// The interval of one depth where the budget leaves it as it is.
    pub(super) fn configured(&self, depth: Depth) -> Duration {
        let nanos = self.network.as_nanos() * u128::from(self.rounds[depth as usize]);
        Duration::from_nanos_u128(nanos)
    }
}

/// Requests of one node in a round that goes all the way.
fn full_round(walks: u32) -> f64 {
    2.0 + f64::from(walks)
}

/// The mean of the requests in a minute that leaves room for chance within `budget`, where `clump` of them come at
/// once.
fn planned(budget: u32, clump: f64) -> f64 {
    let reserve = DEVIATIONS / 2.0 * clump.sqrt();
    ((f64::from(budget) + reserve.powi(2)).sqrt() - reserve).powi(2)
}

/// The power of two below `stretch`, or the one above it: below some share the latter, so that all
/// shares together make `stretch` times fewer requests.
fn power_of_two(stretch: f64, share: f64) -> u32 {
    let below = power_below(stretch);
    match share < 2.0 - 2.0 * f64::from(below) / stretch {
        true => (2 * below).min(MOST_STRETCH),
        false => below,
    }
}

fn power_below(stretch: f64) -> u32 {
    let most = MOST_STRETCH.ilog2();
    1 << (stretch.max(1.0).log2() as u32).min(most)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(seconds(&Pace::of(&odd)), [7, 63, 126, 126]);
    }

    #[test]
    fn a_fleet_within_its_budget_keeps_the_pace() {
        let pace = Pace::of(&INTERVALS);
        for size in [1, 100, 600] {
            assert_eq!(pace.within(1000, size, 0, 0.0).stretch, 1, "{size}");
        }
        assert_ne!(pace.within(1000, 600, 7, 0.0).stretch, 1, "walks count");
    }

    #[test]
    fn a_large_fleet_asks_a_power_of_two_times_less_often() {
        let pace = Pace::of(&INTERVALS);
        let of_share = |share| seconds(&pace.within(1000, 5000, 0, share));
        assert_eq!(of_share(0.9), [15, 240, 1200, 3600]);
        assert_eq!(of_share(0.0), [15, 480, 2400, 7200]);
        let most = pace.within(1, u32::MAX, 7000, 0.0);
        assert_eq!(most.stretch, MOST_STRETCH);
    }

    #[test]
    fn the_budget_is_used_up_to_a_reserve_and_no_further() {
        let pace = Pace::of(&INTERVALS);
        for budget in [60, 1000, 5000] {
            for size in (5 * budget..20 * budget).step_by(97) {
                let sent = (0..1000).map(|share| {
                    let pace = pace.within(budget, size, 0, f64::from(share) / 1000.0);
                    let [request, token] =
                        [Depth::Request, Depth::Token].map(|depth| pace.interval(depth));
                    60.0 / request.as_secs_f64() + 60.0 / token.as_secs_f64()
                });
                let sent = sent.sum::<f64>() / 1000.0 * f64::from(size);
                let mean = f64::from(budget) - sent;
                // A round with a token is two requests at once.
                let deviation = (sent * 4.0 / 3.0).sqrt();
                let deviations = mean / deviation;
                assert!((4.9..5.1).contains(&deviations), "{budget} {size}: {sent}");
            }
        }
    }

    /// The span of a full round after a change, and that of other requests, in seconds.
    fn hurried(size: u32, walks: u32) -> Option<(u64, Option<u64>)> {
        let pace = Pace::of(&INTERVALS).within(1000, size, walks, 0.5);
        let haste = pace.haste()?;
        Some((
            haste.full.as_secs(),
            haste.request.map(|span| span.as_secs()),
        ))
    }

    #[test]
    fn after_a_change_all_requests_come_as_soon_as_the_budget_allows() {
        assert_eq!(hurried(1, 7), Some((15, None)));
        assert_eq!(hurried(20, 7), Some((30, None)));
        assert_eq!(hurried(100, 7), Some((120, Some(120))));
        assert_eq!(hurried(100, 0), Some((15, None)));
        assert_eq!(hurried(700, 0), Some((120, Some(120))), "instead of 300");
        assert_eq!(hurried(5000, 0), Some((960, Some(960))), "instead of 2400");
        assert_eq!(hurried(20_000, 0), None, "beyond what was simulated");
        assert_eq!(
            hurried(5000, 7),
            Some((9600, Some(1920))),
            "instead of 14,400"
        );
    }

    #[test]
    fn however_many_nodes_hurry_they_keep_within_the_budget() {
        let pace = Pace::of(&INTERVALS);
        for (budget, walks) in [(60, 0), (1000, 0), (1000, 7), (1000, 70), (5000, 26)] {
            for size in (1..40 * budget).step_by(997) {
                let sent = (0..100).map(|share| {
                    let pace = pace.within(budget, size, walks, f64::from(share) / 100.0);
                    let Some(haste) = pace.haste() else {
                        return 0.0;
                    };
                    let in_a_minute = |span: Duration| 60.0 / span.as_secs_f64();
                    let beside = haste
                        .request
                        .map_or(-1.0, |span| haste.full.div_duration_f64(span) - 1.0);
                    let beside = beside.max(0.0);
                    (full_round(walks) + beside) * in_a_minute(haste.full)
                });
                let sent = sent.sum::<f64>() / 100.0 * f64::from(size);
                assert!(sent <= f64::from(budget), "{budget} {size} {walks}: {sent}");
            }
        }
    }

    #[test]
    fn longer_intervals_have_turns_of_the_shorter() {
        let pace = Pace::of(&INTERVALS);
        let mut before = pace;
        for size in (500..20_000).step_by(10) {
            let now = pace.within(1000, size, 0, 0.3);
            for depth in Depth::ALL {
                let [long, short] = [now, before].map(|pace| pace.interval(depth).as_nanos());
                assert!(long.is_multiple_of(short), "{size} {depth:?}");
            }
            before = now;
        }
    }
}
