//! `regprobe why POD`: why a pod cannot pull, by what the API server shows of it and by the agent on its node; and the
//! same for the pods of a workload. It reads through the user's own kubectl, and no Secret.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use self::{
    answer::{PodFacts, WhyPod},
    causes::{WhyWorkload, WorkloadFacts},
    pod::{EventList, ObjectMetadata, SeenNode, SeenPod},
    workload::{Asked, Kind, SeenWorkload, Several},
};
use super::{
    agents::{self, AT_ONCE, LIST},
    document,
    kubectl::{CallLimits, Kubectl, expect_name},
};
use crate::{
    cli::{DocumentOutput, WhyArgs},
    out::{screen::Screen, status::HeardStatus},
    process::standard_streams::print,
};

mod answer;
mod causes;
mod fault;
mod pod;
mod state;
mod text;
mod workload;

/// For an object, and for the status of an agent with many registries.
const OBJECT: CallLimits = CallLimits {
    bytes: 8 << 20,
    time: Duration::from_secs(15),
};

/// Says why the pod, or those of the workload, cannot pull.
pub(super) async fn why(args: WhyArgs) -> anyhow::Result<ExitCode> {
    if let Some(namespace) = &args.namespace {
        expect_name(namespace, "a namespace")?;
    }
    let kubectl = &Kubectl::new(args.context.as_deref());
    let agents = args.agents_namespace.as_deref();
    let namespace = args.namespace.as_ref();
    let namespace = namespace.map(|name| format!("--namespace={name}"));
    let get = |resource, name| {
        let get = ["get", resource, name].into_iter();
        get.chain(namespace.as_deref()).collect::<Vec<&str>>()
    };
    let screen = Screen::of_stdout();
    let (condition, text) = match Asked::parse(&args.pod)? {
        Asked::Pod(name) => {
            let pod = object(kubectl, &get("pod", name), OBJECT).await;
            let pod = pod.context("cannot read the pod")?;
            let facts = look(kubectl, agents, pod).await;
            let answer = WhyPod::of(&facts, Timestamp::now());
            let text = match args.output {
                DocumentOutput::Text => text::text(&answer, screen),
                DocumentOutput::Json => document::json(&answer)?,
            };
            (answer.condition, text)
        }
        Asked::Workload(kind, name) => {
            let workload = object(kubectl, &get(kind.resource, name), OBJECT).await;
            let workload = workload.with_context(|| format!("cannot read the {}", kind.word))?;
            let facts = look_at_all(kubectl, agents, kind, &workload).await?;
            let answer = WhyWorkload::of(facts, Timestamp::now());
            let text = match args.output {
                DocumentOutput::Text => text::text_of_workload(&answer, screen),
                DocumentOutput::Json => document::json(&answer)?,
            };
            (answer.condition, text)
        }
    };
    print(&text);
    Ok(ExitCode::from(match condition {
        "no_pull_fault" => 0,
        "cannot_pull" => 1,
        _ => 2,
    }))
}

/// Why pods of this workload cannot pull.
async fn look_at_all(
    kubectl: &Kubectl,
    agents: Option<&str>,
    kind: &Kind,
    workload: &SeenWorkload,
) -> anyhow::Result<WorkloadFacts> {
    let ObjectMetadata {
        name,
        namespace,
        uid,
        ..
    } = &workload.metadata;
    let scope = format!("--namespace={namespace}");
    let mut owners = vec![uid.clone()];
    if !kind.between.is_empty() {
        let between = list::<SeenWorkload>(kubectl, kind.between, &scope).await?;
        let own = between
            .into_iter()
            .filter(|one| one.metadata.is_of(&owners));
        owners = own.map(|one| one.metadata.uid).collect();
    }
    let mut pods = list::<SeenPod>(kubectl, "pods", &scope).await?;
    pods.retain(|pod| pod.metadata.is_of(&owners));
    let count = pods.len();
    let (pods, left_out) = workload::to_look_at(pods);
    let looks = stream::iter(pods).map(|pod| look(kubectl, agents, pod));
    let facts: Vec<_> = looks.buffered(AT_ONCE).collect().await;
    let now = Timestamp::now();
    Ok(WorkloadFacts {
        called: format!("{} {namespace}/{name}", kind.word),
        idle: workload.idle(),
        pods: count,
        answers: facts.iter().map(|facts| WhyPod::of(facts, now)).collect(),
        left_out,
    })
}

/// What is known of a pod.
async fn look(kubectl: &Kubectl, agents: Option<&str>, pod: SeenPod) -> PodFacts {
    let mut missing = Vec::new();
    let namespace = format!("--namespace={}", pod.metadata.namespace);
    let selector = format!("--field-selector=involvedObject.uid={}", pod.metadata.uid);
    let events = object(kubectl, &["get", "events", &namespace, &selector], OBJECT).await;
    let events = events.map(EventList::newest_first);
    let events = events.unwrap_or_else(|why: anyhow::Error| {
        missing.push(format!("The events of the pod cannot be read: {why:#}."));
        Vec::new()
    });
    let Some(node) = pod.spec.node_name.clone() else {
        let agent = Err("It is on no node.".to_owned());
        return PodFacts {
            pod,
            events,
            node: None,
            agent,
            missing,
        };
    };
    // It only adds to the answer, and needs rights that not everybody has.
    let seen: Option<SeenNode> = object(kubectl, &["get", "node", &node], OBJECT).await.ok();
    PodFacts {
        agent: ask_agent(kubectl, agents, &node).await,
        pod,
        events,
        node: seen,
        missing,
    }
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

/// All objects of this kind in this namespace.
async fn list<T: DeserializeOwned>(
    kubectl: &Kubectl,
    resource: &str,
    namespace: &str,
) -> anyhow::Result<Vec<T>> {
    let list = object::<Several<T>>(kubectl, &["get", resource, namespace], LIST).await;
    let list = list.with_context(|| format!("cannot list {resource}"))?;
    Ok(list.items)
}

/// The object that `kubectl` prints.
async fn object<T: DeserializeOwned>(
    kubectl: &Kubectl,
    arguments: &[&str],
    limits: CallLimits,
) -> anyhow::Result<T> {
    let arguments = [arguments, &["--output=json"]].concat();
    let printed = kubectl.print(&arguments, limits).await;
    let printed = printed.map_err(anyhow::Error::msg)?;
    serde_json::from_slice(&printed).context("kubectl prints something else")
}
