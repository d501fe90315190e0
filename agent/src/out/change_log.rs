//! The log of what changes: one line when an endpoint comes up or goes down or fails for another
//! reason, when a finding appears or clears, and when the verdict changes; none for a round that
//! is like the one before.

use regprobe_probes::{EndpointOutcome, Finding, Severity, Verdict};

use crate::state::{RegistryState, Round};

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
    note_findings(before, round, registry);
    let verdict = round.diagnosis.verdict();
    if before.map(|before| before.diagnosis.verdict()) != Some(verdict) {
        let word = verdict.as_str();
        match verdict {
            Verdict::Ok => tracing::info!(registry, verdict = word, "registry verdict"),
            _ => tracing::warn!(registry, verdict = word, "registry verdict"),
        }
    }
}

fn note_findings(before: Option<&Round>, now: &Round, registry: &str) {
    let earlier = before.map_or(&[][..], |before| &before.diagnosis.findings);
    let findings = &now.diagnosis.findings;
    for finding in missing_from(earlier, findings) {
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
    for finding in missing_from(findings, earlier) {
        let (code, severity) = (finding.code.as_str(), finding.severity.as_str());
        let (endpoint, role) = (&finding.endpoint, finding.endpoint.role.as_str());
        let detail = &*finding.message;
        tracing::info!(code, severity, registry, %endpoint, role, detail, "finding cleared");
    }
}

/// The findings that are in `these` and not in `those`.
pub(crate) fn missing_from<'a>(
    those: &'a [Finding],
    these: &'a [Finding],
) -> impl Iterator<Item = &'a Finding> {
    these
        .iter()
        .filter(move |finding| those.iter().all(|other| !other.is_same_as(finding)))
}

#[cfg(test)]
mod tests {
    use regprobe_probes::Code;

    use super::*;
    use crate::state::story;

    #[test]
    fn what_holds_is_no_news_whatever_its_address() {
        let state = story::failing();
        let earlier = &state.round.as_ref().unwrap().diagnosis.findings;
        let codes = |those: &[Finding], these: &[Finding]| -> Vec<_> {
            missing_from(those, these)
                .map(|finding| finding.code)
                .collect()
        };
        assert_eq!(codes(&[], earlier).len(), 2);
        let mut now = earlier.clone();
        now[1].address = None;
        assert_eq!(codes(earlier, &now), []);
        now[1].severity = Severity::Critical;
        assert_eq!(codes(earlier, &now), [Code::CertificateExpiringSoon]);
        assert_eq!(codes(&now, earlier), [Code::CertificateExpiringSoon]);
    }
}
