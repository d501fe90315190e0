//! `regprobe why POD`: why a pod cannot pull, by what the API server shows of it and by the agent on its node. It
//! reads through the user's own kubectl, and no Secret.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use self::{
    answer::{PodFacts, WhyPod},
    pod::{EventList, SeenNode, SeenPod},
};
use super::{
    agents, document,
    kubectl::{CallLimits, Kubectl, expect_name},
};
use crate::{
    cli::{DocumentOutput, WhyArgs},
    out::{screen::Screen, status::HeardStatus},
    process::standard_streams::print,
};

mod answer;
mod fault;
mod pod;
mod state;
mod text;

/// For an object, and for the status of an agent with many registries.
const OBJECT: CallLimits = CallLimits {
    bytes: 8 << 20,
    time: Duration::from_secs(15),
};

/// Says why the pod cannot pull.
pub(super) async fn why(args: WhyArgs) -> anyhow::Result<ExitCode> {
    let name = args.pod.trim_start_matches("pod/");
    expect_name(name, "a pod")?;
    if let Some(namespace) = &args.namespace {
        expect_name(namespace, "a namespace")?;
    }
    let facts = read(name, &args).await?;
    let answer = WhyPod::of(&facts, Timestamp::now());
    print(&match args.output {
        DocumentOutput::Text => text::text(&answer, Screen::of_stdout()),
        DocumentOutput::Json => document::json(&answer)?,
    });
    Ok(ExitCode::from(match answer.condition {
        "no_pull_fault" => 0,
        "cannot_pull" => 1,
        _ => 2,
    }))
}

async fn read(name: &str, args: &WhyArgs) -> anyhow::Result<PodFacts> {
    let kubectl = &Kubectl::new(args.context.as_deref());
    let namespace = args.namespace.as_ref();
    let namespace = namespace.map(|name| format!("--namespace={name}"));
    let get = ["get", "pod", name].into_iter().chain(namespace.as_deref());
    let pod: SeenPod = object(kubectl, get).await.context("cannot read the pod")?;
    let mut missing = Vec::new();
    let namespace = format!("--namespace={}", pod.metadata.namespace);
    let selector = format!("--field-selector=involvedObject.uid={}", pod.metadata.uid);
    let events = object(kubectl, ["get", "events", &namespace, &selector]).await;
    let events = events.map(EventList::newest_first);
    let events = events.unwrap_or_else(|why: anyhow::Error| {
        missing.push(format!("The events of the pod cannot be read: {why:#}."));
        Vec::new()
    });
    let Some(node) = pod.spec.node_name.clone() else {
        let agent = Err("It is on no node.".to_owned());
        return Ok(PodFacts {
            pod,
            events,
            node: None,
            agent,
            missing,
        });
    };
    // It only adds to the answer, and needs rights that not everybody has.
    let seen: Option<SeenNode> = object(kubectl, ["get", "node", &node]).await.ok();
    Ok(PodFacts {
        agent: ask_agent(kubectl, args.agents_namespace.as_deref(), &node).await,
        pod,
        events,
        node: seen,
        missing,
    })
}

/// The status of the agent on this node, or a sentence about why there is none.
async fn ask_agent(
    kubectl: &Kubectl,
    namespace: Option<&str>,
    node: &str,
) -> Result<HeardStatus, String> {
    let agents = agents::list(kubectl, namespace, Some(node)).await;
    let mut agents =
        agents.map_err(|why| format!("What the agent on {node} sees is not known: {why:#}."))?;
    let agent = agents
        .pop()
        .ok_or_else(|| format!("No agent of regprobe runs on {node}."))?;
    let status = agent.get(kubectl, "/api/v1/status", OBJECT).await;
    let status = status.map_err(|why| format!("The agent on {node} does not answer: {why}."))?;
    HeardStatus::read(&status)
        .ok_or_else(|| format!("What the agent on {node} answers is no status."))
}

/// The object that `kubectl` prints.
async fn object<T: DeserializeOwned>(
    kubectl: &Kubectl,
    arguments: impl IntoIterator<Item = &str>,
) -> anyhow::Result<T> {
    let arguments: Vec<_> = arguments.into_iter().chain(["--output=json"]).collect();
    let printed = kubectl.print(&arguments, OBJECT).await;
    let printed = printed.map_err(anyhow::Error::msg)?;
    serde_json::from_slice(&printed).context("kubectl prints something else")
}
