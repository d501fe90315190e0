//! What is to be known of a simulated fleet, and the bound that it is held to.

use crate::{
    simulation::{BUDGET, Seen},
    story::Story,
};

const TEN_SECONDS: f64 = 10.0;
const MINUTE: f64 = 60.0;
const TEN_MINUTES: f64 = 600.0;
/// From this size on a fleet has to be even: in a smaller one a single request is a large part of the
/// mean.
const EVEN_FROM: u32 = 100;
/// Two intervals, but for rounding.
const LONGEST_GAP: f64 = 2.0001;

/// Rates are of any ten seconds, minute or ten minutes, wherever those begin.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    /// Requests in ten seconds of the ten minutes with the most: what the fleet sends for long.
    pub(crate) mean: f64,
    pub(crate) busiest_minute: u32,
    /// The busiest minute, and the busiest ten seconds, in means.
    pub(crate) minute_to_mean: f64,
    pub(crate) peak_to_mean: f64,
    /// The longest that a node sent no request, in the longest interval that it stated meanwhile.
    pub(crate) longest_gap: f64,
    /// The same in seconds.
    pub(crate) unprobed: f64,
    /// The longest from when a node saw a change to its next full round, in seconds.
    pub(crate) unwalked: f64,
}

impl Figures {
    pub(crate) const HEAD: &str = "\
| | nodes | mean | busiest minute | minute/mean | 10 s/mean | longest gap | unprobed for | change walked in | in bound |
|---|---|---|---|---|---|---|---|---|---|";

    pub(crate) fn of(seen: &Seen) -> Self {
        let most = |window| f64::from(most_within(&seen.requests, window));
        let mean = most(TEN_MINUTES) / TEN_MINUTES;
        Self {
            mean: mean * TEN_SECONDS,
            busiest_minute: most_within(&seen.requests, MINUTE),
            minute_to_mean: most(MINUTE) / MINUTE / mean,
            peak_to_mean: most(TEN_SECONDS) / TEN_SECONDS / mean,
            longest_gap: seen.longest_gap,
            unprobed: seen.unprobed,
            unwalked: seen.unwalked,
        }
    }

    /// The worse of each.
    pub(crate) fn worst(self, other: Self) -> Self {
        Self {
            mean: self.mean.max(other.mean),
            busiest_minute: self.busiest_minute.max(other.busiest_minute),
            minute_to_mean: self.minute_to_mean.max(other.minute_to_mean),
            peak_to_mean: self.peak_to_mean.max(other.peak_to_mean),
            longest_gap: self.longest_gap.max(other.longest_gap),
            unprobed: self.unprobed.max(other.unprobed),
            unwalked: self.unwalked.max(other.unwalked),
        }
    }

    /// Whether the bound holds for a fleet of this size. After a change it makes requests as fast as it may, and not
    /// evenly.
    pub(crate) fn hold(&self, story: Story, size: u32) -> bool {
        let is_even = self.minute_to_mean <= 1.2 && self.peak_to_mean <= 2.0;
        let may_be_uneven = size < EVEN_FROM || story.changes();
        self.busiest_minute <= BUDGET
            && self.longest_gap <= LONGEST_GAP
            && (is_even || may_be_uneven)
    }

    pub(crate) fn row(&self, story: &str, size: u32, holds: bool) -> String {
        format!(
            "| {story} | {size} | {:.1} | {} | {:.2} | {:.2} | {:.2} | {:.0} s | {:.0} s | {} |",
            self.mean,
            self.busiest_minute,
            self.minute_to_mean,
            self.peak_to_mean,
            self.longest_gap,
            self.unprobed,
            self.unwalked,
            if holds { "yes" } else { "no" },
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
