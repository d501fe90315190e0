//! The objects that are read and written, as the API server's JSON.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::signals::{NodeCondition, Turn};

const TYPE: &str = "ContainerRegistryReachable";
const COMPONENT: &str = "regprobe";
/// Events about objects without a namespace are in this one.
pub(super) const EVENTS: &str = "/api/v1/namespaces/default/events";

/// The parts of a node that are needed.
#[derive(Deserialize)]
pub(super) struct NodeObject {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    uid: String,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Vec<WrittenCondition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenCondition {
    r#type: String,
    status: String,
    last_transition_time: Option<Timestamp>,
}

impl NodeObject {
    /// Since when the condition has its status, once it is written; from now on it is what is known.
    pub(super) fn transition(&mut self, condition: &NodeCondition, now: Timestamp) -> Timestamp {
        let conditions = &mut self.status.conditions;
        let written = conditions.iter().find(|written| written.r#type == TYPE);
        let same = written.filter(|written| written.status == condition.status);
        let since = same
            .and_then(|written| written.last_transition_time)
            .unwrap_or(now);
        conditions.retain(|written| written.r#type != TYPE);
        conditions.push(WrittenCondition {
            r#type: TYPE.to_owned(),
            status: condition.status.to_owned(),
            last_transition_time: Some(since),
        });
        since
    }
}

pub(super) fn node_path(node: &str) -> String {
    format!("/api/v1/nodes/{node}")
}

/// Server-side apply. Nobody else has the condition, so nothing is taken from anybody by force.
pub(super) fn status_path(node: &str) -> String {
    format!(
        "{}/status?fieldManager={COMPONENT}&force=true",
        node_path(node)
    )
}

pub(super) fn status(node: &str, condition: &NodeCondition, since: Timestamp) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node},
        "status": {"conditions": [{
            "type": TYPE,
            "status": condition.status,
            "reason": condition.reason,
            "message": condition.message,
            "lastHeartbeatTime": seconds(Timestamp::now()),
            "lastTransitionTime": seconds(since),
        }]},
    })
}

pub(super) fn event(node: &str, known: &NodeObject, turn: &Turn, at: Timestamp) -> Value {
    let (kind, reason) = match turn.is_failing {
        true => ("Warning", "RegistryFailing"),
        false => ("Normal", "RegistryRecovered"),
    };
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": format!("{node}."), "namespace": "default"},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Node",
            "name": node,
            "uid": known.metadata.uid,
        },
        "type": kind,
        "reason": reason,
        "message": turn.text,
        "count": 1,
        "firstTimestamp": seconds(at),
        "lastTimestamp": seconds(at),
        "source": {"component": COMPONENT, "host": node},
        "reportingComponent": COMPONENT,
        "reportingInstance": node,
    })
}

/// Kubernetes' times have no fractions.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_transition_stays_while_the_status_does() {
        let time = |second| Timestamp::from_second(second).unwrap();
        let text = r#"{"metadata": {"uid": "u", "name": "n"}, "spec": {}, "status": {"conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:01Z"},
            {"type": "ContainerRegistryReachable", "status": "True", "lastTransitionTime": "1970-01-01T00:00:02Z"}]}}"#;
        let mut node: NodeObject = serde_json::from_str(text).unwrap();
        let condition = |status| NodeCondition {
            status,
            reason: "",
            message: String::new(),
        };
        assert_eq!(node.transition(&condition("True"), time(10)), time(2));
        assert_eq!(node.transition(&condition("False"), time(20)), time(20));
        assert_eq!(node.transition(&condition("False"), time(30)), time(20));
        assert_eq!(node.transition(&condition("True"), time(40)), time(40));
    }
}
