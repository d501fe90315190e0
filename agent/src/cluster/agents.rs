//! The agents' pods, listed and asked through `kubectl` and the API server.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::try_join;

use super::{
    kubectl::{CallLimits, Kubectl, expect_name, is_name},
    patience::Patience,
    proxy::Proxy,
};
use crate::out::{
    fleet_view::{Answer, FleetView, Heard},
    summary::{self, MAX_BYTES},
};

/// 5,000 pods take about 40 MB.
pub(super) const LIST: CallLimits = CallLimits {
    bytes: 64 << 20,
    time: Duration::from_secs(30),
};
/// Through one process.
const ASKED_AT_ONCE: usize = 100;
/// Each is a process of some 50 MB.
pub(super) const AT_ONCE: usize = 8;
/// Of the chart and of the manifests.
const SELECTOR: &str = "--selector=app.kubernetes.io/name=regprobe";
const PORT: u16 = 9118;
const PORT_NAME: &str = "metrics";

/// The view of all agents in this namespace, or in all.
pub(super) async fn view(kubectl: &Kubectl, namespace: Option<&str>) -> anyhow::Result<FleetView> {
    let proxy = async {
        Proxy::start(kubectl)
            .await
            .context("kubectl proxy does not start")
    };
    // Each is a process that takes its time to start.
    let (pods, proxy) = try_join!(list(kubectl, namespace, None), proxy)?;
    let (proxy, patience) = (&proxy, &Patience::default());
    let heard = stream::iter(pods).map(|pod| ask(pod, proxy, patience));
    let heard: Vec<Heard> = heard.buffered(ASKED_AT_ONCE).collect().await;
    Ok(view_of(&heard))
}

/// The view of what these agents said.
pub(super) fn view_of(heard: &[Heard]) -> FleetView {
    let none = "No pod has the label app.kubernetes.io/name=regprobe.";
    let missing = heard.is_empty().then_some(none);
    FleetView::of(heard, missing, Timestamp::now())
}

/// The agents in this namespace, or in all; of this node, or of all nodes.
pub(super) async fn list(
    kubectl: &Kubectl,
    namespace: Option<&str>,
    node: Option<&str>,
) -> anyhow::Result<Vec<AgentPod>> {
    let scope = match namespace {
        Some(name) => {
            expect_name(name, "a namespace")?;
            format!("--namespace={name}")
        }
        None => "--all-namespaces".to_owned(),
    };
    if let Some(name) = node {
        expect_name(name, "a node")?;
    }
    let node = node.map(|name| format!("--field-selector=spec.nodeName={name}"));
    let list = ["get", "pods", &scope, SELECTOR, "--output=json"];
    let list: Vec<_> = list.into_iter().chain(node.as_deref()).collect();
    let list = kubectl.print(&list, LIST).await;
    let list = list.map_err(|why| anyhow::anyhow!("cannot list the agents' pods: {why}"))?;
    let list: PodList = serde_json::from_slice(&list).context("kubectl prints no list of pods")?;
    Ok(list.items.into_iter().map(AgentPod::of).collect())
}

async fn ask(pod: AgentPod, proxy: &Proxy, patience: &Patience) -> Heard {
    let summary = match pod.path("/api/v1/summary") {
        Ok(path) => patience.wait(proxy.get(&path, MAX_BYTES)).await,
        Err(why) => Err(why),
    };
    let answer = match summary {
        Ok(answer) => match summary::read(&answer) {
            Some(summary) => Answer::Summary(Arc::new(summary)),
            None => Answer::Nothing("its answer is not a summary".to_owned()),
        },
        Err(why) => Answer::Nothing(why),
    };
    pod.heard(answer)
}

/// The agents on these nodes, or all of them; and the nodes that have none.
pub(super) async fn chosen(
    kubectl: &Kubectl,
    nodes: &[String],
    namespace: Option<&str>,
) -> anyhow::Result<(Vec<AgentPod>, Vec<Heard>)> {
    for node in nodes {
        expect_name(node, "a node")?;
    }
    let mut pods = list(kubectl, namespace, None).await?;
    if nodes.is_empty() {
        return Ok((pods, Vec::new()));
    }
    pods.retain(|pod| nodes.iter().any(|node| pod.node() == node));
    let is_absent = |node: &&String| !pods.iter().any(|pod| pod.node() == *node);
    let absent = nodes.iter().filter(is_absent).map(|node| Heard {
        called: node.clone(),
        page: None,
        answer: Answer::Nothing("no agent runs there".to_owned()),
    });
    let absent = absent.collect();
    Ok((pods, absent))
}

/// The pod of an agent.
pub(super) struct AgentPod {
    pub name: String,
    pub namespace: String,
    node: Option<String>,
    port: u16,
}

impl AgentPod {
    fn of(pod: Pod) -> Self {
        let mut ports = pod.spec.containers.iter().flat_map(|one| &one.ports);
        let port = ports.find(|port| port.name.as_deref() == Some(PORT_NAME));
        Self {
            port: port.map_or(PORT, |port| port.container_port),
            name: pod.metadata.name,
            namespace: pod.metadata.namespace,
            node: pod.spec.node_name,
        }
    }

    /// What to call its node.
    pub(super) fn node(&self) -> &str {
        self.node.as_deref().unwrap_or(&self.name)
    }

    /// This answer, as that of its node.
    pub(super) fn heard(self, answer: Answer) -> Heard {
        Heard {
            called: self.node.unwrap_or(self.name),
            page: None,
            answer,
        }
    }

    /// Its answer for this path.
    pub(super) async fn get(
        &self,
        kubectl: &Kubectl,
        path: &str,
        limits: CallLimits,
    ) -> Result<Vec<u8>, String> {
        let path = self.path(path)?;
        kubectl.print(&["get", "--raw", &path], limits).await
    }

    /// This path of the agent, as the API server has it.
    fn path(&self, path: &str) -> Result<String, String> {
        self.expect_on_node()?;
        let Self {
            name,
            namespace,
            port,
            ..
        } = self;
        Ok(format!(
            "/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy{path}"
        ))
    }

    /// An error if it cannot be asked, or has no name that can be part of a path.
    pub(super) fn expect_on_node(&self) -> Result<(), String> {
        if !is_name(&self.name) || !is_name(&self.namespace) {
            return Err("its pod has no valid name".to_owned());
        }
        match &self.node {
            Some(_) => Ok(()),
            None => Err("its pod is not on a node yet".to_owned()),
        }
    }
}

/// What `kubectl get pods` prints, as far as it is used.
#[derive(Deserialize)]
struct PodList {
    items: Vec<Pod>,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    namespace: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    ports: Vec<Port>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    name: Option<String>,
    container_port: u16,
}
