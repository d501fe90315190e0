//! A pod, its events and its node, as `kubectl get --output=json` prints them and as far as they are used. Every
//! text may be anybody's, and is only shown.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde::{Deserialize, de::IgnoredAny};

/// A pod.
#[derive(Debug, Deserialize)]
pub(super) struct SeenPod {
    pub metadata: ObjectMetadata,
    pub spec: SeenSpec,
    #[serde(default)]
    pub status: PodStatus,
}

/// What each object of a namespace has.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectMetadata {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    #[serde(default)]
    pub owner_references: Vec<OwnerReference>,
}

#[derive(Debug, Deserialize)]
pub(super) struct OwnerReference {
    pub uid: String,
    /// Whether it made the object, and would make another in its place.
    #[serde(default)]
    pub controller: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SeenSpec {
    pub node_name: Option<String>,
    #[serde(default)]
    pub containers: Vec<SeenContainer>,
    #[serde(default)]
    pub init_containers: Vec<SeenContainer>,
    #[serde(default)]
    pub ephemeral_containers: Vec<SeenContainer>,
    #[serde(default)]
    pub image_pull_secrets: Vec<Named>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SeenContainer {
    pub name: String,
    #[serde(default)]
    pub image: String,
    restart_policy: Option<String>,
}

impl SeenContainer {
    /// Whether it is an init container for whose end the others do not wait.
    fn is_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    #[serde(default)]
    pub name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodStatus {
    #[serde(default)]
    phase: String,
    /// Why it was ended, such as `Evicted`.
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    pub conditions: Vec<SeenCondition>,
    #[serde(default)]
    container_statuses: Vec<ContainerStatus>,
    #[serde(default)]
    init_container_statuses: Vec<ContainerStatus>,
    #[serde(default)]
    ephemeral_container_statuses: Vec<ContainerStatus>,
}

/// A condition of a pod or a node.
#[derive(Debug, Deserialize)]
pub(super) struct SeenCondition {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    #[serde(default)]
    pub message: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ContainerStatus {
    pub name: String,
    #[serde(default)]
    pub state: ContainerState,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ContainerState {
    pub waiting: Option<Waiting>,
    running: Option<IgnoredAny>,
}

/// Why a container does not run yet.
#[derive(Debug, Deserialize)]
pub(super) struct Waiting {
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub message: String,
}

impl PodStatus {
    /// Whether nothing is said of any container.
    pub(super) fn is_empty(&self) -> bool {
        self.container_statuses.is_empty() && self.init_container_statuses.is_empty()
    }

    /// How the pod ended, in words of Kubernetes: no container of it starts again.
    pub(super) fn end(&self) -> Option<String> {
        let has_ended = matches!(&*self.phase, "Succeeded" | "Failed");
        let words = [&self.phase, &self.reason, &self.message];
        let words = words.into_iter().filter(|word| !word.is_empty());
        has_ended.then(|| words.map(String::as_str).collect::<Vec<_>>().join(": "))
    }
}

impl SeenPod {
    /// All containers, in the order in which the kubelet starts them.
    pub(super) fn containers(&self) -> impl Iterator<Item = &SeenContainer> {
        let SeenSpec {
            containers,
            init_containers,
            ephemeral_containers,
            ..
        } = &self.spec;
        init_containers
            .iter()
            .chain(containers)
            .chain(ephemeral_containers)
    }

    /// The init container that runs, for whose end the others wait.
    pub(super) fn initializing(&self) -> Option<&SeenContainer> {
        let statuses = &self.status.init_container_statuses;
        let is_running = |container: &&SeenContainer| {
            let mut running = statuses.iter().filter(|one| one.state.running.is_some());
            running.any(|one| one.name == container.name)
        };
        let mut containers = self.spec.init_containers.iter();
        containers.find(|one| !one.is_sidecar() && is_running(one))
    }

    /// The containers that wait, in the same order.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&SeenContainer, &Waiting)> {
        let PodStatus {
            container_statuses,
            init_container_statuses,
            ephemeral_container_statuses,
            ..
        } = &self.status;
        self.containers().filter_map(move |container| {
            let mut all = init_container_statuses
                .iter()
                .chain(container_statuses)
                .chain(ephemeral_container_statuses);
            let status = all.find(|status| status.name == container.name)?;
            Some((container, status.state.waiting.as_ref()?))
        })
    }
}

/// What `kubectl get events` prints.
#[derive(Debug, Deserialize)]
pub(super) struct EventList {
    items: Vec<SeenEvent>,
}

/// An event of the pod.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SeenEvent {
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    involved_object: Involved,
    first_timestamp: Option<Timestamp>,
    last_timestamp: Option<Timestamp>,
    event_time: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Involved {
    #[serde(default)]
    field_path: String,
}

impl EventList {
    /// The newest first.
    pub(super) fn newest_first(mut self) -> Vec<SeenEvent> {
        self.items.sort_by_key(|event| Reverse(event.at()));
        self.items
    }
}

impl SeenEvent {
    /// When it last happened.
    pub(super) fn at(&self) -> Option<Timestamp> {
        self.last_timestamp
            .or(self.event_time)
            .or(self.first_timestamp)
    }

    /// Whether it is about this container.
    pub(super) fn is_of(&self, container: &str) -> bool {
        let name = self.involved_object.field_path.split_once('{');
        name.is_some_and(|(_, name)| name.trim_end_matches('}') == container)
    }
}

/// A node.
#[derive(Debug, Deserialize)]
pub(super) struct SeenNode {
    #[serde(default)]
    pub status: NodeStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeStatus {
    #[serde(default)]
    pub conditions: Vec<SeenCondition>,
    #[serde(default)]
    pub node_info: NodeInfo,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeInfo {
    #[serde(default)]
    pub operating_system: String,
    #[serde(default)]
    pub architecture: String,
}
