//! Pods that cannot pull, with what the agent on their node says.

use serde_json::{Value, json};

use super::*;
use crate::cluster::why::pod::EventList;

const DIAL: &str = "failed to resolve reference \"contoso.azurecr.io/a:v1\": failed to do request: Head \
                    \"https://contoso.azurecr.io/v2/a/manifests/v1\": dial tcp 10.240.1.4:443: i/o timeout";
const TOKEN: &str = "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to \
                     https://contoso.azurecr.io/oauth2/token?scope=s: 401 Unauthorized";

fn answer(waiting: &str, agent: Result<Value, &str>) -> WhyPod {
    let pod = json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "u"},
        "spec": {"nodeName": "n1", "containers": [{"name": "main", "image": "contoso.azurecr.io/a:v1"}]},
        "status": {"containerStatuses": [{"name": "main", "state": {"waiting": match waiting {
            "" => json!({"reason": "ContainerCreating"}),
            message => json!({"reason": "ErrImagePull", "message": message}),
        }}}]},
    });
    let events: EventList = serde_json::from_value(json!({"items": [
        {"reason": "FailedToRetrieveImagePullSecret",
         "message": "Unable to retrieve some image pull secrets (team); attempting to pull the image may not succeed."},
    ]}))
    .unwrap();
    let node = json!({"status": {
        "conditions": [{"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."}],
        "nodeInfo": {"operatingSystem": "linux", "architecture": "arm64"}}});
    let facts = PodFacts {
        pod: serde_json::from_value(pod).unwrap(),
        events: events.newest_first(),
        node: Some(serde_json::from_value(node).unwrap()),
        agent: agent
            .map(|status| HeardStatus::read(status.to_string().as_bytes()).unwrap())
            .map_err(str::to_owned),
        missing: Vec::new(),
    };
    WhyPod::of(&facts, Timestamp::UNIX_EPOCH)
}

fn agent(server: &str, findings: Value) -> Result<Value, &'static str> {
    let condition = if findings == json!([]) {
        "ok"
    } else {
        "failing"
    };
    Ok(json!({
        "schema": "regprobe/v1", "node": "n1", "version": "1.0.0", "at": "2026-02-20T12:00:00Z",
        "registries": [{"name": "contoso", "server": server, "condition": condition, "findings": findings}],
    }))
}

fn finding(code: &str, severity: &str, stage: &str) -> Value {
    json!({"code": code, "severity": severity, "stage": stage, "endpoint": "contoso.azurecr.io:443",
           "since": "2026-02-20T12:00:00Z", "message": format!("{code} it is"), "remedy": "Link the zone."})
}

#[test]
fn the_agent_knows_more_than_the_kubelet() {
    let drift = finding("PrivateLinkZoneNotLinked", "critical", "resolve");
    let why = answer(DIAL, agent("contoso.azurecr.io", json!([drift])));
    assert_eq!(
        why.sentence,
        "default/web on n1 cannot pull contoso.azurecr.io/a:v1: PrivateLinkZoneNotLinked it is."
    );
    let image = &why.images[0];
    assert_eq!(image.runbook.as_deref(), Some("PrivateLinkZoneNotLinked"));
    assert_eq!(
        (&*image.remedy, image.according_to),
        ("Link the zone.", "agent")
    );
    // Also while the pull has not ended.
    let why = answer("", agent("contoso.azurecr.io", json!([drift])));
    assert_eq!((why.condition, why.images.len()), ("cannot_pull", 1));
}

#[test]
fn a_later_stage_a_warning_or_another_host_is_not_the_cause() {
    let mut other = finding("NameNotFound", "critical", "resolve");
    other["endpoint"] = json!("contoso.westeurope.data.azurecr.io:443");
    for finding in [
        finding("RegistryFirewall", "critical", "token"),
        finding("NameserverDown", "warning", "resolve"),
        other,
    ] {
        let why = answer(DIAL, agent("contoso.azurecr.io", json!([finding])));
        let image = &why.images[0];
        assert_eq!(image.runbook.as_deref(), Some("PrivateEndpointTimeout"));
        assert_eq!(image.according_to, "kubelet");
        let code = finding["code"].as_str().unwrap();
        assert!(why.notes.iter().any(|note| note.contains(code)), "{why:#?}");
    }
}

#[test]
fn the_pods_own_secret_is_its_own() {
    let denied = finding("CredentialsRequired", "critical", "token");
    let rejected = TOKEN.replace("anonymous", "oauth");
    for (said, according_to) in [(TOKEN, "agent"), (&*rejected, "kubelet")] {
        let why = answer(said, agent("contoso.azurecr.io", json!([denied])));
        assert_eq!(why.images[0].according_to, according_to, "{said}");
    }
}

#[test]
fn what_is_beside_the_cause() {
    let ok = || agent("contoso.azurecr.io", json!([]));
    for (said, agent, note) in [
        (DIAL, ok(), "The fault may be over"),
        (TOKEN, ok(), "nothing is wrong with the way to it"),
        (TOKEN, ok(), "cannot get pull secrets of the pod: team."),
        (TOKEN, ok(), "Node n1 is not ready"),
        (TOKEN, Err("No agent runs on n1."), "No agent runs on n1."),
        (
            TOKEN,
            agent("fabrikam.azurecr.io", json!([])),
            "'kubectl regprobe check contoso.azurecr.io --node=n1' probes it",
        ),
    ] {
        let why = answer(said, agent);
        assert!(
            why.notes.iter().any(|one| one.contains(note)),
            "{note}: {why:#?}"
        );
    }
    let why = answer("no match for platform in manifest: not found", ok());
    assert!(
        why.images[0].cause.ends_with("platform, linux/arm64"),
        "{why:#?}"
    );
    let why = answer("a text of the future", ok());
    assert_eq!(why.images[0].said.as_deref(), Some("a text of the future"));
    let why = answer("", ok());
    assert_eq!((why.condition, why.images.len()), ("pulling", 0));
}
