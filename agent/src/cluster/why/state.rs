//! Where a pod is on its way to run, by what the API server shows of it. Pure.

use super::{
    fault::{self, PullFault},
    pod::{SeenEvent, SeenPod, Waiting},
};

/// Where a pod is.
#[derive(Debug)]
pub(super) enum PodState {
    /// No node was chosen yet; why, in the scheduler's words.
    NotScheduled(String),
    /// Pulls that failed.
    CannotPull(Vec<Pull>),
    /// Pulls that are under way or have not begun; in words.
    Pulling(&'static str, Vec<Pull>),
    /// Something else holds it up, or nothing does; in words, and what to do.
    NoPullFault(String, String),
}

/// The pull of an image.
#[derive(Clone, Debug)]
pub(super) struct Pull {
    /// Empty for the image of the sandbox.
    pub container: String,
    pub image: String,
    /// What kubelet and containerd say of it; empty before it failed.
    pub text: String,
    pub fault: Option<PullFault>,
}

/// Waiting reasons of a pull that failed.
const FAILED: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];
/// Before the first pull, and between.
const BEGINNING: [&str; 3] = ["ContainerCreating", "PodInitializing", ""];

impl PodState {
    /// By the pod and its events, the newest first.
    pub(super) fn of(pod: &SeenPod, events: &[SeenEvent]) -> Self {
        if pod.spec.node_name.is_none() {
            let mut conditions = pod.status.conditions.iter();
            let scheduled = conditions.find(|condition| condition.kind == "PodScheduled");
            return Self::NotScheduled(
                scheduled.map_or_else(String::new, |condition| condition.message.clone()),
            );
        }
        let (name, namespace) = (&pod.metadata.name, &pod.metadata.namespace);
        let failed = |(container, waiting): (&super::pod::SeenContainer, &Waiting)| {
            let (text, fault) = failure(&container.name, waiting, events)?;
            Some(Pull {
                container: container.name.clone(),
                image: container.image.clone(),
                text,
                fault,
            })
        };
        let failed: Vec<_> = pod.waiting().filter_map(failed).collect();
        if !failed.is_empty() {
            return Self::CannotPull(failed);
        }
        if let Some(end) = pod.status.end() {
            return Self::NoPullFault(
                format!("it has ended, so no container waits for an image ({end})"),
                format!("Read more: kubectl describe pod -n {namespace} {name}"),
            );
        }
        let is_beginning = |waiting: &Waiting| BEGINNING.contains(&&*waiting.reason);
        let stuck = pod.waiting().find(|(_, waiting)| !is_beginning(waiting));
        if let Some((container, waiting)) = stuck {
            return does_not_start(pod, &container.name, waiting);
        }
        if let Some(container) = pod.initializing() {
            let container = &container.name;
            return Self::NoPullFault(
                format!(
                    "its init container {container} runs, and the other containers start after it"
                ),
                format!("Read its log: kubectl logs -n {namespace} {name} -c {container}"),
            );
        }
        let waits = pod.waiting().next().is_some();
        // A new pod has no statuses yet.
        let is_new = pod.status.is_empty();
        match waits || is_new {
            true => beginning(pod, events),
            false => Self::NoPullFault(
                "its images are there: no container waits for one".to_owned(),
                "Nothing, for the pull.".to_owned(),
            ),
        }
    }
}

/// The text and the cause of a failed pull; `None` if the container waits for something else.
fn failure(
    container: &str,
    waiting: &Waiting,
    events: &[SeenEvent],
) -> Option<(String, Option<PullFault>)> {
    let text = waiting.message.trim_start_matches("Error: ");
    if let Some(malformed) = fault::of_malformed_secret(text) {
        return Some((text.to_owned(), Some(malformed)));
    }
    if !FAILED.contains(&&*waiting.reason) {
        return None;
    }
    let fault = fault::of(text);
    if fault.is_some() {
        return Some((text.to_owned(), fault));
    }
    // In back-off, kubelets before 1.32 keep the text to the event.
    let mut events = events.iter().filter(|event| event.is_of(container));
    let told = events.find(|event| event.message.starts_with("Failed to pull image"));
    let text = told.map_or(text, |event| &event.message);
    Some((text.to_owned(), fault::of(text)))
}

