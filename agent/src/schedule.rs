//! Decides when each registry is probed, and runs the rounds. `timetable`, `pace`, `haste`, `walks` and `fleet` hold
//! the rules: when a round is due, how often, how early after a change, what it costs, and how many agents share the
//! budget. They are pure, so that `benches/fleet` can simulate a fleet. `scheduler` follows them, `service` counts the
//! agents, and `retry_after` reads how long a registry asks to wait.

pub mod clock;
pub mod fleet;
pub mod pace;
pub mod timetable;
pub mod walks;

mod cluster_dns;
mod haste;
mod retry_after;
mod scheduler;
pub(crate) mod service;

pub(crate) use self::scheduler::{Report, Scheduler, Skip};
