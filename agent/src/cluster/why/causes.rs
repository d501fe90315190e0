//! The answer of `regprobe why` for a workload: each cause once, with the pods that have it. Pure. Field names are
//! contract.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::{answer::WhyPod, workload::take_least};

const SCHEMA: &str = "regprobe-why-workload/v1";
/// Causes that are shown.
const SHOWN: usize = 5;
/// The worst first.
const CONDITIONS: [&str; 4] = ["cannot_pull", "pulling", "not_scheduled", "no_pull_fault"];

/// What is known of a workload.
pub(super) struct WorkloadFacts {
    /// With its kind, as in `deployment shop/web`.
    pub called: String,
    /// Why it may have no pods.
    pub idle: Option<&'static str>,
    pub pods: usize,
    pub answers: Vec<WhyPod>,
    /// Pods that were not looked at, though it might be worth it.
    pub left_out: usize,
}

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct WhyWorkload {
    schema: &'static str,
    at: Timestamp,
    workload: String,
    /// That of the worst cause, or `no_pods`.
    pub condition: &'static str,
    /// The one thing to know.
    pub sentence: String,
    pods_total: usize,
    pods_looked_at: usize,
    /// The worst first, then by how many pods have it.
    pub causes: Vec<WhyCause>,
    pub notes: Vec<String>,
}

/// What some pods have in common.
#[derive(Debug, Serialize)]
pub(super) struct WhyCause {
    pub pods: usize,
    pub nodes: usize,
    /// One of them.
    pub example: WhyPod,
    #[serde(skip)]
    on: BTreeSet<String>,
}

impl WhyWorkload {
    pub(super) fn of(facts: WorkloadFacts, at: Timestamp) -> Self {
        let WorkloadFacts {
            called,
            idle,
            pods,
            answers,
            left_out,
        } = facts;
        let looked_at = answers.len();
        let mut causes = causes(answers);
        let condition = match causes.first() {
            Some(worst) => worst.example.condition,
            None if pods == 0 => "no_pods",
            None => "no_pull_fault",
        };
        let alike = causes.iter();
        let alike = alike.filter(|cause| cause.example.condition == condition);
        let alike: usize = alike.map(|cause| cause.pods).sum();
        let at_least = if left_out > 0 { "At least " } else { "" };
        let some = format!("{at_least}{alike} of {pods} pods of {called}");
        let verb = |one, more| if alike == 1 { one } else { more };
        let sentence = match condition {
            "no_pods" => {
                let why =
                    idle.unwrap_or("nothing created one: 'kubectl describe' shows its events");
                format!("{called} has no pods, so nothing is pulled: {why}.")
            }
            "cannot_pull" => format!("{some} cannot pull."),
            "pulling" => format!("{some} {} not ended a pull.", verb("has", "have")),
            "not_scheduled" => format!("{some} {} on no node yet.", verb("is", "are")),
            _ => format!("No pod of {called} has a fault of a pull ({pods} in all)."),
        };
        let mut notes = Vec::new();
        if left_out > 0 {
            notes.push(format!(
                "{left_out} more pods wait and were not looked at, so there may be more causes."
            ));
        }
        let hidden = causes.len().saturating_sub(SHOWN);
        if hidden > 0 {
            notes.push(format!("There are {hidden} more causes, of fewer pods."));
        }
        causes.truncate(SHOWN);
        Self {
            schema: SCHEMA,
            at,
            workload: called,
            condition,
            sentence,
            pods_total: pods,
            pods_looked_at: looked_at,
            causes,
            notes,
        }
    }
}