/// The image is there, or was never asked for.
fn does_not_start(pod: &SeenPod, container: &str, waiting: &Waiting) -> PodState {
    let Waiting { reason, message } = waiting;
    let (pod, namespace) = (&pod.metadata.name, &pod.metadata.namespace);
    let what = match &**reason {
        "CreateContainerConfigError" => {
            "a ConfigMap, a Secret or a setting that it names cannot be used"
        }
        "CrashLoopBackOff" => "it starts and ends again and again",
        _ => "it cannot be started",
    };
    let remedy = match &**reason {
        "CrashLoopBackOff" => {
            format!("Read its log: kubectl logs -n {namespace} {pod} -c {container} --previous")
        }
        _ => format!("Read its events: kubectl describe pod -n {namespace} {pod}"),
    };
    PodState::NoPullFault(
        format!(
            "this is no pull fault: the image of container {container} is there, and {what} ({reason}: {message})"
        ),
        remedy,
    )
}

/// No container has begun.
fn beginning(pod: &SeenPod, events: &[SeenEvent]) -> PodState {
    let newest = events.iter().find(|event| {
        let reason = &*event.reason;
        let of_a_step = ["Pulling", "Pulled", "FailedCreatePodSandBox", "FailedMount"];
        of_a_step.contains(&reason) || reason.starts_with("FailedAttach")
    });
    let describe = format!(
        "Read its events: kubectl describe pod -n {} {}",
        pod.metadata.namespace, pod.metadata.name
    );
    match newest.map(|event| (&*event.reason, &*event.message)) {
        Some(("FailedCreatePodSandBox", message)) => match sandbox_image(message) {
            Some(image) => PodState::CannotPull(vec![Pull {
                container: String::new(),
                image: image.to_owned(),
                text: message.to_owned(),
                fault: fault::of(message),
            }]),
            None => PodState::NoPullFault(
                format!(
                    "nothing was pulled yet: the kubelet cannot create its sandbox ({message})"
                ),
                describe,
            ),
        },
        Some(("Pulled", _)) => PodState::NoPullFault(
            "its image is there, and its container has not started yet".to_owned(),
            describe,
        ),
        Some(("Pulling", _)) => PodState::Pulling(
            "the pull has begun and has not ended: the image is large, or something does not answer",
            all(pod),
        ),
        Some((_, message)) => PodState::NoPullFault(
            format!("nothing was pulled yet: it waits for a volume ({message})"),
            describe,
        ),
        None => PodState::Pulling(
            "the kubelet has not begun to pull and says nothing about it: its credential provider, which runs \
             first, may take up to 60 s each time",
            all(pod),
        ),
    }
}

/// The image of the sandbox, if that could not be pulled.
fn sandbox_image(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("failed to get sandbox image \"")?;
    rest.split_once('"').map(|(image, _)| image)
}

