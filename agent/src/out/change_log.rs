//! The change log: one line for each endpoint that comes up, goes down or fails for another reason, for
//! each finding that appears or clears, and for each change of the verdict. A round like the one
//! before logs nothing.

use regprobe_probes::{EndpointOutcome, Finding, Severity, Verdict};

use crate::state::changes::Change;

/// Logs what a round changed at `registry`.
pub(crate) fn log(registry: &str, changes: &[Change<'_>]) {
    for change in changes {
        match *change {
            Change::Endpoint(seen) => endpoint(registry, seen),
            Change::Found(found) => finding(registry, found),
            Change::Cleared(cleared) => finding_cleared(registry, cleared),
            Change::Verdict(verdict) => self::verdict(registry, verdict),
            // The verdict says the same, and answers are for the metrics.
            Change::Condition { .. } | Change::Left(_) => {}
            Change::NotAsked { .. } | Change::Answer { .. } | Change::Addresses(_) => {}
        }
    }
}

fn endpoint(registry: &str, seen: &EndpointOutcome) {
    let (endpoint, role) = (&seen.endpoint, seen.endpoint.role.as_str());
    match seen.failure() {
        None => tracing::info!(registry, %endpoint, role, "endpoint up"),
        Some((stage, fault)) => tracing::warn!(
            registry, %endpoint, role, %stage, reason = %fault.reason(), detail = %fault,
            "endpoint down"
        ),
    }
}

fn finding(registry: &str, finding: &Finding) {
    let (code, severity) = (finding.code.as_str(), finding.severity.as_str());
    let (endpoint, role) = (&finding.endpoint, finding.endpoint.role.as_str());
    let detail = &*finding.message;
    match finding.severity {
        Severity::Info => {
            tracing::info!(code, severity, registry, %endpoint, role, detail, "finding");
        }
        Severity::Warning | Severity::Critical => {
            tracing::warn!(code, severity, registry, %endpoint, role, detail, "finding");
        }
    }
}

fn finding_cleared(registry: &str, finding: &Finding) {
    let (code, severity) = (finding.code.as_str(), finding.severity.as_str());
    let (endpoint, role) = (&finding.endpoint, finding.endpoint.role.as_str());
    let detail = &*finding.message;
    tracing::info!(code, severity, registry, %endpoint, role, detail, "finding cleared");
}

fn verdict(registry: &str, verdict: Verdict) {
    let word = verdict.as_str();
    match verdict {
        Verdict::Ok => tracing::info!(registry, verdict = word, "registry verdict"),
        _ => tracing::warn!(registry, verdict = word, "registry verdict"),
    }
}