fn causes(answers: Vec<WhyPod>) -> Vec<WhyCause> {
    let mut causes: Vec<WhyCause> = Vec::new();
    for answer in answers {
        let mut known = causes.iter();
        let place = known.position(|known| known.example.cause() == answer.cause());
        let on = answer.node.clone();
        let place = place.unwrap_or_else(|| {
            causes.push(WhyCause {
                pods: 0,
                nodes: 0,
                example: answer,
                on: BTreeSet::new(),
            });
            causes.len() - 1
        });
        let cause = &mut causes[place];
        cause.pods += 1;
        cause.on.extend(on);
        cause.nodes = cause.on.len();
    }
    let rank = |condition| CONDITIONS.iter().position(|known| *known == condition);
    let place = |cause: &WhyCause| (rank(cause.example.condition), usize::MAX - cause.pods);
    std::iter::from_fn(|| take_least(&mut causes, place)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        cluster::why::{answer::PodFacts, text::text_of_workload},
        out::screen::Screen,
    };

    fn answer(name: &str, node: Option<&str>, reason: &str, message: &str) -> WhyPod {
        let facts = PodFacts {
            pod: serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": "shop", "uid": name},
                "spec": {"nodeName": node, "containers": [{"name": "main", "image": "contoso.azurecr.io/a:v1"}]},
                "status": {
                    "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available."}],
                    "containerStatuses": [
                        {"name": "main", "state": {"waiting": {"reason": reason, "message": message}}}]},
            }))
            .unwrap(),
            events: Vec::new(),
            node: None,
            agent: Err("No agent of regprobe runs there.".to_owned()),
            missing: Vec::new(),
        };
        WhyPod::of(&facts, Timestamp::UNIX_EPOCH)
    }

    fn why(pods: usize, answers: Vec<WhyPod>, left_out: usize) -> WhyWorkload {
        let facts = WorkloadFacts {
            called: "deployment shop/web".to_owned(),
            idle: None,
            pods,
            answers,
            left_out,
        };
        WhyWorkload::of(facts, Timestamp::UNIX_EPOCH)
    }

    const DIAL: &str = "dial tcp 203.0.113.10:443: i/o timeout";
    const OTHER: &str = "dial tcp 203.0.113.11:443: i/o timeout";
    const DENIED: &str = "failed to fetch anonymous token: unexpected status: 401 Unauthorized";

    #[test]
    fn each_cause_once_the_most_frequent_first() {
        let answers = vec![
            answer("web-1", Some("a"), "CrashLoopBackOff", "back-off web-1"),
            answer("web-2", Some("a"), "ErrImagePull", DENIED),
            answer("web-3", Some("a"), "ErrImagePull", DIAL),
            answer("web-4", Some("b"), "ImagePullBackOff", OTHER),
            answer("web-5", Some("b"), "ErrImagePull", DIAL),
            answer("web-6", Some("b"), "CrashLoopBackOff", "back-off web-6"),
        ];
        let why = why(20, answers, 0);
        assert_eq!(why.condition, "cannot_pull");
        assert_eq!(
            why.sentence,
            "4 of 20 pods of deployment shop/web cannot pull."
        );
        let causes = why.causes.iter();
        let causes: Vec<_> = causes
            .map(|cause| (cause.pods, cause.nodes, &*cause.example.pod))
            .collect();
        assert_eq!(causes, [(3, 2, "web-3"), (1, 1, "web-2"), (2, 2, "web-1")]);
        let text = text_of_workload(
            &why,
            Screen {
                width: 500,
                colour: false,
            },
        );
        for line in [
            "CANNOT PULL  4 of 20 pods",
            "  3 pods on 2 nodes: shop/web-3 on a cannot pull contoso.azurecr.io/a:v1: ",
            "  1 pod on 1 node: shop/web-2 on a cannot pull",
            "  2 pods on 2 nodes: shop/web-1: this is no pull fault",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn what_is_left_out_is_said() {
        let fails = |number: usize| {
            let image = format!("a text of the future, {number}");
            let mut answer = answer("web", Some("a"), "ErrImagePull", &image);
            answer.images[0].image = image;
            answer
        };
        let why = why(500, (0..7).map(fails).collect(), 400);
        assert_eq!(
            why.sentence,
            "At least 7 of 500 pods of deployment shop/web cannot pull."
        );
        assert_eq!(why.causes.len(), SHOWN);
        assert!(why.notes[0].starts_with("400 more pods wait"), "{why:#?}");
        assert!(why.notes[1].contains("2 more causes"), "{why:#?}");
    }

    #[test]
    fn no_pod_that_fails() {
        let creating = || answer("web", Some("a"), "ContainerCreating", "");
        for (pods, answers, sentence) in [
            (
                0,
                vec![],
                "deployment shop/web has no pods, so nothing is pulled: nothing created",
            ),
            (
                3,
                vec![],
                "No pod of deployment shop/web has a fault of a pull (3 in all).",
            ),
            (
                3,
                vec![answer("web", Some("a"), "CrashLoopBackOff", "")],
                "No pod of deployment shop/web has a fault of a pull (3 in all).",
            ),
            (
                3,
                vec![creating()],
                "1 of 3 pods of deployment shop/web has not ended a pull.",
            ),
            (
                3,
                vec![creating(), creating()],
                "2 of 3 pods of deployment shop/web have not ended a pull.",
            ),
            (
                3,
                vec![answer("web", None, "", "")],
                "1 of 3 pods of deployment shop/web is on no node yet.",
            ),
        ] {
            let why = why(pods, answers, 0);
            assert!(why.sentence.starts_with(sentence), "{why:#?}");
        }
    }
}
