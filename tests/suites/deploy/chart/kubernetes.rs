//! Objects checked by Kubernetes' own types. The types ignore unknown fields, so an object is only valid if
//! it is the same after a round trip through them.

mod rules;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Checks that all supported versions of Kubernetes accept this object.
pub(crate) fn check(object: &Value) -> Result<()> {
    let said = format!("{} {}", object["apiVersion"], object["kind"]);
    kubernetes_1_31(object).with_context(|| format!("{said} in Kubernetes 1.31"))?;
    kubernetes_1_37(object).with_context(|| format!("{said} in Kubernetes 1.37"))?;
    rules::check(object).context(said)
}

macro_rules! version {
    ($name:ident, $types:ident) => {
        fn $name(object: &Value) -> Result<()> {
            use $types::api::networking::v1 as networking;
            use $types::api::{
                admissionregistration::v1 as admission, apps::v1 as apps, batch::v1 as batch,
                core::v1 as core, rbac::v1 as rbac,
            };
            let text = |field: &str| object[field].as_str().unwrap_or_default();
            match (text("apiVersion"), text("kind")) {
                ("v1", "ConfigMap") => round_trip::<core::ConfigMap>(object),
                ("v1", "Secret") => round_trip::<core::Secret>(object),
                ("v1", "Service") => round_trip::<core::Service>(object),
                ("v1", "ServiceAccount") => round_trip::<core::ServiceAccount>(object),
                ("apps/v1", "DaemonSet") => round_trip::<apps::DaemonSet>(object),
                ("batch/v1", "Job") => round_trip::<batch::Job>(object),
                ("networking.k8s.io/v1", "NetworkPolicy") => {
                    round_trip::<networking::NetworkPolicy>(object)
                }
                ("rbac.authorization.k8s.io/v1", kind) => match kind {
                    "ClusterRole" => round_trip::<rbac::ClusterRole>(object),
                    "ClusterRoleBinding" => round_trip::<rbac::ClusterRoleBinding>(object),
                    "Role" => round_trip::<rbac::Role>(object),
                    "RoleBinding" => round_trip::<rbac::RoleBinding>(object),
                    kind => bail!("{kind} is no kind of RBAC"),
                },
                ("admissionregistration.k8s.io/v1", kind) => match kind {
                    "ValidatingAdmissionPolicy" => {
                        round_trip::<admission::ValidatingAdmissionPolicy>(object)
                    }
                    "ValidatingAdmissionPolicyBinding" => {
                        round_trip::<admission::ValidatingAdmissionPolicyBinding>(object)
                    }
                    kind => bail!("{kind} is not expected"),
                },
                (group, kind) if group.ends_with("monitoring.coreos.com/v1") => match kind {
                    "PodMonitor" => round_trip::<Custom<PodMonitor>>(object),
                    "ServiceMonitor" => round_trip::<Custom<ServiceMonitor>>(object),
                    "PrometheusRule" => round_trip::<Custom<PrometheusRule>>(object),
                    kind => bail!("{kind} is no kind of {group}"),
                },
                (group, kind) => bail!("{kind} of {group} is not expected"),
            }
        }
    };
}

version!(kubernetes_1_31, k8s_openapi_1_31);
version!(kubernetes_1_37, k8s_openapi_1_37);

fn round_trip<T: DeserializeOwned + Serialize>(object: &Value) -> Result<()> {
    let typed: T = serde_json::from_value(object.clone())?;
    let again = serde_json::to_value(typed)?;
    let lost = difference("", object, &again);
    ensure!(
        lost.is_none(),
        "not as the API writes it: {}",
        lost.unwrap_or_default()
    );
    Ok(())
}

/// The first place in which two objects differ.
fn difference(path: &str, one: &Value, other: &Value) -> Option<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<_> = one.keys().chain(other.keys()).collect();
            let mut keys = keys.into_iter();
            let of = |fields: &Map<String, Value>, key| fields.get(key).cloned();
            keys.find_map(|key| {
                let path = format!("{path}/{key}");
                match (of(one, key), of(other, key)) {
                    (Some(one), Some(other)) => difference(&path, &one, &other),
                    (one, other) => Some(format!("{path}: {one:?} became {other:?}")),
                }
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut pairs = one.iter().zip(other).zip(0..);
            pairs.find_map(|((one, other), at)| difference(&format!("{path}/{at}"), one, other))
        }
        _ => (one != other).then(|| format!("{path}: {one} became {other}")),
    }
}

/// The parts of Prometheus Operator's kinds that the chart uses; no crate has them. Source: its API
/// reference, `monitoring.coreos.com/v1`.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Custom<Spec> {
    api_version: String,
    kind: String,
    metadata: k8s_openapi_1_37::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    spec: Spec,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PodMonitor {
    job_label: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_name_length_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_value_length_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attach_metadata: Option<AttachMetadata>,
    namespace_selector: NamespaceSelector,
    selector: k8s_openapi_1_37::apimachinery::pkg::apis::meta::v1::LabelSelector,
    pod_metrics_endpoints: Vec<Endpoint>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ServiceMonitor {
    job_label: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_name_length_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_value_length_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attach_metadata: Option<AttachMetadata>,
    namespace_selector: NamespaceSelector,
    selector: k8s_openapi_1_37::apimachinery::pkg::apis::meta::v1::LabelSelector,
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct AttachMetadata {
    node: bool,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NamespaceSelector {
    match_names: Vec<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Endpoint {
    port: String,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_config: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    basic_auth: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scrape_timeout: Option<String>,
    relabelings: Vec<Relabeling>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    metric_relabelings: Vec<Relabeling>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Relabeling {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    source_labels: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replacement: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct PrometheusRule {
    groups: Vec<RuleGroup>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RuleGroup {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<String>,
    rules: Vec<Rule>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<String>,
    expr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#for: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_for: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}
