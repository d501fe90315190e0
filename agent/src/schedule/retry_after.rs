//! How long a registry asks clients to wait: `429 Too Many Requests` and `503 Service Unavailable` with
//! `Retry-After`.

use std::time::Duration;

use jiff::Timestamp;
use regprobe_probes::{Depth, Fault, HttpFault, Outcome};

/// The depths from which the registry of `outcome` asks to wait, and how long from `now`. Each depth
/// is listed once, with its longest time.
pub(crate) fn asked_for(outcome: &Outcome, now: Timestamp) -> Vec<(Depth, Duration)> {
    let mut asked: Vec<(Depth, Duration)> = Vec::new();
    let addresses = outcome.endpoints.iter().flat_map(|seen| &seen.addresses);
    for stage in addresses.flat_map(|address| &address.stages) {
        let Err(Fault::Http(HttpFault::Refused(refusal))) = &stage.result else {
            continue;
        };
        let (429 | 503, Some(wait)) = (refusal.status, refusal.wait(now)) else {
            continue;
        };
        let depth = Depth::of(stage.stage);
        match asked.iter_mut().find(|(other, _)| *other == depth) {
            Some((_, longest)) => *longest = wait.max(*longest),
            None => asked.push((depth, wait)),
        }
    }
    asked
}
