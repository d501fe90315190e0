//! The agent's metrics in a real Prometheus that is configured like Prometheus Operator would by one of
//! the chart's monitors: rules and dashboards read labels that the operator also sets.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_lab::pki::Pki;
use regprobe_lab::servers::Prometheus;
use regprobe_lab::wait;
use serde_json::{Map, Value, json};

use super::node::pod;
use super::pod::Node;

/// Timeout for a scrape or two.
const SOON: Duration = Duration::from_secs(30);

pub(crate) fn of_pods() -> Result<()> {
    keeps_labels(
        "prometheus-operator-values.yaml",
        "PodMonitor",
        "podMetricsEndpoints",
    )
}

pub(crate) fn of_service() -> Result<()> {
    keeps_labels("lean-values.yaml", "ServiceMonitor", "endpoints")
}

fn keeps_labels(values: &str, kind: &str, endpoints: &str) -> Result<()> {
    let node = Node::new("10.240.0.4")?;
    node.write("/etc/ssl/certs/ca-certificates.crt", &Pki::new()?.ca_pem())?
        .write("/etc/containerd/certs.d/README", "")?;
    let pod = pod(values)?;
    let mut running = pod.start(&node)?;
    running.until_ready()?;

    let endpoint = &pod.objects.only(kind)?["spec"][endpoints][0];
    let relabelings = [of_operator(), as_prometheus(&endpoint["relabelings"])?].concat();
    let config = json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{
            "job_name": "operator",
            "metrics_path": endpoint["path"],
            "static_configs": [{
                "targets": [running.address()?],
                "labels": {
                    "__meta_kubernetes_pod_node_name": "aks-system-0",
                    "__meta_kubernetes_pod_label_app_kubernetes_io_instance": "regprobe",
                },
            }],
            "relabel_configs": relabelings,
            "metric_relabel_configs": as_prometheus(&endpoint["metricRelabelings"])?,
        }],
    });
    let config = config.to_string();
    let at = (node.ip, 9090);
    node.network.enter(|| {
        let prometheus = Prometheus::configured(&config, at)?;
        wait::until("a scrape of the agent", SOON, || {
            let up = prometheus.query("regprobe_endpoint_up")?;
            let labels = &up.first().context("none so far")?["metric"];
            ensure!(labels["node"] == "aks-system-0", "{labels}");
            let endpoint = labels["endpoint"].as_str().unwrap_or_default();
            ensure!(endpoint.contains(':'), "{labels}");
            Ok(())
        })?;
        let renamed = prometheus.query("{__name__=~\"regprobe_.+\", exported_endpoint!=\"\"}")?;
        ensure!(renamed.is_empty(), "{renamed:#?}");
        // The alerts select the agents by this label.
        let up = prometheus.query("up{job=~\".*regprobe.*\"} == 1")?;
        ensure!(up.len() == 1, "{up:#?}");
        Ok(())
    })
}

/// The relabelings that the operator itself adds before those of a monitor. Source: the configuration that
/// it generates.
fn of_operator() -> Vec<Value> {
    let labels = [
        ("namespace", "kube-system"),
        ("container", "regprobe"),
        ("pod", "regprobe-x7k2p"),
        ("job", "regprobe"),
        ("endpoint", "metrics"),
    ];
    let relabelling = |(label, value)| json!({"target_label": label, "replacement": value});
    labels.map(relabelling).to_vec()
}

/// Relabelings in the syntax of Prometheus' configuration.
pub(crate) fn as_prometheus(relabelings: &Value) -> Result<Vec<Value>> {
    let worded = |relabeling: &Value| {
        let fields = relabeling.as_object().context("no relabeling")?;
        let renamed = fields.iter().map(|(name, value)| {
            let name = match &**name {
                "sourceLabels" => "source_labels",
                "targetLabel" => "target_label",
                same => same,
            };
            (name.to_owned(), value.clone())
        });
        Ok(Value::Object(renamed.collect::<Map<_, _>>()))
    };
    let relabelings = relabelings.as_array().into_iter().flatten();
    relabelings.map(worded).collect()
}
