//! What is to be known of a simulated fleet.

use crate::{simulation::Seen, story::Story};

const TEN_SECONDS: f64 = 10.0;
const MINUTE: f64 = 60.0;
const TEN_MINUTES: f64 = 600.0;
/// The most that a peak may be of the mean.
pub(crate) const FLAT: f64 = 1.2;

/// Rates in requests of any ten seconds, wherever those begin.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Of the ten minutes with the most: what the fleet sends for long.
    pub(crate) mean: f64,
    pub(crate) peak: u32,
    pub(crate) busiest_minute: u32,
    /// The longest that a node went unprobed, in the longest interval that it stated meanwhile.
    pub(crate) longest_gap: f64,
    /// The shortest between two rounds with requests, in the interval stated.
    pub(crate) shortest_gap: f64,
    /// The longest in seconds.
    pub(crate) unprobed: f64,
}

impl Figures {
    pub(crate) const HEAD: &str = "\
| | nodes | mean | peak | peak/mean | busiest minute | shortest gap | longest gap | unprobed for | flat |
|---|---|---|---|---|---|---|---|---|---|";

    pub(crate) fn of(seen: &Seen) -> Self {
        let most = most_within(&seen.requests, TEN_MINUTES);
        Self {
            mean: f64::from(most) / TEN_MINUTES * TEN_SECONDS,
            peak: most_within(&seen.requests, TEN_SECONDS),
            busiest_minute: most_within(&seen.requests, MINUTE),
            longest_gap: seen.longest_gap,
            shortest_gap: seen.shortest_gap,
            unprobed: seen.unprobed,
        }
    }

    /// No ten seconds see more than [`FLAT`] of the mean. A request cannot be divided, so one is free.
    pub(crate) fn is_flat(&self) -> bool {
        f64::from(self.peak) <= FLAT * self.mean + 1.0
    }

    /// The peak in means.
    pub(crate) fn ratio(&self) -> f64 {
        f64::from(self.peak) / self.mean
    }

    pub(crate) fn row(&self, story: Story, size: u32) -> String {
        format!(
            "| {} | {size} | {:.1} | {} | {:.2} | {} | {:.2} | {:.2} | {:.0} s | {} |",
            story.as_str(),
            self.mean,
            self.peak,
            self.ratio(),
            self.busiest_minute,
            self.shortest_gap,
            self.longest_gap,
            self.unprobed,
            if self.is_flat() { "yes" } else { "no" },
        )
    }
}

/// The most of `times`, which are in order, within any window that long.
fn most_within(times: &[f64], window: f64) -> u32 {
    let mut first = 0;
    let mut most = 0;
    for (last, time) in times.iter().enumerate() {
        while times[first] <= time - window {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most as u32
}
