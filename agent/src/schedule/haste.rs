//! What a change does to a node's turns. Where the way to a registry is no longer the one that its requests
//! went, what they told no longer holds, so the node hurries: it makes all requests again, early. Pure.
//!
//! **The rule.** Many nodes may see a change at the same moment, and none knows how many. So a node that hurries
//! exchanges turns and adds none: for one span, which is as short as the fleet's budget allows for all nodes at
//! once, it has one full round, at its own place in the span, and gives up other turns for it. A node that hurries
//! sends no more than its part of the budget, in whatever company.
//!
//! **Flapping.** Where the budget has room, the full round makes a node send more than usual for a moment. Four
//! changes may do so one after another. In the long run they at most double what the usual turns send.

use std::time::Duration;

use super::clock::NEAR;

/// Changes that may follow each other without a wait: a fault and its end, twice.
const BURST: u32 = 4;

/// How a node that hurries has its turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Haste {
    /// The span: one full round has its turn in each of these.
    pub(super) full: Duration,
    /// Other requests have one turn in each of these; `None` where the full round comes before them.
    pub(super) request: Option<Duration>,
    /// In this time the usual turns send as many requests as a full round.
    pub(super) worth: Duration,
}

/// The hurry that a change puts a node in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hurry {
    /// The span, by [`Moment::awake`](super::clock::Moment::awake). It lasts until the full round is taken, if that
    /// is later.
    from: Duration,
    until: Duration,
    /// Whether the full round is still to come.
    waits: bool,
    /// Whether there was another change since it came, so that one more span has to follow.
    again: bool,
    /// Until then all full rounds so far are worth.
    paid: Duration,
}

impl Hurry {
    /// A change was seen `now`. A full round that is still to come serves this one, too.
    pub(super) fn start(&mut self, now: Duration, haste: &Haste) {
        if !self.waits {
            self.again = true;
            self.begin(now, haste);
        }
    }

    /// A round begins `now`. Where another span has to follow, it is the first one of that.
    pub(super) fn go_on(&mut self, now: Duration, haste: &Haste) {
        self.begin(now.saturating_sub(2 * NEAR), haste);
    }

    fn begin(&mut self, now: Duration, haste: &Haste) {
        if !self.again || now < self.until {
            return;
        }
        let allowed = self.paid.saturating_sub(haste.worth * (BURST - 1));
        self.from = now.max(allowed);
        self.until = self.from + haste.full;
        self.paid = self.paid.max(self.from) + haste.worth;
        (self.waits, self.again) = (true, false);
    }

    /// Whether the full round is to come, in its turn.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// A full round is taken.
    pub(super) fn end_wait(&mut self) {
        self.waits = false;
    }

    /// The full round that is to come may not be taken `until` then, with the span that it belongs to.
    pub(super) fn put_off(&mut self, until: Duration, haste: &Haste) {
        if self.waits {
            self.from = self.from.max(until);
            self.until = self.from + haste.full;
        }
    }

    /// Whether the node's turns are those of the haste.
    pub(super) fn is_on(&self, now: Duration) -> bool {
        self.from <= now && (self.waits || now < self.until)
    }

    /// Earlier turns than this count for nothing: of the span where it is on, else of the usual timetable. A turn of a
    /// round that begins as the span ends is a usual one; rounds are this `apart`.
    pub(super) fn since(&self, now: Duration, apart: Duration) -> Duration {
        match self.is_on(now) {
            true => self.from,
            false if self.until <= now => self.until.saturating_sub(apart / 2),
            false => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASTE: Haste = Haste {
        full: Duration::from_secs(30),
        request: None,
        worth: Duration::from_secs(300),
    };

    /// When the spans begin, if one change follows the other, `apart`, and full rounds come at once.
    fn starts(apart: u64, changes: u64) -> Vec<u64> {
        let mut hurry = Hurry::default();
        let mut starts = Vec::new();
        for second in 0..apart * changes {
            let now = Duration::from_secs(1000 + second);
            hurry.go_on(now, &HASTE);
            if second.is_multiple_of(apart) {
                hurry.start(now, &HASTE);
            }
            if hurry.waits() && hurry.is_on(now) {
                hurry.end_wait();
                starts.push(second);
            }
        }
        starts
    }

    #[test]
    fn a_change_now_and_then_is_never_kept_waiting() {
        assert_eq!(
            starts(300, 100),
            (0..100).map(|n| n * 300).collect::<Vec<_>>()
        );
    }

    #[test]
    fn changes_that_follow_each_other_get_one_span_each_and_then_wait() {
        let starts = starts(10, 1000);
        assert_eq!(starts[..5], [0, 30, 60, 90, 300], "{starts:?}");
        // In the long run as many full rounds as the usual turns are worth.
        let rounds = starts.len() as u64;
        assert!((33..=38).contains(&rounds), "{rounds} in 10,000 s");
    }
}
