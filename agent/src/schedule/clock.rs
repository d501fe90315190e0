//! The node's clocks. The timetable and the census are pure, so others read the clocks for them.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// A turn that is this close counts as the current one: timers and clocks are not exact.
pub(super) const NEAR: Duration = Duration::from_millis(50);

/// What the node's clocks say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The time of day, since 1970. It may be set.
    pub wall: Duration,
    /// Time that passed while the node was awake (`CLOCK_MONOTONIC`).
    pub awake: Duration,
    /// Time that passed at all (`CLOCK_BOOTTIME`).
    pub passed: Duration,
}

impl Moment {
    /// Now.
    pub(crate) fn now() -> Self {
        Self {
            wall: read(ClockId::CLOCK_REALTIME),
            awake: read(ClockId::CLOCK_MONOTONIC),
            passed: read(ClockId::CLOCK_BOOTTIME),
        }
    }

    /// When this node will have been awake for `awake`, for timers: they use the same clock.
    pub(crate) fn instant(self, awake: Duration) -> Instant {
        Instant::now() + awake.saturating_sub(self.awake)
    }

    /// The number of the last turn. Turns come `ahead` before the multiples of `interval`, by the time
    /// of day.
    pub(super) fn turn(self, interval: Duration, ahead: Duration) -> u128 {
        (self.wall + NEAR + ahead).as_nanos() / interval.as_nanos()
    }

    /// The time until the next such turn.
    pub(super) fn until_turn(self, interval: Duration, ahead: Duration) -> Duration {
        let since = (self.wall + NEAR + ahead).as_nanos() % interval.as_nanos();
        NEAR + interval - Duration::from_nanos_u128(since)
    }

    /// The time of day at which the node has been, or will have been, awake for `awake`.
    pub(super) fn at(self, awake: Duration) -> Self {
        Self {
            wall: (self.wall + awake).saturating_sub(self.awake),
            awake,
            ..self
        }
    }
}

/// A clock that the kernel lacks reads 0.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}
