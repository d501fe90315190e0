//! The answer of `regprobe why`: what follows from the pod and from what the agent on its node says. Pure. Field
//! names are contract.

use jiff::Timestamp;
use regprobe_probes::Stage;
use serde::Serialize;

use super::{
    fault,
    pod::{SeenEvent, SeenNode, SeenPod},
    state::{PodState, Pull},
};
use crate::{
    out::status::{HeardFinding, HeardRegistry, HeardStatus},
    plan::ImageInUse,
};

const SCHEMA: &str = "regprobe-why/v1";

/// What is known of a pod.
pub(super) struct PodFacts {
    pub pod: SeenPod,
    /// The newest first.
    pub events: Vec<SeenEvent>,
    pub node: Option<SeenNode>,
    /// What the agent on its node says, or why there is nothing.
    pub agent: Result<HeardStatus, String>,
    /// What could not be read.
    pub missing: Vec<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct WhyPod {
    schema: &'static str,
    pub at: Timestamp,
    pub namespace: String,
    pub pod: String,
    pub node: Option<String>,
    /// `cannot_pull`, `pulling`, `not_scheduled` or `no_pull_fault`.
    pub condition: &'static str,
    /// The one thing to know.
    pub sentence: String,
    /// What to do, if that is not of one image.
    pub remedy: Option<String>,
    /// Pulls that failed, or would fail now.
    pub images: Vec<WhyImage>,
    pub notes: Vec<String>,
}

/// Why an image cannot be pulled.
#[derive(Debug, Serialize)]
pub(super) struct WhyImage {
    /// Null for the image of the sandbox.
    pub container: Option<String>,
    pub image: String,
    pub registry: Option<String>,
    pub cause: String,
    pub remedy: String,
    /// The code of a finding, or the name of a guide: `regprobe explain` prints it.
    pub runbook: Option<String>,
    /// Who names the cause: `agent`, or `kubelet`.
    pub according_to: &'static str,
    /// In the words of the kubelet; null if it has said nothing yet.
    pub said: Option<String>,
}

impl WhyPod {
    pub(super) fn of(facts: &PodFacts, at: Timestamp) -> Self {
        let (pod, events) = (&facts.pod, &facts.events);
        let name = format!("{}/{}", pod.metadata.namespace, pod.metadata.name);
        let state = PodState::of(pod, events);
        let mut notes = facts.missing.clone();
        notes.extend(node_note(facts));
        let mut images = Vec::new();
        if let PodState::CannotPull(pulls) | PodState::Pulling(_, pulls) = &state {
            notes.extend(agent_note(facts));
            notes.extend(secret_note(events));
            for pull in pulls {
                let (image, more) = WhyImage::of(pull, facts);
                images.extend(image);
                notes.extend(more);
            }
            notes.extend(offered(pod, pulls));
            notes.dedup();
        }
        let (condition, sentence, remedy) = match (state, &*images) {
            (PodState::CannotPull(_) | PodState::Pulling(..), [first, more @ ..]) => {
                let node = pod.spec.node_name.as_deref().unwrap_or_default();
                let more = match more.len() {
                    0 => String::new(),
                    1 => " 1 more image fails.".to_owned(),
                    count => format!(" {count} more images fail."),
                };
                let (image, cause) = (&first.image, &first.cause);
                let sentence = format!("{name} on {node} cannot pull {image}: {cause}.{more}");
                ("cannot_pull", sentence, None)
            }
            (PodState::Pulling(what, _), []) => {
                let describe = format!(
                    "Look at the journal of the kubelet and of containerd on the node: regprobe explain {GUIDE}"
                );
                ("pulling", format!("{name}: {what}."), Some(describe))
            }
            (PodState::NotScheduled(why), _) => (
                "not_scheduled",
                format!("{name} is on no node yet, so nothing was pulled: {why}"),
                Some("This is about the scheduler, not about images.".to_owned()),
            ),
            (PodState::NoPullFault(what, remedy), _) => {
                ("no_pull_fault", format!("{name}: {what}."), Some(remedy))
            }
            // Each pull that failed has an image.
            (PodState::CannotPull(_), []) => ("cannot_pull", format!("{name} cannot pull."), None),
        };
        Self {
            schema: SCHEMA,
            at,
            namespace: pod.metadata.namespace.clone(),
            pod: pod.metadata.name.clone(),
            node: pod.spec.node_name.clone(),
            condition,
            sentence,
            remedy,
            images,
            notes,
        }
    }

