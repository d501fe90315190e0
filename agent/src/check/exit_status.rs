//! The exit status of `check`, for scripts.

use std::process::ExitCode;

use crate::{
    cli::FailOn,
    state::{Snapshot, condition::Condition},
};

/// The check could not tell.
pub(super) const COULD_NOT_TELL: u8 = 2;

/// 1 if any registry is in the condition that `fail_on` names or in a worse one, else 2 if any is unknown,
/// else 0.
pub(super) fn of(snapshot: &Snapshot, fail_on: FailOn) -> ExitCode {
    let is_any = |condition| {
        let mut conditions = snapshot.registries.iter().map(|state| Condition::of(state));
        conditions.any(|found| found == condition)
    };
    let fails =
        is_any(Condition::Failing) || fail_on == FailOn::Degraded && is_any(Condition::Degraded);
    ExitCode::from(match (fails, is_any(Condition::Unknown)) {
        (true, _) => 1,
        (false, true) => COULD_NOT_TELL,
        (false, false) => 0,
    })
}
