//! The status document `regprobe/v1`: what `/api/v1/status` and `check --output=json` say. Made
//! from a snapshot; field names are contract.

use std::net::IpAddr;

use jiff::Timestamp;
use regprobe_probes::{
    AddressOutcome, Certificate, EndpointOutcome, Evidence, Expectation, Finding, Lookup,
    ResolveFault, Scope, StageOutcome,
};
use serde::Serialize;

use crate::{
    board::{RegistryState, Snapshot},
    describe, explain,
};

/// The whole document.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    schema: &'static str,
    node: String,
    version: &'static str,
    at: Timestamp,
    registries: Vec<RegistryStatus>,
}

impl Status {
    /// Of a snapshot taken on the node of this name.
    pub(crate) fn of(snapshot: &Snapshot, node: &str) -> Self {
        Self {
            schema: "regprobe/v1",
            node: node.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            at: Timestamp::now(),
            registries: snapshot
                .registries
                .iter()
                .map(|state| RegistryStatus::of(state))
                .collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct RegistryStatus {
    name: String,
    server: String,
    /// Absent until the first round is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    predicted_pull_delay_seconds: Option<f64>,
    findings: Vec<FindingStatus>,
    endpoints: Vec<EndpointStatus>,
}

impl RegistryStatus {
    fn of(state: &RegistryState) -> Self {
        let round = state.round.as_ref();
        let endpoint = |seen| EndpointStatus::of(seen, &state.planned.expectation);
        let endpoints = round.map(|round| round.outcome.endpoints.iter().map(endpoint).collect());
        let diagnosis = round.map(|round| &round.diagnosis);
        let findings = diagnosis.iter().flat_map(|diagnosis| &diagnosis.findings);
        let delay = diagnosis.and_then(|diagnosis| diagnosis.predicted_pull_delay);
        Self {
            name: state.planned.name.to_string(),
            server: state.planned.server.clone(),
            verdict: diagnosis.map(|diagnosis| diagnosis.verdict().as_str()),
            at: round.map(|round| round.at),
            predicted_pull_delay_seconds: delay.map(|delay| delay.as_secs_f64()),
            findings: findings.map(FindingStatus::of).collect(),
            endpoints: endpoints.unwrap_or_default(),
        }
    }
}

/// What a finding has none of is null.
#[derive(Debug, Serialize)]
struct FindingStatus {
    code: &'static str,
    severity: &'static str,
    endpoint: String,
    role: &'static str,
    stage: &'static str,
    reason: Option<&'static str>,
    nameserver: Option<String>,
    address: Option<IpAddr>,
    message: String,
    evidence: Vec<String>,
    client_error: Option<String>,
    health_check_code: Option<&'static str>,
    remedy: String,
    runbook: String,
}

impl FindingStatus {
    fn of(finding: &Finding) -> Self {
        Self {
            code: finding.code.as_str(),
            severity: finding.severity.as_str(),
            endpoint: finding.endpoint.to_string(),
            role: finding.endpoint.role.as_str(),
            stage: finding.stage.as_str(),
            reason: finding.reason.map(|reason| reason.as_str()),
            nameserver: finding.nameserver.clone(),
            address: finding.address,
            message: finding.message.clone(),
            evidence: finding.evidence.clone(),
            client_error: finding.client_error.clone(),
            health_check_code: finding.health_check_code(),
            remedy: finding.remedy.clone(),
            runbook: explain::link(finding.code),
        }
    }
}

#[derive(Debug, Serialize)]
struct EndpointStatus {
    host: String,
    port: u16,
    role: &'static str,
    up: bool,
    lookups: Vec<LookupStatus>,
    addresses: Vec<AddressStatus>,
}

impl EndpointStatus {
    fn of(seen: &EndpointOutcome, of_registry: &Expectation) -> Self {
        let expectation = seen.expectation(of_registry);
        let host = &seen.endpoint.host;
        let missing = seen.no_lookup();
        let lookups = seen.lookups.iter();
        Self {
            host: host.to_string(),
            port: seen.endpoint.port,
            role: seen.endpoint.role.as_str(),
            up: seen.is_up(),
            lookups: missing
                .map(|fault| LookupStatus::missing(host, fault))
                .into_iter()
                .chain(lookups.map(|l| LookupStatus::of(l, expectation)))
                .collect(),
            addresses: seen.addresses.iter().map(AddressStatus::of).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct LookupStatus {
    /// None where there was none to ask.
    nameserver: Option<String>,
    name: String,
    result: &'static str,
    chain: Vec<AliasStatus>,
    addresses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl LookupStatus {
    /// Of a lookup that could not be made.
    fn missing(host: &str, fault: &ResolveFault) -> Self {
        Self {
            nameserver: None,
            name: host.to_owned(),
            result: fault.reason().as_str(),
            chain: Vec::new(),
            addresses: Vec::new(),
            private: None,
            expected: None,
            seconds: None,
            detail: Some(fault.to_string()),
        }
    }

    fn of(lookup: &Lookup, expectation: &Expectation) -> Self {
        let found = lookup.addresses().next().is_some();
        let chain = lookup.chain().iter();
        Self {
            nameserver: Some(lookup.nameserver.to_string()),
            name: lookup.name.to_string(),
            result: lookup
                .fault()
                .map_or("noerror", |fault| fault.reason().as_str()),
            chain: chain
                .map(|alias| AliasStatus {
                    name: alias.name.clone(),
                    ttl: alias.ttl,
                })
                .collect(),
            addresses: lookup
                .addresses()
                .map(|address| address.to_string())
                .collect(),
            private: found.then(|| lookup.addresses().all(|a| Scope::of(a).is_private())),
            expected: found.then(|| lookup.addresses().all(|a| expectation.allows(a))),
            seconds: Some(lookup.took.as_secs_f64()),
            detail: lookup.fault().map(ToString::to_string),
        }
    }
}

#[derive(Debug, Serialize)]
struct AliasStatus {
    name: String,
    ttl: u32,
}

#[derive(Debug, Serialize)]
struct AddressStatus {
    address: String,
    stages: Vec<StageStatus>,
}

impl AddressStatus {
    fn of(seen: &AddressOutcome) -> Self {
        Self {
            address: seen.address.to_string(),
            stages: seen.stages.iter().map(StageStatus::of).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct StageStatus {
    stage: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    certificates: Vec<CertificateStatus>,
}

impl StageStatus {
    fn of(outcome: &StageOutcome) -> Self {
        Self {
            stage: outcome.stage.as_str(),
            ok: outcome.result.is_ok(),
            reason: outcome
                .result
                .as_ref()
                .err()
                .map(|fault| fault.reason().as_str()),
            seconds: outcome.took.as_secs_f64(),
            detail: Some(describe::stage(outcome)).filter(|detail| !detail.is_empty()),
            certificates: certificates(outcome)
                .iter()
                .map(CertificateStatus::of)
                .collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct CertificateStatus {
    subject: String,
    issuer: String,
    names: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
    sha256: String,
}

impl CertificateStatus {
    fn of(certificate: &Certificate) -> Self {
        let Certificate {
            subject,
            issuer,
            names,
            not_before,
            not_after,
            sha256,
        } = certificate.clone();
        Self {
            subject,
            issuer,
            names,
            not_before,
            not_after,
            sha256,
        }
    }
}

fn certificates(outcome: &StageOutcome) -> &[Certificate] {
    match &outcome.result {
        Ok(Evidence::Tls(handshake)) => &handshake.chain.certificates,
        Ok(_) => &[],
        Err(fault) => fault.chain().map_or(&[], |chain| &chain.certificates),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::report::story;

    fn registry(state: &RegistryState) -> Value {
        serde_json::to_value(RegistryStatus::of(state)).unwrap()
    }

    #[test]
    fn a_finding_has_every_field_and_null_for_what_it_lacks() {
        let document = registry(&story::drift());
        assert_eq!(document["verdict"], "degraded");
        assert_eq!(document["predicted_pull_delay_seconds"], 5.0);
        assert_eq!(
            document["findings"][1],
            json!({
                "code": "CredentialsRequired",
                "severity": "info",
                "endpoint": "drift.azurecr.io:443",
                "role": "login",
                "stage": "token",
                "reason": null,
                "nameserver": null,
                "address": null,
                "message": "An anonymous token was denied, as on most registries.",
                "evidence": [],
                "client_error": null,
                "health_check_code": null,
                "remedy": "Nothing, if pods bring credentials.",
                "runbook": "https://github.com/regprobe/regprobe/blob/main/deploy/runbooks/\
                            CredentialsRequired.md",
            })
        );
        let disagree = &document["findings"][0];
        assert_eq!(disagree["nameserver"], "10.0.0.11:53");
        assert_eq!(disagree["address"], "20.61.97.128");
    }

    #[test]
    fn a_delay_that_is_not_known_is_absent_and_findings_never_are() {
        let document = registry(&story::healthy());
        assert_eq!(document.get("predicted_pull_delay_seconds"), None);
        assert_eq!(document["findings"], json!([]));
        let zero = registry(&story::failing());
        assert_eq!(zero["predicted_pull_delay_seconds"], 0.0);
    }
}