    /// What two pods have in common that have the same cause.
    pub(super) fn cause(&self) -> (&'static str, Vec<(&str, &str)>) {
        let of_pod = format!("{}/{}", self.namespace, self.pod);
        let causes = self.images.iter().map(|image| {
            let cause = image.runbook.as_ref().unwrap_or(&image.cause);
            (&*image.image, &**cause)
        });
        let mut causes: Vec<_> = causes.collect();
        // Why a container does not start is not asked here, and worded differently for each pod.
        if causes.is_empty() && self.condition != "no_pull_fault" {
            causes.push(("", self.sentence.trim_start_matches(&of_pod)));
        }
        (self.condition, causes)
    }
}

/// Where the kubelet's journal is explained.
const GUIDE: &str = "unauthorized";

impl WhyImage {
    /// Why this pull fails, if it is known to fail, and what the agent says besides.
    fn of(pull: &Pull, facts: &PodFacts) -> (Option<Self>, Option<String>) {
        let server = ImageInUse::parse(&pull.image).map(|image| image.server.to_string());
        let server = server.ok();
        let (registry, note) = match (&server, &facts.agent) {
            (Some(server), Ok(agent)) => {
                let watched = agent.registries.iter().find(|one| one.server == *server);
                let note = watched.is_none().then(|| unwatched(server, &agent.node));
                (watched, note)
            }
            _ => (None, None),
        };
        let critical = registry.and_then(|registry| {
            let mut findings = registry.findings.iter();
            findings.find(|finding| explains(finding, pull))
        });
        let note = note.or_else(|| registry.and_then(|one| beside(one, critical, pull, facts)));
        let (cause, remedy, runbook) = match (critical, pull.fault) {
            (Some(finding), _) => (
                finding.message.clone(),
                finding.remedy.clone(),
                Some(finding.code.clone()),
            ),
            (None, Some(fault)) => {
                let host = fault::host(&pull.text).or(server.as_deref());
                let host = host.unwrap_or("the registry");
                let (mut cause, remedy) = (fault.cause.to_owned(), fault.remedy);
                if let ("PlatformMismatch", Some(node)) = (fault.runbook, &facts.node) {
                    let info = &node.status.node_info;
                    cause += &format!(", {}/{}", info.operating_system, info.architecture);
                }
                (
                    cause.replace("HOST", host),
                    remedy.replace("HOST", host),
                    Some(fault.runbook.to_owned()),
                )
            }
            (None, None) if pull.text.is_empty() => return (None, note),
            (None, None) => (
                "the kubelet gives a reason that regprobe does not know".to_owned(),
                "Read the kubelet's words below.".to_owned(),
                Some("first-ten-minutes".to_owned()),
            ),
        };
        let image = Self {
            container: Some(pull.container.clone()).filter(|name| !name.is_empty()),
            image: pull.image.clone(),
            registry: server,
            cause,
            remedy,
            runbook,
            according_to: if critical.is_some() {
                "agent"
            } else {
                "kubelet"
            },
            said: Some(pull.text.clone()).filter(|text| !text.is_empty()),
        };
        (Some(image), note)
    }
}

/// Whether this finding of the node's agent is the cause of a pull that failed like this, or of one that has not
/// ended: it stops a pull, at the same stage or an earlier one, at a host of the kubelet's text.
fn explains(finding: &HeardFinding, pull: &Pull) -> bool {
    let found = Stage::ALL
        .into_iter()
        .find(|stage| stage.as_str() == finding.stage);
    let host = finding.endpoint.rsplit_once(':');
    let host = host.map_or(&*finding.endpoint, |(host, _)| host);
    // What the pod's own secret is worth, the agent does not know.
    let of_secret = finding.code == "CredentialsRequired" && pull.text.contains("oauth token");
    finding.is_critical()
        && !of_secret
        && match (&pull.fault, found) {
            (None, _) => pull.text.is_empty(),
            (Some(fault), Some(found)) => {
                fault.stage.is_some_and(|stage| found <= stage)
                    && (pull.text.contains(host) || pull.image.starts_with(host))
            }
            (Some(_), None) => false,
        }
}

fn unwatched(server: &str, node: &str) -> String {
    format!(
        "The agent on {node} does not watch {server}. 'kubectl regprobe check {server} --node={node}' probes it from \
         there now; to watch it, add it to the agent's configuration."
    )
}

/// What the agent says of the registry beside the cause.
fn beside(
    registry: &HeardRegistry,
    cause: Option<&HeardFinding>,
    pull: &Pull,
    facts: &PodFacts,
) -> Option<String> {
    let node = facts.pod.spec.node_name.as_deref().unwrap_or_default();
    let mut others = registry.findings.iter().filter(|finding| {
        finding.severity != "info" && cause.is_none_or(|cause| !std::ptr::eq(*finding, cause))
    });
    let name = &registry.name;
    if let Some(other) = others.next() {
        let (code, message) = (&other.code, &other.message);
        return Some(format!(
            "The agent on {node} also says of {name}: {code}: {message}."
        ));
    }
    let stage = pull.fault.and_then(|fault| fault.stage);
    match (&*registry.condition, cause, stage) {
        (_, Some(_), _) => None,
        ("ok", None, Some(stage)) if stage != Stage::Token => Some(format!(
            "The agent on {node} sees nothing wrong with {name} now. The fault may be over: the kubelet waits up to \
             5 minutes before it tries again."
        )),
        ("ok", None, _) => Some(format!(
            "The agent on {node} reaches {name}: nothing is wrong with the way to it."
        )),
        (condition, None, _) => Some(format!(
            "The condition of {name} on {node} is {condition}, according to its agent."
        )),
    }
}

fn agent_note(facts: &PodFacts) -> Option<String> {
    facts.agent.as_ref().err().cloned()
}

/// The pull secrets that the kubelet could not get.
fn secret_note(events: &[SeenEvent]) -> Option<String> {
    let mut events = events.iter();
    let missing = events.find(|event| event.reason == "FailedToRetrieveImagePullSecret")?;
    let names = missing.message.split_once('(').map(|(_, rest)| rest);
    let names = names.and_then(|rest| rest.split_once(')'));
    let names = names.map_or("that it names", |(names, _)| names);
    Some(format!(
        "The kubelet cannot get pull secrets of the pod: {names}. If they do not exist, create them in its namespace."
    ))
}

/// The pull secrets that the pod names, where they may be the cause.
fn offered(pod: &SeenPod, pulls: &[Pull]) -> Option<String> {
    let mut faults = pulls.iter().filter_map(|pull| pull.fault);
    let is_about =
        faults.any(|fault| ["unauthorized", "PullSecretInvalid"].contains(&fault.runbook));
    let names = pod.spec.image_pull_secrets.iter();
    let names: Vec<_> = names.map(|secret| &*secret.name).collect();
    is_about.then(|| match names.is_empty() {
        true => "The pod names no pull secret.".to_owned(),
        false => format!("The pod names these pull secrets: {}.", names.join(", ")),
    })
}

fn node_note(facts: &PodFacts) -> Option<String> {
    let mut conditions = facts.node.iter().flat_map(|node| &node.status.conditions);
    let ready = conditions.find(|condition| condition.kind == "Ready")?;
    let node = facts.pod.spec.node_name.as_deref()?;
    (ready.status != "True").then(|| {
        format!(
            "Node {node} is not ready, so the state of the pod may be old: {}",
            ready.message
        )
    })
}

#[cfg(test)]
mod tests;
