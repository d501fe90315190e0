//! Prometheus as its operator configures it by the chart's monitor, beside kube-state-metrics and kubelet.

use anyhow::{Context, Result, ensure};
use regprobe_lab::servers::cluster::{ADMIN_TOKEN, KUBE_STATE_METRICS, KUBELET, NODE};
use serde_json::{Value, json};

use super::ground::{Ground, RELEASE};
use crate::chart::monitor::as_prometheus;

/// Debian's Prometheus cannot ask the API server for targets, so they are asked for here.
pub(super) fn scrape_config(ground: &Ground, rules: &str) -> Result<String> {
    let monitor = format!("podmonitor {RELEASE} --namespace={RELEASE}");
    let monitor = ground.cluster.get(&monitor)?;
    let spec = &monitor["spec"];
    let endpoint = &spec["podMetricsEndpoints"][0];
    let copy = |from: &str, to: &str| json!({"source_labels": [from], "target_label": to});
    let job = spec["jobLabel"].as_str().context("no jobLabel")?;
    let mut relabelings = vec![
        copy("__meta_kubernetes_namespace", "namespace"),
        copy("__meta_kubernetes_pod_container_name", "container"),
        copy("__meta_kubernetes_pod_name", "pod"),
        copy(&pod_label(job), "job"),
        json!({"target_label": "endpoint", "replacement": endpoint["port"]}),
    ];
    relabelings.extend(as_prometheus(&endpoint["relabelings"])?);
    let config = json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [rules],
        "scrape_configs": [
            {
                "job_name": "operator",
                "scrape_interval": endpoint["interval"],
                "metrics_path": endpoint["path"],
                "static_configs": targets(ground, spec)?,
                "relabel_configs": relabelings,
                "metric_relabel_configs": as_prometheus(&endpoint["metricRelabelings"])?,
            },
            {
                "job_name": "kube-state-metrics",
                "honor_labels": true,
                "static_configs": [{"targets": [KUBE_STATE_METRICS.to_string()]}],
            },
            {
                "job_name": "kubelet",
                "scheme": "https",
                "scrape_interval": "2s",
                "scrape_timeout": "2s",
                "authorization": {"credentials": ADMIN_TOKEN},
                "tls_config": {"ca_file": ground.cluster.file("/etc/kubernetes/ca.crt")},
                "static_configs": [{"targets": [KUBELET.to_string()], "labels": {"node": NODE}}],
            },
        ],
    });
    Ok(config.to_string())
}

/// The ports that the monitor selects.
fn targets(ground: &Ground, spec: &Value) -> Result<Vec<Value>> {
    let labels = spec["selector"]["matchLabels"].as_object();
    let labels = labels.context("no selector")?.iter();
    let labels = labels.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or("")));
    let selector = labels.collect::<Vec<_>>().join(",");
    let namespace = &spec["namespaceSelector"]["matchNames"][0];
    let namespace = namespace.as_str().context("no namespace")?;
    let pods = format!("pods --namespace={namespace} --selector={selector}");
    let pods = ground.cluster.get(&pods)?;
    let mut targets = Vec::new();
    for pod in pods["items"].as_array().into_iter().flatten() {
        for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
            let ports = container["ports"].as_array().into_iter().flatten();
            let port = &spec["podMetricsEndpoints"][0]["port"];
            for port in ports.filter(|one| one["name"] == *port) {
                let address = pod["status"]["podIP"].as_str().context("no address")?;
                let mut labels = json!({
                    "__meta_kubernetes_namespace": pod["metadata"]["namespace"],
                    "__meta_kubernetes_pod_name": pod["metadata"]["name"],
                    "__meta_kubernetes_pod_node_name": pod["spec"]["nodeName"],
                    "__meta_kubernetes_pod_container_name": container["name"],
                });
                for (name, value) in pod["metadata"]["labels"].as_object().into_iter().flatten() {
                    labels[pod_label(name)] = value.clone();
                }
                let target = format!("{address}:{}", port["containerPort"]);
                targets.push(json!({"targets": [target], "labels": labels}));
            }
        }
    }
    ensure!(targets.len() == 1, "not one agent: {targets:#?}");
    Ok(targets)
}

fn pod_label(name: &str) -> String {
    let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    format!("__meta_kubernetes_pod_label_{name}")
}
