//! The node's clocks, read for the timetable, which is pure.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use super::timetable::Moment;

impl Moment {
    /// Now.
    pub(crate) fn now() -> Self {
        Self {
            wall: read(ClockId::CLOCK_REALTIME),
            awake: read(ClockId::CLOCK_MONOTONIC),
            passed: read(ClockId::CLOCK_BOOTTIME),
        }
    }

    /// When this node will have been awake for `awake`, for timers: they go by the same clock.
    pub(crate) fn instant(self, awake: Duration) -> Instant {
        Instant::now() + awake.saturating_sub(self.awake)
    }
}

/// A clock that the kernel lacks reads 0.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}
