//! When each registry is probed. The scheduler runs the rounds; the rest are rules that only look at
//! clocks and counts: the timetable of one registry on one node, the size of the fleet, and what a
//! registry asks for by `Retry-After`.

pub mod fleet;
pub mod timetable;

mod clock;
mod retry_after;
mod scheduler;

pub(crate) use self::scheduler::{Report, Scheduler, Skip};
