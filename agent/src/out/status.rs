//! The status document `regprobe/v1`, which `/api/v1/status` and `check --output=json` show, made from a
//! snapshot. Field names are contract.

use std::net::IpAddr;

use jiff::Timestamp;
use regprobe_probes::{Expectation, Finding};
use serde::Serialize;

use self::{endpoint::seconds, node::NodeSettings};
pub(crate) use self::{
    endpoint::{AddressStatus, EndpointStatus, LookupStatus, StageStatus},
    heard::{HeardFinding, HeardRegistry, HeardStatus},
};
use crate::{
    cli::runbooks,
    state::{
        ConfigState, RegistryState, Round, Snapshot,
        condition::{Condition, EndpointCondition},
    },
};

mod endpoint;
mod heard;
mod node;

const SCHEMA: &str = "regprobe/v1";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The whole document.
#[derive(Debug, Serialize)]
pub(crate) struct Status<'a> {
    schema: &'static str,
    node: &'a str,
    version: &'static str,
    at: Timestamp,
    /// Absent where nothing can be reloaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<ConfigStatus>,
    /// Absent in a document about a past round, or if the node's files cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    node_settings: Option<NodeSettings>,
    registries: Vec<RegistryStatus>,
}

impl<'a> Status<'a> {
    /// The document about a snapshot of the node with this name.
    pub(crate) fn of(snapshot: &Snapshot, node: &'a str) -> Self {
        Self {
            schema: SCHEMA,
            node,
            version: VERSION,
            at: Timestamp::now(),
            config: snapshot.config.as_ref().map(ConfigStatus::of),
            node_settings: snapshot.node.as_deref().and_then(NodeSettings::of),
            registries: snapshot
                .registries
                .iter()
                .map(|state| RegistryStatus::of(state))
                .collect(),
        }
    }

    /// The document about one registry after the round that began `at`.
    pub(crate) fn after_round(node: &'a str, at: Timestamp, registry: RegistryStatus) -> Self {
        Self {
            schema: SCHEMA,
            node,
            version: VERSION,
            at,
            config: None,
            node_settings: None,
            registries: vec![registry],
        }
    }
}

#[derive(Debug, Serialize)]
struct ConfigStatus {
    loaded_at: Timestamp,
    /// Null unless the last reload failed.
    reload_error: Option<String>,
}

impl ConfigStatus {
    fn of(state: &ConfigState) -> Self {
        let ConfigState {
            loaded_at,
            reload_error,
        } = state.clone();
        Self {
            loaded_at,
            reload_error,
        }
    }
}

/// One registry after its last round.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RegistryStatus {
    pub name: String,
    pub server: String,
    /// Where addresses are expected, as configured: false, true or ranges.
    pub private: PrivateStatus,
    pub anonymous_pull: bool,
    pub images: Vec<String>,
    /// Absent until the first round is over, like every other field about a round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<&'static str>,
    /// The verdict, or `unknown`.
    pub condition: &'static str,
    /// Since when the condition holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<String>,
    /// What the round could not see of a pull, and why; absent where it saw all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted_pull_delay_seconds: Option<f64>,
    pub findings: Vec<FindingStatus>,
    pub endpoints: Vec<EndpointStatus>,
}

impl RegistryStatus {
    /// The status of a registry.
    pub(crate) fn of(state: &RegistryState) -> Self {
        let round = state.round.as_deref();
        let delay = round.and_then(|round| round.diagnosis.predicted_pull_delay);
        let images = state.planned.target.images.iter();
        let endpoint = |round: &Round, seen: &_| {
            let condition = EndpointCondition::after(round, seen).condition;
            EndpointStatus::of(seen, condition, &state.planned.expectation, round.depth)
        };
        Self {
            name: state.planned.name.to_string(),
            server: state.planned.server.clone(),
            private: PrivateStatus::of(&state.planned.expectation),
            anonymous_pull: state.planned.target.anonymous_pull,
            images: images.map(ToString::to_string).collect(),
            verdict: round.map(|round| round.diagnosis.verdict().as_str()),
            condition: Condition::of(state).as_str(),
            since: round.map(|round| round.since),
            at: round.map(|round| round.at),
            depth: round.map(|round| round.depth.as_str().to_owned()),
            unseen: round.and_then(|round| round.diagnosis.unseen.clone()),
            predicted_pull_delay_seconds: delay.map(seconds),
            findings: round.map_or_else(Vec::new, FindingStatus::of_all),
            endpoints: round.map_or_else(Vec::new, |round| {
                let endpoints = round.outcome.endpoints.iter();
                endpoints.map(|seen| endpoint(round, seen)).collect()
            }),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum PrivateStatus {
    Anywhere(bool),
    Within(Vec<String>),
}

impl PrivateStatus {
    fn of(expectation: &Expectation) -> Self {
        match expectation {
            Expectation::Any => Self::Anywhere(false),
            Expectation::PrivateScope => Self::Anywhere(true),
            Expectation::Ranges(ranges) => {
                Self::Within(ranges.iter().map(ToString::to_string).collect())
            }
        }
    }
}

/// One finding. What it does not have is null.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct FindingStatus {
    pub code: &'static str,
    pub severity: &'static str,
    pub endpoint: String,
    /// Other endpoints that have it for the same cause.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    pub role: &'static str,
    pub stage: &'static str,
    pub reason: Option<&'static str>,
    pub nameserver: Option<String>,
    pub address: Option<IpAddr>,
    pub since: Timestamp,
    pub message: String,
    pub evidence: Vec<String>,
    pub client_error: Option<String>,
    pub health_check_code: Option<&'static str>,
    pub remedy: String,
    pub runbook: String,
}

impl FindingStatus {
    /// Whether the endpoint `host:port` has it.
    pub(crate) fn concerns(&self, endpoint: &str) -> bool {
        self.endpoint == endpoint || self.also.iter().any(|also| also == endpoint)
    }

    fn of_all(round: &Round) -> Vec<Self> {
        let findings = round.diagnosis.findings.iter().zip(&round.found);
        findings
            .map(|(finding, since)| Self::of(finding, *since))
            .collect()
    }

    fn of(finding: &Finding, since: Timestamp) -> Self {
        Self {
            code: finding.code.as_str(),
            severity: finding.severity.as_str(),
            endpoint: finding.endpoint.to_string(),
            also: finding.also.iter().map(ToString::to_string).collect(),
            role: finding.endpoint.role.as_str(),
            stage: finding.stage.as_str(),
            reason: finding.reason.map(|reason| reason.as_str()),
            nameserver: finding.nameserver.clone(),
            address: finding.address,
            since,
            message: finding.message.clone(),
            evidence: finding.evidence.clone(),
            client_error: finding.client_error.clone(),
            health_check_code: finding.health_check_code(),
            remedy: finding.remedy.clone(),
            runbook: runbooks::link(finding.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::state::story;

    fn registry(state: &RegistryState) -> Value {
        serde_json::to_value(RegistryStatus::of(state)).unwrap()
    }

    #[test]
    fn a_finding_has_every_field_and_null_where_there_is_no_value() {
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
                "since": "2026-02-20T11:45:00Z",
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
        assert_eq!(disagree["address"], "203.0.113.12");
    }

    #[test]
    fn an_unknown_delay_is_absent_and_findings_never_are() {
        let document = registry(&story::healthy());
        assert_eq!(document.get("predicted_pull_delay_seconds"), None);
        assert_eq!(document["findings"], json!([]));
        let zero = registry(&story::failing());
        assert_eq!(zero["predicted_pull_delay_seconds"], 0.0);
    }
}
