//! What `rotate` in resolv.conf leaves to chance: at which nameserver a lookup starts depends on how many questions
//! the node's client has asked before, and where the answers differ, so may the pulls.

use std::net::IpAddr;

use super::finding::{Finding, Severity};
use crate::{
    outcome::{EndpointOutcome, Outcome},
    words::endpoint::{Endpoint, Role},
};

/// Weighs findings that stop some pulls and not others; says why nobody can tell which.
pub(super) fn settle(outcome: &Outcome, findings: &mut [Finding]) -> Option<String> {
    let on_the_way = outcome
        .endpoints
        .iter()
        .filter(|seen| is_asked(outcome, seen));
    let open: Vec<_> = on_the_way.filter(|seen| is_open(seen, findings)).collect();
    let is_open = |endpoint: &Endpoint| open.iter().any(|seen| seen.endpoint == *endpoint);
    for finding in findings {
        if is_open(&finding.endpoint) && finding.also.iter().all(is_open) {
            finding.severity = finding.severity.min(Severity::Warning);
            finding.client_error = None;
        }
    }
    open.first().map(|seen| {
        let path = &seen.path;
        let leads_to = |result: Result<IpAddr, &str>| match result {
            Ok(address) => address.to_string(),
            Err(error) => error.to_owned(),
        };
        let first = path.address().ok_or_else(|| path.error().unwrap_or_default());
        let others = path.elsewhere().iter();
        let others = others.map(|other| leads_to(other.as_ref().copied().map_err(String::as_str)));
        format!(
            "resolv.conf has rotate: it depends on the nameserver that a lookup starts at where {} leads: {}, or {}",
            seen.endpoint,
            leads_to(first),
            others.collect::<Vec<_>>().join(", or "),
        )
    })
}

/// Whether a pull asks there.
fn is_asked(outcome: &Outcome, seen: &EndpointOutcome) -> bool {
    let mut asked = outcome.walks.iter().flat_map(|walk| &walk.route);
    match outcome.walks.is_empty() {
        true => seen.endpoint.role != Role::Mirror,
        false => asked.any(|asked| asked.endpoint.is_same_server(&seen.endpoint)),
    }
}

/// Whether some lookups lead past what stops others.
fn is_open(seen: &EndpointOutcome, findings: &[Finding]) -> bool {
    let elsewhere = seen.path.elsewhere();
    let stops = |finding: &Finding| {
        finding.severity == Severity::Critical && finding.endpoint == seen.endpoint
    };
    match seen.path.address() {
        None => elsewhere.iter().any(Result::is_ok),
        Some(_) => {
            elsewhere.iter().any(Result::is_err)
                || (!elsewhere.is_empty() && findings.iter().any(stops))
        }
    }
}
