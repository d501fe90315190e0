//! The exit status of `check`, for scripts.

use std::process::ExitCode;

use crate::state::{Snapshot, condition::Condition};

/// The check could not tell.
pub(super) const COULD_NOT_TELL: u8 = 2;

/// 1 if any registry is failing, else 2 if any is unknown, else 0.
pub(super) fn of(snapshot: &Snapshot) -> ExitCode {
    let registries = snapshot.registries.iter();
    let worst = registries.map(|state| Condition::of(state)).max();
    ExitCode::from(match worst {
        Some(Condition::Failing) => 1,
        Some(Condition::Unknown) => COULD_NOT_TELL,
        Some(Condition::Ok | Condition::Degraded) | None => 0,
    })
}
