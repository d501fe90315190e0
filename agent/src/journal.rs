//! The log of what changes: one line when an endpoint comes up or goes down or fails for another
//! reason, none for a round that is like the one before.

use regprobe_probes::{EndpointOutcome, Verdict};

use crate::board::{RegistryState, Round};

/// Logs how `state` differs from the round before.
pub(crate) fn note(before: Option<&Round>, state: &RegistryState) {
    let Some(round) = &state.round else {
        return;
    };
    let registry = &*state.planned.name;
    for seen in &round.outcome.endpoints {
        let same = |other: &&EndpointOutcome| other.endpoint == seen.endpoint;
        let earlier = before.and_then(|before| before.outcome.endpoints.iter().find(same));
        let cause =
            |seen: &EndpointOutcome| seen.failure().map(|(stage, fault)| (stage, fault.reason()));
        if earlier.is_some_and(|earlier| cause(earlier) == cause(seen)) {
            continue;
        }
        let (endpoint, role) = (&seen.endpoint, seen.endpoint.role.as_str());
        match seen.failure() {
            None => tracing::info!(registry, %endpoint, role, "endpoint up"),
            Some((stage, fault)) => tracing::warn!(
                registry, %endpoint, role, %stage, reason = %fault.reason(), detail = %fault,
                "endpoint down"
            ),
        }
    }
    if before.map(|before| before.verdict) != Some(round.verdict) {
        let verdict = round.verdict.as_str();
        match round.verdict {
            Verdict::Ok => tracing::info!(registry, verdict, "registry verdict"),
            _ => tracing::warn!(registry, verdict, "registry verdict"),
        }
    }
}
