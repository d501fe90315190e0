//! A workload as typed and as `kubectl get --output=json` prints it, and which of its pods to look at. Pure.

use anyhow::bail;
use serde::Deserialize;

use super::{
    pod::{ObjectMetadata, SeenPod},
    state::PodState,
};
use crate::cluster::kubectl::expect_name;

/// As many pods as are asked about. Their kubectls take a few seconds.
const LOOKED_AT: usize = 16;

/// What `why` is asked about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    Pod(&'a str),
    Workload(&'static Kind, &'a str),
}

/// A kind of workload.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// As people write it.
    pub word: &'static str,
    /// What kubectl takes besides.
    others: [&'static str; 2],
    /// The same for kubectl, whatever else the cluster calls so.
    pub resource: &'static str,
    /// What it owns, which owns its pods; empty if it owns them itself.
    pub between: &'static str,
}

const fn kind(
    word: &'static str,
    others: [&'static str; 2],
    resource: &'static str,
    between: &'static str,
) -> Kind {
    Kind {
        word,
        others,
        resource,
        between,
    }
}

static KINDS: [Kind; 6] = [
    kind(
        "deployment",
        ["deployments", "deploy"],
        "deployments.apps",
        "replicasets.apps",
    ),
    kind("daemonset", ["daemonsets", "ds"], "daemonsets.apps", ""),
    kind(
        "statefulset",
        ["statefulsets", "sts"],
        "statefulsets.apps",
        "",
    ),
    kind("replicaset", ["replicasets", "rs"], "replicasets.apps", ""),
    kind("job", ["jobs", ""], "jobs.batch", ""),
    kind(
        "cronjob",
        ["cronjobs", "cj"],
        "cronjobs.batch",
        "jobs.batch",
    ),
];

impl<'a> Asked<'a> {
    /// Reads `NAME`, `pod/NAME` or `KIND/NAME`, each kind as kubectl takes and prints it.
    pub(super) fn parse(text: &'a str) -> anyhow::Result<Self> {
        let (typed, name) = text.split_once('/').unwrap_or(("pod", text));
        // Such as deployment.apps.
        let word = typed.split('.').next().unwrap_or_default();
        let word = word.to_ascii_lowercase();
        if ["pod", "pods", "po"].contains(&&*word) {
            expect_name(name, "a pod")?;
            return Ok(Self::Pod(name));
        }
        let is_it = |kind: &&Kind| kind.word == word || kind.others.contains(&&*word);
        let Some(kind) = KINDS.iter().find(is_it).filter(|_| !word.is_empty()) else {
            let [known @ .., last] = &KINDS;
            let known: Vec<_> = known.iter().map(|kind| kind.word).collect();
            bail!(
                "{typed:?} is no workload that regprobe knows; write POD or KIND/NAME, where KIND is {} or {}",
                known.join(", "),
                last.word
            );
        };
        expect_name(name, "a workload")?;
        Ok(Self::Workload(kind, name))
    }
}

/// A workload, or what is between it and its pods.
#[derive(Debug, Deserialize)]
pub(super) struct SeenWorkload {
    pub metadata: ObjectMetadata,
    #[serde(default)]
    spec: WorkloadSpec,
}

#[derive(Debug, Default, Deserialize)]
struct WorkloadSpec {
    replicas: Option<u64>,
    #[serde(default)]
    suspend: bool,
}

/// What `kubectl get` prints of several.
#[derive(Debug, Deserialize)]
pub(super) struct Several<T> {
    pub items: Vec<T>,
}

impl SeenWorkload {
    /// Why it may have no pods.
    pub(super) fn idle(&self) -> Option<&'static str> {
        match self.spec {
            WorkloadSpec { suspend: true, .. } => Some("it is suspended"),
            WorkloadSpec {
                replicas: Some(0), ..
            } => Some("it is scaled to 0"),
            _ => None,
        }
    }
}

impl ObjectMetadata {
    /// Whether one of these is its controller.
    pub(super) fn is_of(&self, owners: &[String]) -> bool {
        let mut controllers = self.owner_references.iter().filter(|one| one.controller);
        controllers.any(|one| owners.contains(&one.uid))
    }
}

/// The pods to look at, and how many more would be worth it: those that wait, first those whose pull has failed,
/// each time from as many nodes as possible.
pub(super) fn to_look_at(pods: Vec<SeenPod>) -> (Vec<SeenPod>, usize) {
    let mut waiting: Vec<((u8, usize), SeenPod)> = Vec::new();
    for pod in pods {
        let rank = match PodState::of(&pod, &[]) {
            PodState::CannotPull(_) => 0,
            PodState::Pulling(..) => 1,
            PodState::NotScheduled(_) => 2,
            PodState::NoPullFault(..) if pod.waiting().next().is_some() => 3,
            PodState::NoPullFault(..) => continue,
        };
        let beside = waiting.iter().filter(|((known, _), other)| {
            *known == rank && other.spec.node_name == pod.spec.node_name
        });
        waiting.push(((rank, beside.count()), pod));
    }
    let mut chosen = Vec::new();
    while chosen.len() < LOOKED_AT
        && let Some((_, pod)) = take_least(&mut waiting, |(place, _)| *place)
    {
        chosen.push(pod);
    }
    (chosen, waiting.len())
}

