//! How long a pull would wait for nameservers and addresses that give no answer. containerd leaves
//! bodies unread, so it opens a new connection for most requests, each with the same waits. The fault
//! lab checks these counts against real pulls.

use std::time::Duration;

use crate::{
    outcome::{EndpointOutcome, Evidence, Outcome},
    words::{
        endpoint::{Role, Turn},
        reason::Stage,
    },
};

/// A pull asks for the tag, an index and a manifest, then for everything else at the same time. Each time it starts
/// at the first host.
const FETCHES: u32 = 4;

/// The waits of a pull that the host of turn `serves` serves.
pub(super) fn predicted(outcome: &Outcome, serves: Turn) -> Duration {
    let asked = || outcome.endpoints.iter().filter(|seen| seen.turn <= serves);
    let own_tokens = asked().all(|seen| seen.endpoint.role != Role::Token);
    let waits = |seen: &EndpointOutcome| match seen.endpoint.role {
        Role::Login | Role::Mirror if seen.turn < serves => {
            let walks = outcome.walks.iter();
            let walked = walks.map(|walk| walk.fetches_from(&seen.endpoint)).max();
            seen.path.waits() * walked.unwrap_or(FETCHES)
        }
        Role::Login => seen.path.waits() * connections_to_login(seen, own_tokens),
        Role::Mirror | Role::Token => seen.path.waits(),
        Role::Data | Role::Storage => Duration::ZERO,
    };
    // A pull is redirected to one of the data endpoints; the registry decides which.
    let data = asked().filter(|seen| matches!(seen.endpoint.role, Role::Data | Role::Storage));
    let data = data.map(|seen| seen.path.waits()).max().unwrap_or_default();
    asked().map(waits).sum::<Duration>() + data
}

/// With tokens: one connection that is answered 401, one for the token, one that continues with it.
fn connections_to_login(seen: &EndpointOutcome, own_tokens: bool) -> u32 {
    match seen.evidence(Stage::Challenge) {
        Some(Evidence::Challenge(challenge)) if challenge.bearer().is_some() => {
            2 + u32::from(own_tokens)
        }
        _ => 1,
    }
}
