//! Derives findings, each with its cause and its remedy, and the verdict from an outcome. Pure: it
//! needs only an outcome and expectations, so every rule has a table test without a network. The rules
//! about names are in `names`, those about everything after the name in `path`.

use std::time::Duration;

pub use self::{
    expectations::Expectations,
    finding::{Code, Finding, Severity},
};
use crate::{
    node::misconfigured::SettingPlace,
    outcome::{EndpointOutcome, Outcome},
    words::reason::Reason,
};

mod advice;
mod credentials;
mod delay;
mod expectations;
mod finding;
mod identity;
mod mirrors;
mod names;
mod path;
mod remedy;
mod rotation;
mod settings;
#[cfg(test)]
mod tests;
mod walks;

/// What is wrong with a registry, seen from this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// Worst first.
    pub findings: Vec<Finding>,
    /// What this node could not see of a pull, and why.
    pub unseen: Option<String>,
    /// What a pull would wait for nameservers and addresses that give no answer; `None` where it
    /// would not get through at all.
    pub predicted_pull_delay: Option<Duration>,
}

impl Diagnosis {
    /// The verdict of the worst finding, unless what was not seen may outweigh it.
    pub fn verdict(&self) -> Verdict {
        match self.findings.iter().map(|finding| finding.severity).max() {
            Some(Severity::Critical) => Verdict::Failing,
            _ if self.unseen.is_some() => Verdict::Unknown,
            Some(Severity::Warning) => Verdict::Degraded,
            Some(Severity::Info) | None => Verdict::Ok,
        }
    }
}

/// Whether a pull through a registry would work from this node now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It would work.
    Ok,
    /// It would work, but something is wrong or slow.
    Degraded,
    /// What was seen cannot tell.
    Unknown,
    /// It would fail.
    Failing,
}

impl Verdict {
    /// As written in the status document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Unknown => "unknown",
            Self::Failing => "failing",
        }
    }
}

/// Names what is wrong. One cause gives one finding, however many endpoints and stages show it.
pub fn diagnose(outcome: &Outcome, expectations: &Expectations) -> Diagnosis {
    let seen = outcome.endpoints.iter();
    let mut judged: Vec<_> = seen
        .map(|seen| (seen, endpoint(seen, expectations)))
        .collect();
    // A finding that endpoints share is reported for the same one, whichever was seen first.
    judged.sort_by(|(a, _), (b, _)| {
        let [a, b] = [a, b].map(|seen| &seen.endpoint);
        let order = a.role.cmp(&b.role).then_with(|| a.host.cmp(&b.host));
        order.then_with(|| a.port.cmp(&b.port))
    });
    walks::settle(&mut judged, &outcome.walks);
    let works = mirrors::settle(&mut judged, &outcome.walks);
    let found = judged.into_iter().flat_map(|(_, findings)| findings);
    let mut findings = merge_shared_causes(found);
    settings::report(outcome, &mut findings);
    credentials::report(outcome, &mut findings);
    walks::explain(outcome, expectations, &mut findings);
    let chance = rotation::settle(outcome, &mut findings);
    if outcome
        .misconfigured
        .iter()
        .any(|setting| setting.place == SettingPlace::Host)
    {
        // The client may print what came of the host that it cannot ask.
        for finding in &mut findings {
            finding.client_error = None;
        }
    }
    if outcome.unseen_hosts.is_some() {
        // The node's client may ask others, so nothing that was met here stops it for certain.
        for finding in &mut findings {
            finding.severity = finding.severity.min(Severity::Warning);
            finding.client_error = None;
        }
    }
    findings.sort_by(|a, b| {
        let order = |finding: &Finding| (finding.code, finding.endpoint.to_string());
        b.severity
            .cmp(&a.severity)
            .then_with(|| order(a).cmp(&order(b)))
    });
    let unseen = outcome.unseen_hosts.clone();
    let unseen = unseen.or(chance).or_else(|| walks::unseen(outcome));
    let fails = findings
        .iter()
        .any(|finding| finding.severity == Severity::Critical);
    let predicted_pull_delay = works
        .filter(|_| !fails && outcome.unseen_hosts.is_none())
        .map(|turn| identity::waits(outcome) + delay::predicted(outcome, turn));
    Diagnosis {
        findings,
        unseen: unseen
            .or_else(|| outcome.endpoints.iter().find_map(local_fault))
            .or_else(|| unproven(outcome)),
        predicted_pull_delay,
    }
}

/// What only the walk of an image can tell.
fn unproven(outcome: &Outcome) -> Option<String> {
    let (login, fault) = outcome.unproven()?;
    let endpoint = &login.endpoint;
    Some(format!(
        "GET /v2/ at {endpoint}: {fault}; pulls never ask that, so configure an image (images:) to be walked"
    ))
}

/// What this node itself could not do there, or a probe may not.
fn local_fault(seen: &EndpointOutcome) -> Option<String> {
    let (stage, fault) = seen.failure()?;
    let reason = fault.reason();
    let is_unseen = reason == Reason::Local || path::is_not_followed(stage, reason);
    is_unseen.then(|| format!("{stage} of {}: {fault}", seen.endpoint))
}

fn endpoint(seen: &EndpointOutcome, expectations: &Expectations) -> Vec<Finding> {
    let mut findings = names::findings(seen, expectations);
    match path::failure(seen, expectations) {
        // Nameservers that disagree about a dead address: the finding about the address covers it.
        Some(mut failure) if names::disagree(&findings) => {
            failure
                .evidence
                .extend(findings.drain(..).flat_map(|finding| finding.evidence));
            findings.push(failure);
        }
        Some(failure) => match findings
            .iter_mut()
            .find(|finding| names::explains(finding, &failure, seen))
        {
            // The name led to the wrong place, and the pull failed there: one finding.
            Some(cause) => {
                cause.severity = Severity::Critical;
                cause.evidence.push(failure.message);
                cause.client_error = failure.client_error;
            }
            None => {
                let is_of_request = failure.stage.is_http();
                findings.push(failure);
                if is_of_request {
                    findings.extend(path::beside(seen, expectations));
                }
            }
        },
        None => findings.extend(path::blemishes(seen, expectations)),
    }
    findings
}

/// Reports a cause outside any one endpoint once, with the other endpoints as evidence. Also reports once what
/// two rules found in the same place.
fn merge_shared_causes(findings: impl Iterator<Item = Finding>) -> Vec<Finding> {
    let mut merged: Vec<Finding> = Vec::new();
    for finding in findings {
        let same = |other: &&mut Finding| {
            let same_place = other.endpoint == finding.endpoint && other.address == finding.address;
            other.code == finding.code
                && other.nameserver == finding.nameserver
                && (other.code.is_shared_by_endpoints() || same_place)
        };
        match merged.iter_mut().find(same) {
            Some(first) => {
                first.severity = first.severity.max(finding.severity);
                first.client_error = first.client_error.take().or(finding.client_error);
                if first.endpoint != finding.endpoint {
                    let also = format!("also {}: {}", finding.endpoint, finding.message);
                    first.evidence.push(also);
                    first.also.push(finding.endpoint);
                } else if !finding.code.is_shared_by_endpoints() {
                    first.evidence.push(finding.message);
                    first.evidence.extend(finding.evidence);
                }
            }
            None => merged.push(finding),
        }
    }
    merged
}