fn all(pod: &SeenPod) -> Vec<Pull> {
    let pulls = pod.containers().map(|container| Pull {
        container: container.name.clone(),
        image: container.image.clone(),
        text: String::new(),
        fault: None,
    });
    pulls.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::why::pod::EventList;

    fn state(node: Option<&str>, waiting: Value, events: Value) -> PodState {
        let pod = json!({
            "metadata": {"name": "web", "namespace": "default", "uid": "u"},
            "spec": {"nodeName": node, "containers": [{"name": "main", "image": "contoso.azurecr.io/a:v1"}]},
            "status": {
                "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}],
                "containerStatuses": [{"name": "main", "state": waiting}],
            },
        });
        let events: EventList = serde_json::from_value(json!({"items": events})).unwrap();
        PodState::of(
            &serde_json::from_value(pod).unwrap(),
            &events.newest_first(),
        )
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({"waiting": {"reason": reason, "message": message}})
    }

    fn event(reason: &str, message: &str, minute: u8) -> Value {
        json!({"reason": reason, "message": message, "lastTimestamp": format!("2026-02-20T12:{minute:02}:00Z"),
               "involvedObject": {"fieldPath": "spec.containers{main}"}})
    }

    #[test]
    fn a_pull_that_failed() {
        let text = "failed to pull and unpack image: contoso.azurecr.io/a:v1: not found";
        let told = event("Failed", &format!("Failed to pull image \"a\": {text}"), 1);
        for (reason, message, events) in [
            ("ErrImagePull", text, json!([])),
            (
                "ImagePullBackOff",
                "Back-off pulling image \"a\"",
                json!([told]),
            ),
        ] {
            let PodState::CannotPull(pulls) = state(Some("n"), waiting(reason, message), events)
            else {
                panic!("{reason}")
            };
            assert_eq!(pulls[0].fault.unwrap().runbook, "ImageNotFound");
        }
        let malformed = "illegal base64 data at input byte 0";
        let PodState::CannotPull(pulls) =
            state(Some("n"), waiting(malformed, malformed), json!([]))
        else {
            panic!("malformed")
        };
        assert_eq!(pulls[0].fault.unwrap().runbook, "PullSecretInvalid");
    }

    #[test]
    fn what_is_no_fault_of_a_pull() {
        let creating = || waiting("ContainerCreating", "");
        for (state, words) in [
            (
                state(
                    Some("n"),
                    waiting("CrashLoopBackOff", "back-off 5m0s"),
                    json!([]),
                ),
                "again and again (CrashLoopBackOff: back-off 5m0s)",
            ),
            (
                state(
                    Some("n"),
                    waiting("CreateContainerError", "mkdir"),
                    json!([]),
                ),
                "cannot be started",
            ),
            (
                state(Some("n"), json!({"running": {}}), json!([])),
                "no container waits",
            ),
            (
                state(
                    Some("n"),
                    creating(),
                    json!([event("FailedMount", "no such secret", 1)]),
                ),
                "waits for a volume (no such secret)",
            ),
            (
                state(
                    Some("n"),
                    creating(),
                    json!([event("FailedCreatePodSandBox", "no network", 1)]),
                ),
                "cannot create its sandbox",
            ),
        ] {
            let PodState::NoPullFault(what, _) = &state else {
                panic!("{state:?}")
            };
            assert!(what.contains(words), "{what}");
        }
        let state = state(None, json!({}), json!([]));
        assert!(matches!(state, PodState::NotScheduled(why) if why == "0/3 nodes are available"));
    }

    #[test]
    fn containers_that_wait_for_no_image() {
        let of = |pod: Value| PodState::of(&serde_json::from_value(pod).unwrap(), &[]);
        let evicted = of(json!({
            "metadata": {"name": "web", "namespace": "default", "uid": "u"},
            "spec": {"nodeName": "n", "containers": [{"name": "main"}]},
            "status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"},
        }));
        let with_init = |restart_policy: Value, running: &str| {
            of(json!({
                "metadata": {"name": "web", "namespace": "default", "uid": "u"},
                "spec": {
                    "nodeName": "n", "containers": [{"name": "main"}],
                    "initContainers": [{"name": "first", "restartPolicy": restart_policy}],
                },
                "status": {
                    "phase": "Pending",
                    "initContainerStatuses": [{"name": "first", "state": {running: {}}}],
                    "containerStatuses": [{"name": "main", "state": waiting("PodInitializing", "")}],
                },
            }))
        };
        for (state, words) in [
            (evicted, "(Failed: Evicted: low on memory)"),
            (
                with_init(Value::Null, "running"),
                "init container first runs",
            ),
        ] {
            let PodState::NoPullFault(what, _) = &state else {
                panic!("{state:?}")
            };
            assert!(what.contains(words), "{what}");
        }
        for state in [
            with_init(json!("Always"), "running"),
            with_init(Value::Null, "terminated"),
        ] {
            assert!(matches!(state, PodState::Pulling(..)), "{state:?}");
        }
    }

    #[test]
    fn before_a_pull_has_failed() {
        for (events, words) in [
            (json!([event("Scheduled", "", 1)]), "has not begun"),
            (
                json!([event("Pulling", "", 2), event("FailedMount", "", 1)]),
                "has begun and has not ended",
            ),
        ] {
            let state = state(Some("n"), waiting("ContainerCreating", ""), events);
            let PodState::Pulling(what, pulls) = &state else {
                panic!("{state:?}")
            };
            assert!(what.contains(words) && pulls.len() == 1, "{what}");
        }
        let sandbox = "failed to get sandbox image \"registry.example/pause:1\": dial tcp: lookup \
                       registry.example: no such host";
        let state = state(
            Some("n"),
            waiting("ContainerCreating", ""),
            json!([event("FailedCreatePodSandBox", sandbox, 1)]),
        );
        let PodState::CannotPull(pulls) = &state else {
            panic!("{state:?}")
        };
        assert_eq!(pulls[0].image, "registry.example/pause:1");
        assert_eq!(pulls[0].fault.unwrap().runbook, "NameNotFound");
    }
}
