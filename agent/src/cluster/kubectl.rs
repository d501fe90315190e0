//! The agents of a cluster through the user's own `kubectl`, and so with the user's own rights: it lists the
//! agents' pods and asks each for its summary by way of the API server. No shell; each call has a deadline and a
//! cap.

use std::{process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    time::timeout,
};

use crate::out::{
    fleet_view::{Answer, FleetView, Heard},
    summary::{self, MAX_BYTES},
};

const KUBECTL: &str = "kubectl";
/// For the list of pods, and for one agent.
const LIST_DEADLINE: Duration = Duration::from_secs(30);
const ASK_DEADLINE: Duration = Duration::from_secs(5);
/// 5,000 pods of agents take about 40 MB.
const MAX_LIST: usize = 64 << 20;
const MAX_ERROR: usize = 4 << 10;
/// Each is a process of some 50 MB.
const AT_ONCE: usize = 8;
/// Of the chart and of the manifests.
const SELECTOR: &str = "--selector=app.kubernetes.io/name=regprobe";
const PORT: u16 = 9118;
const PORT_NAME: &str = "metrics";

/// The view of all agents in this namespace, or in all.
pub(super) async fn view(namespace: Option<&str>) -> anyhow::Result<FleetView> {
    let scope = match namespace {
        Some(name) if is_name(name) => format!("--namespace={name}"),
        Some(_) => bail!("this is not the name of a namespace"),
        None => "--all-namespaces".to_owned(),
    };
    let list = ["get", "pods", &scope, SELECTOR, "--output=json"];
    let list = kubectl(&list, MAX_LIST, LIST_DEADLINE).await;
    let list = list.map_err(|why| anyhow::anyhow!("cannot list the agents' pods: {why}"))?;
    let list: PodList = serde_json::from_slice(&list).context("kubectl prints no list of pods")?;
    let heard = stream::iter(list.items).map(ask).buffered(AT_ONCE);
    let heard: Vec<Heard> = heard.collect().await;
    let none = "No pod has the label app.kubernetes.io/name=regprobe.";
    let missing = heard.is_empty().then_some(none);
    Ok(FleetView::of(&heard, missing, Timestamp::now()))
}

async fn ask(pod: Pod) -> Heard {
    let answer = match pod.summary().await {
        Ok(answer) => match summary::read(&answer) {
            Some(summary) => Answer::Summary(Arc::new(summary)),
            None => Answer::Nothing("its answer is not a summary".to_owned()),
        },
        Err(why) => Answer::Nothing(why),
    };
    let node = pod.spec.node_name.unwrap_or(pod.metadata.name);
    Heard {
        called: node,
        page: None,
        answer,
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

impl Pod {
    async fn summary(&self) -> Result<Vec<u8>, String> {
        let Metadata { name, namespace } = &self.metadata;
        if !is_name(name) || !is_name(namespace) {
            return Err("its pod has no valid name".to_owned());
        }
        if self.spec.node_name.is_none() {
            return Err("its pod is not on a node yet".to_owned());
        }
        let mut ports = self.spec.containers.iter().flat_map(|one| &one.ports);
        let port = ports.find(|port| port.name.as_deref() == Some(PORT_NAME));
        let port = port.map_or(PORT, |port| port.container_port);
        let path =
            format!("/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy/api/v1/summary");
        kubectl(&["get", "--raw", &path], MAX_BYTES, ASK_DEADLINE).await
    }
}

/// Whether Kubernetes takes this for the name of a pod or of a namespace (RFC 1123).
fn is_name(text: &str) -> bool {
    let is_inside = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    let ends = [text.bytes().next(), text.bytes().next_back()];
    let ends = ends
        .into_iter()
        .all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()));
    text.len() <= 253 && ends && text.bytes().all(is_inside)
}

/// What `kubectl` prints, or the last line of why not.
async fn kubectl(arguments: &[&str], max: usize, deadline: Duration) -> Result<Vec<u8>, String> {
    let child = Command::new(KUBECTL)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.map_err(|error| format!("{KUBECTL} does not start: {error}"))?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let run = async {
        let (output, errors) = tokio::join!(read(output, max + 1), read(errors, MAX_ERROR));
        if output.len() > max {
            return Err("its answer is too large".to_owned());
        }
        match child.wait().await {
            Ok(status) if status.success() => Ok(output),
            Ok(status) => Err(last_line(&errors).unwrap_or_else(|| status.to_string())),
            Err(error) => Err(error.to_string()),
        }
    };
    let seconds = deadline.as_secs();
    timeout(deadline, run)
        .await
        .unwrap_or_else(|_| Err(format!("nothing within {seconds} s")))
}

async fn read(from: Option<impl AsyncRead + Unpin>, max: usize) -> Vec<u8> {
    let mut text = Vec::new();
    if let Some(from) = from {
        // What was read before an error counts.
        let _ = from.take(max as u64).read_to_end(&mut text).await;
    }
    text
}

fn last_line(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    line.map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn only_names_of_kubernetes_become_part_of_a_path() {
        for name in ["regprobe-x7k2p", "a", "kube-system", "a.b"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            "-a",
            "--all",
            "../secrets",
            "a/b",
            "A",
            "a-",
            "a?b",
            "é",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }
}