/// Takes the first of those with the least key.
pub(super) fn take_least<T, K: Ord>(from: &mut Vec<T>, key: impl Fn(&T) -> K) -> Option<T> {
    let place = (0..from.len()).min_by_key(|place| key(&from[*place]))?;
    Some(from.remove(place))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_kubectl_takes_and_prints() {
        for text in ["web", "pod/web", "po/web", "pods/web", "Pod/web"] {
            assert_eq!(Asked::parse(text).unwrap(), Asked::Pod("web"), "{text}");
        }
        for (text, word) in [
            ("deployment/web", "deployment"),
            ("deployment.apps/web", "deployment"),
            ("deployments.v1.apps/web", "deployment"),
            ("deploy/web", "deployment"),
            ("DaemonSet/web", "daemonset"),
            ("ds/web", "daemonset"),
            ("sts/web", "statefulset"),
            ("rs/web", "replicaset"),
            ("job/web", "job"),
            ("cronjob.batch/web", "cronjob"),
            ("cj/web", "cronjob"),
        ] {
            match Asked::parse(text).unwrap() {
                Asked::Workload(kind, "web") => assert_eq!(kind.word, word),
                other => panic!("{text}: {other:?}"),
            }
        }
        for text in [
            "service/web",
            "/web",
            "deployment/",
            "deployment/../web",
            "deployment/--all",
            "--all",
        ] {
            assert!(Asked::parse(text).is_err(), "{text}");
        }
        let error = Asked::parse("service/web").unwrap_err().to_string();
        assert!(error.ends_with("replicaset, job or cronjob"), "{error}");
    }

    fn pod(name: &str, node: Option<&str>, state: Value) -> SeenPod {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "shop", "uid": name, "ownerReferences": [
                {"uid": "of-web", "controller": true}, {"uid": "of-other"},
            ]},
            "spec": {"nodeName": node, "containers": [{"name": "main", "image": "contoso.azurecr.io/a:v1"}]},
            "status": {"containerStatuses": [{"name": "main", "state": state}]},
        }))
        .unwrap()
    }

    fn waits(reason: &str) -> Value {
        json!({"waiting": {"reason": reason, "message": "not found"}})
    }

    #[test]
    fn pods_whose_pull_failed_come_first_and_from_many_nodes() {
        let (running, failed) = (json!({"running": {}}), waits("ErrImagePull"));
        let pods = vec![
            pod("runs", Some("a"), running),
            pod("crashes", Some("a"), waits("CrashLoopBackOff")),
            pod("pending", None, json!({})),
            pod("creating", Some("a"), waits("ContainerCreating")),
            pod("fails-1", Some("a"), failed.clone()),
            pod("fails-2", Some("a"), failed.clone()),
            pod("fails-3", Some("b"), failed.clone()),
        ];
        let (pods, left_out) = to_look_at(pods);
        let names: Vec<_> = pods.iter().map(|pod| &*pod.metadata.name).collect();
        assert_eq!(
            names,
            [
                "fails-1", "fails-3", "fails-2", "creating", "pending", "crashes"
            ]
        );
        assert_eq!(left_out, 0);
        let many = (0..100).map(|number| pod(&number.to_string(), Some("a"), failed.clone()));
        let (pods, left_out) = to_look_at(many.collect());
        assert_eq!((pods.len(), left_out), (LOOKED_AT, 100 - LOOKED_AT));
    }

    #[test]
    fn only_a_controller_owns_a_pod() {
        let pod = pod("web", None, json!({}));
        let is_of = |uid: &str| pod.metadata.is_of(&[uid.to_owned()]);
        assert!(is_of("of-web") && !is_of("of-other") && !pod.metadata.is_of(&[]));
    }

    #[test]
    fn workloads_that_want_no_pods() {
        for (spec, idle) in [
            (json!({"replicas": 0}), Some("it is scaled to 0")),
            (json!({"suspend": true}), Some("it is suspended")),
            (json!({"replicas": 3}), None),
            (json!({}), None),
        ] {
            let workload: SeenWorkload = serde_json::from_value(json!({
                "metadata": {"name": "web", "namespace": "shop", "uid": "u"}, "spec": spec,
            }))
            .unwrap();
            assert_eq!(workload.idle(), idle);
        }
    }
}
