//! The finding about settings of the node that its client cannot use as they are meant. It covers what a proxy that
//! was misread then does.

use super::{
    finding::{Code, Finding, Severity},
    remedy,
};
use crate::{
    node::misconfigured::{Misconfigured, SettingPlace},
    outcome::{EndpointOutcome, Outcome},
    words::reason::Stage,
};

/// Adds the finding, if there is anything wrong.
pub(super) fn report(outcome: &Outcome, findings: &mut Vec<Finding>) {
    let order = |seen: &&EndpointOutcome| (seen.endpoint.role, seen.endpoint.to_string());
    let (Some(worst), Some(seen)) = (
        outcome
            .misconfigured
            .iter()
            .max_by_key(|setting| setting.fatal),
        outcome.endpoints.iter().min_by_key(order),
    ) else {
        return;
    };
    let mut finding = Finding {
        evidence: outcome
            .misconfigured
            .iter()
            .map(|setting| setting.problem.clone())
            .collect(),
        client_error: worst.client_error.clone(),
        ..Finding::new(
            Code::NodeConfigInvalid,
            match worst.fatal {
                true => Severity::Critical,
                false => Severity::Warning,
            },
            &seen.endpoint,
            Stage::Resolve,
            message(worst),
            remedy::of_setting(worst.place),
        )
    };
    let is_of_proxy = |setting: &Misconfigured| setting.place == SettingPlace::Proxy;
    if outcome.misconfigured.iter().any(is_of_proxy) {
        let is_effect =
            |other: &mut Finding| other.severity == Severity::Critical && other.code.is_of_proxy();
        for effect in findings.extract_if(.., is_effect) {
            finding.severity = effect.severity;
            finding.evidence.push(effect.message);
        }
    }
    findings.push(finding);
}

fn message(setting: &Misconfigured) -> String {
    let problem = &setting.problem;
    match (setting.place, setting.fatal) {
        (SettingPlace::CertsD, true) => {
            format!("containerd pulls nothing from this registry: {problem}")
        }
        (SettingPlace::CertsD, false) => {
            "containerd ignores the registry's hosts.toml, including its mirrors".to_owned()
        }
        (SettingPlace::Host, true) => {
            format!("containerd can ask no host for this registry's images: {problem}")
        }
        (SettingPlace::Host, false) => {
            "containerd cannot ask a host of the registry's hosts.toml, and passes it over"
                .to_owned()
        }
        (SettingPlace::Proxy, _) => {
            format!("the node's client does not take its proxy setting as it is meant: {problem}")
        }
    }
}
