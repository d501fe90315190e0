//! The agents as a Prometheus that scrapes them sees them, by its HTTP API. What it sends is untrusted: it has a cap,
//! and is only shown.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, de::IgnoredAny};

use super::transport::{NodeTrust, Transport};
use crate::{
    config::{FleetConfig, HostName, HttpUrl},
    out::{
        fetch::within,
        fleet_view::{Answer, Heard},
        summary::{FindingSummary, Summary},
    },
    schedule::service,
    state::condition::Condition,
};

/// For one query.
const DEADLINE: Duration = Duration::from_secs(5);
/// 5,000 nodes with ten registries each are half of it.
const MAX_ANSWER: usize = 16 << 20;

/// Each sample is about one node, by these labels, and has only labels that are used.
const NODES: &str = "group by (node, instance, version) (regprobe_build_info)";
const VERDICTS: &str = "max by (node, instance, registry) (regprobe_registry_verdict)";
const FINDINGS: &str = "max by (node, instance, registry, endpoint, code, severity) \
                        (regprobe_finding{severity!=\"info\"} == 1)";
const GONE: &str = "group by (node, instance) (up == 0 and on (job) regprobe_build_info)";

/// The agents that it knows.
pub(super) async fn ask(
    prometheus: &HttpUrl,
    config: &FleetConfig,
    node: &NodeTrust,
) -> Result<Vec<Heard>, String> {
    let transport = Transport::load(&config.prometheus_client, prometheus.is_https(), node);
    let transport = &transport.map_err(|error| error.to_string())?;
    let host = prometheus.host();
    let ip: IpAddr = match host.parse() {
        Ok(ip) => ip,
        Err(_) => {
            let name: HostName = host.parse().map_err(|_| "its host is no name".to_owned())?;
            service::address(&name, config.nameserver).await?
        }
    };
    let at = SocketAddr::new(ip, prometheus.port());
    let query = |query| async move {
        let url = prometheus.below(&["api", "v1", "query"], ("query", query));
        let exchange = async {
            let answer = transport.get(at, &url, MAX_ANSWER).await;
            answer.map_err(|error| error.to_string())
        };
        let body = within(DEADLINE, exchange).await?;
        let answer: Result<QueryAnswer, _> = serde_json::from_slice(&body);
        let answer = answer.map_err(|_| "its answer is not that of a query".to_owned())?;
        Ok::<_, String>(answer.data.result)
    };
    let mut nodes = Nodes::default();
    for Sample { metric, .. } in query(NODES).await? {
        let node = nodes.entry(&metric);
        node.version = metric.version;
    }
    for sample in query(VERDICTS).await? {
        let verdict = sample.verdict();
        let node = nodes.entry(&sample.metric);
        node.conditions.insert(sample.metric.registry, verdict);
    }
    for Sample { metric, .. } in query(FINDINGS).await? {
        let node = nodes.entry(&metric);
        let finding = FindingSummary {
            code: metric.code,
            severity: metric.severity,
            endpoint: metric.endpoint,
            since: None,
            message: None,
            remedy: None,
        };
        node.findings
            .entry(metric.registry)
            .or_default()
            .push(finding);
    }
    let gone = query(GONE).await?;
    Ok(nodes.heard(gone))
}

/// What is known of each node, by what it is called.
#[derive(Default)]
struct Nodes(BTreeMap<String, NodeMetrics>);

#[derive(Default)]
struct NodeMetrics {
    version: String,
    conditions: BTreeMap<String, Condition>,
    findings: BTreeMap<String, Vec<FindingSummary>>,
}

impl Nodes {
    fn entry(&mut self, metric: &Metric) -> &mut NodeMetrics {
        self.0.entry(metric.node().to_owned()).or_default()
    }

    fn heard(self, gone: Vec<Sample>) -> Vec<Heard> {
        let of = |called, answer| Heard {
            called,
            page: None,
            answer,
        };
        let silent = gone.iter().map(|sample| sample.metric.node().to_owned());
        let silent: Vec<_> = silent.filter(|node| !self.0.contains_key(node)).collect();
        let silent = silent.into_iter().map(|node| {
            let why = "Prometheus cannot scrape its agent".to_owned();
            of(node, Answer::Nothing(why))
        });
        let known = self.0.into_iter().map(|(node, metrics)| {
            let NodeMetrics {
                version,
                conditions,
                findings,
            } = metrics;
            let summary = Summary::of_metrics(&node, version, conditions, findings);
            of(node, Answer::Summary(Arc::new(summary)))
        });
        known.chain(silent).collect()
    }
}

/// What `/api/v1/query` answers.
#[derive(Deserialize)]
struct QueryAnswer {
    data: QueryData,
}

#[derive(Deserialize)]
struct QueryData {
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    metric: Metric,
    /// The time, which is not used, and the value.
    value: (IgnoredAny, String),
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Metric {
    node: String,
    instance: String,
    version: String,
    registry: String,
    endpoint: String,
    code: String,
    severity: String,
}

impl Sample {
    fn verdict(&self) -> Condition {
        match &*self.value.1 {
            "0" => Condition::Ok,
            "1" => Condition::Degraded,
            "2" => Condition::Failing,
            _ => Condition::Unknown,
        }
    }
}

impl Metric {
    fn node(&self) -> &str {
        match self.node.is_empty() {
            true => &self.instance,
            false => &self.node,
        }
    }
}
