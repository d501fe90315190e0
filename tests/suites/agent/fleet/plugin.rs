//! `kubectl regprobe`: the view of the fleet through the user's own kubectl.

use std::net::TcpStream;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::laptop::{self, Laptop};
use super::summary;

pub(super) fn shows_the_same() -> Result<()> {
    let laptop = Laptop::new(api_server)?;
    let out = laptop.plugin(&[])?;
    let text = format!(
        "{}{}",
        String::from_utf8(out.stdout)?,
        String::from_utf8(out.stderr)?
    );
    ensure!(out.status.code() == Some(1), "{text}");
    ensure!(
        text.starts_with("FAILING  1 of 4 nodes cannot pull from contoso."),
        "{text}"
    );
    for line in [
        "n-ill  FAILING",
        "n-hostile  NO ANSWER  its answer is too large",
        "n-gone  NO ANSWER",
        "1 node  OK",
    ] {
        ensure!(text.contains(line), "{line}: {text}");
    }
    let out = laptop.plugin(&["--context=other"])?;
    let text = String::from_utf8(out.stderr)?;
    ensure!(
        out.status.code() == Some(2) && text.contains("specified context: other"),
        "{text}"
    );
    let out = laptop.plugin(&["--output=json", "-n", "kube-system", "--context=a"])?;
    let view: Value = serde_json::from_slice(&out.stdout)?;
    ensure!(
        view["nodes_total"] == 4 && view["nodes_answered"] == 2,
        "{view}"
    );
    let out = laptop.plugin(&["-n", "../secrets"])?;
    ensure!(out.status.code() == Some(2) && out.stdout.is_empty());
    Ok(())
}

/// Pods that cannot pull, pods that wait for something else, and pods that cannot be read.
pub(super) fn why() -> Result<()> {
    let laptop = Laptop::new(api_server)?;
    for (pod, status, words) in [
        (
            "drift",
            1,
            "CANNOT PULL shop/drift on n-ill cannot pull contoso.azurecr.io/a:v1: the zone is not linked. \
             do: Link it. kubelet: Back-off pulling image \"contoso.azurecr.io/a:v1\": ErrImagePull: dial tcp \
             203.0.113.10:443: i/o timeout more: regprobe explain PrivateLinkZoneNotLinked",
        ),
        (
            "drift-markup",
            1,
            "kubelet: \\u{1b}[2Jfailed: dial tcp 203.0.113.10:443: i/o timeout",
        ),
        (
            "denied",
            1,
            "cannot pull other.example/a:v1: the registry wants credentials, and the node had none for it.",
        ),
        (
            "denied",
            1,
            "The agent on n-ill does not watch other.example. 'kubectl regprobe check other.example --node=n-ill'",
        ),
        (
            "denied",
            1,
            "The kubelet cannot get pull secrets of the pod: team.",
        ),
        (
            "alone",
            1,
            "does not know none.example.; No agent of regprobe runs on n-bare.",
        ),
        (
            "crash",
            0,
            "NO PULL FAULT shop/crash: this is no pull fault: the image of container main is there",
        ),
        (
            "pending",
            2,
            "NOT SCHEDULED shop/pending is on no node yet, so nothing was pulled: 0/3 nodes are available.",
        ),
        (
            "creating",
            2,
            "PULLING shop/creating: the kubelet has not begun to pull",
        ),
    ] {
        expect_why(&laptop, pod, status, words)?;
    }
    let out = laptop.plugin(&["why", "drift", "--namespace=shop", "--output=json"])?;
    let document: Value = serde_json::from_slice(&out.stdout)?;
    let image = &document["images"][0];
    ensure!(
        document["condition"] == "cannot_pull"
            && image["registry"] == "contoso.azurecr.io"
            && image["according_to"] == "agent"
            && image["runbook"] == "PrivateLinkZoneNotLinked",
        "{document:#}"
    );
    for arguments in [
        ["why", "absent", "--namespace=shop"],
        ["why", "../secrets", "--namespace=shop"],
        ["why", "drift", "--namespace=--all"],
    ] {
        let out = laptop.plugin(&arguments)?;
        ensure!(
            out.status.code() == Some(2) && out.stdout.is_empty(),
            "{out:?}"
        );
    }
    Ok(())
}

/// Workloads whose pods cannot pull, and those of which there is nothing to say.
pub(super) fn why_of_a_workload() -> Result<()> {
    let laptop = Laptop::new(api_server)?;
    for (workload, status, words) in [
        (
            "deployment/web",
            1,
            "CANNOT PULL 3 of 4 pods of deployment shop/web cannot pull. 2 pods on 1 node: shop/drift on n-ill cannot \
             pull contoso.azurecr.io/a:v1: the zone is not linked.; 1 pod on 1 node: shop/denied on n-ill; \
             do: Link it.",
        ),
        ("deployments.apps/web", 1, "3 of 4 pods"),
        (
            "cj/nightly",
            1,
            "1 of 1 pods of cronjob shop/nightly cannot pull.",
        ),
        (
            "ds/none",
            2,
            "NO PODS daemonset shop/none has no pods, so nothing is pulled",
        ),
        (
            "job/once",
            0,
            "NO PULL FAULT No pod of job shop/once has a fault of a pull (1 in all).",
        ),
        (
            "service/web",
            2,
            "\"service\" is no workload that regprobe knows",
        ),
        (
            "deployment/hidden",
            2,
            "cannot read the deployment: Error from server (Forbidden): deployments.apps \"hidden\" is forbidden",
        ),
    ] {
        expect_why(&laptop, workload, status, words)?;
    }
    let out = laptop.plugin(&["why", "deploy/web", "--namespace=shop", "--output=json"])?;
    let document: Value = serde_json::from_slice(&out.stdout)?;
    let cause = &document["causes"][0];
    ensure!(
        document["schema"] == "regprobe-why-workload/v1"
            && cause["pods"] == 2
            && cause["example"]["images"][0]["runbook"] == "PrivateLinkZoneNotLinked",
        "{document:#}"
    );
    Ok(())
}

/// Asks for the cause, which must be told in these words, in parts that a semicolon separates.
fn expect_why(laptop: &Laptop, asked: &str, status: i32, words: &str) -> Result<()> {
    let out = laptop.plugin(&["why", asked, "-n", "shop"])?;
    let said = String::from_utf8(out.stdout)? + &String::from_utf8(out.stderr)?;
    let said: Vec<_> = said.split_whitespace().collect();
    let said = said.join(" ");
    let mut parts = words.split("; ");
    ensure!(
        parts.all(|part| said.contains(part)) && out.status.code() == Some(status),
        "{asked}: {words}\nnot in {said}"
    );
    Ok(())
}

/// A pod of the namespace `shop`.
fn pod(name: &str) -> Option<Value> {
    let dial = "dial tcp 203.0.113.10:443: i/o timeout";
    let back_off =
        format!("Back-off pulling image \"contoso.azurecr.io/a:v1\": ErrImagePull: {dial}");
    let markup = format!("\u{1b}[2Jfailed: {dial}");
    let (node, image, reason, message) = match name {
        "drift" => (
            Some("n-ill"),
            "contoso.azurecr.io/a:v1",
            "ImagePullBackOff",
            &*back_off,
        ),
        "drift-markup" => (
            Some("n-ill"),
            "contoso.azurecr.io/a:v1",
            "ErrImagePull",
            &*markup,
        ),
        "denied" => (
            Some("n-ill"),
            "other.example/a:v1",
            "ErrImagePull",
            "failed to fetch anonymous token: unexpected status: 401 Unauthorized",
        ),
        "alone" => (
            Some("n-bare"),
            "none.example/a:v1",
            "ErrImagePull",
            "dial tcp: lookup none.example on 10.0.0.10:53: no such host",
        ),
        "crash" => (
            Some("n-ill"),
            "contoso.azurecr.io/a:v1",
            "CrashLoopBackOff",
            "back-off 5m0s",
        ),
        "creating" => (
            Some("n-well"),
            "contoso.azurecr.io/a:v1",
            "ContainerCreating",
            "",
        ),
        "pending" => (None, "contoso.azurecr.io/a:v1", "", ""),
        _ => return None,
    };
    let statuses =
        json!([{"name": "main", "state": {"waiting": {"reason": reason, "message": message}}}]);
    Some(json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-of-{name}")},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": image}]},
        "status": {
            "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available."}],
            "containerStatuses": if node.is_some() { statuses } else { json!([]) },
        },
    }))
}

/// A workload of the namespace `shop`, what is between it and its pods, or its pods.
fn workload(path: &str) -> Option<Value> {
    let version = |kind: &str| match kind {
        "PodList" => "v1",
        kind if kind.contains("Job") => "batch/v1",
        _ => "apps/v1",
    };
    let of = |kind: &str, name: &str, owner: &str| {
        json!({
            "kind": kind, "apiVersion": version(kind),
            "metadata": {
                "name": name, "namespace": "shop", "uid": format!("uid-of-{name}"),
                "ownerReferences": [{"uid": format!("uid-of-{owner}"), "controller": true}],
            },
        })
    };
    let list = |kind: &str, items: Vec<Value>| json!({"kind": kind, "apiVersion": version(kind), "metadata": {}, "items": items});
    let owned = |name: &str, owner: &str| {
        let mut pod = pod(name)?;
        pod["metadata"]["ownerReferences"] =
            of("", "", owner)["metadata"]["ownerReferences"].take();
        Some(pod)
    };
    Some(match path {
        "/apis/apps/v1/namespaces/shop/deployments/web" => of("Deployment", "web", "nobody"),
        "/apis/apps/v1/namespaces/shop/daemonsets/none" => of("DaemonSet", "none", "nobody"),
        "/apis/batch/v1/namespaces/shop/jobs/once" => of("Job", "once", "nobody"),
        "/apis/batch/v1/namespaces/shop/cronjobs/nightly" => of("CronJob", "nightly", "nobody"),
        "/apis/apps/v1/namespaces/shop/replicasets" => list(
            "ReplicaSetList",
            vec![
                of("ReplicaSet", "web-old", "web"),
                of("ReplicaSet", "web-new", "web"),
                of("ReplicaSet", "other", "another"),
            ],
        ),
        "/apis/batch/v1/namespaces/shop/jobs" => list(
            "JobList",
            vec![
                of("Job", "nightly-1", "nightly"),
                of("Job", "once", "nobody"),
            ],
        ),
        "/api/v1/namespaces/shop/pods" => {
            let pods = [
                ("denied", "web-old"),
                ("drift", "web-new"),
                ("drift-markup", "web-new"),
                ("crash", "web-new"),
                ("alone", "nightly-1"),
                ("pending", "other"),
                ("crash", "once"),
            ];
            list(
                "PodList",
                pods.into_iter()
                    .map(|(name, owner)| owned(name, owner))
                    .collect::<Option<_>>()?,
            )
        }
        _ => return None,
    })
}

/// The status of the agent on `n-ill`.
fn status() -> Value {
    json!({
        "schema": "regprobe/v1", "node": "n-ill", "version": "9.9.9", "at": "2026-02-20T12:00:00Z",
        "registries": [{
            "name": "contoso", "server": "contoso.azurecr.io", "condition": "failing",
            "findings": [{
                "code": "PrivateLinkZoneNotLinked", "severity": "critical", "endpoint": "contoso.azurecr.io:443",
                "stage": "resolve", "since": "2026-02-20T12:00:00Z", "message": "the zone is not linked",
                "remedy": "Link it.",
            }],
        }],
    })
}

fn api_server(client: TcpStream) -> Result<()> {
    let target = &*laptop::target(&client)?;
    let path = target.split('?').next().unwrap_or_default();
    let agent_pod = |name: &str| {
        json!({
            "metadata": {"name": name, "namespace": "kube-system"},
            "spec": {"nodeName": format!("n-{name}"),
                     "containers": [{"ports": [{"name": "metrics", "containerPort": 9200}]}]},
        })
    };
    let pods = ["well", "ill", "gone", "hostile"].map(agent_pod);
    let pods = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods});
    let mut ill = summary("n-ill");
    ill["ok"] = json!([]);
    ill["registries"] =
        json!([{"name": "contoso", "condition": "failing", "since": null, "findings": []}]);
    let proxied = |name: &str| {
        format!("/api/v1/namespaces/kube-system/pods/{name}:9200/proxy/api/v1/summary")
    };
    let of_ill =
        json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [agent_pod("ill")]});
    let none = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": []});
    let denied = target.contains("uid-of-denied");
    let events = match denied {
        true => json!([{
            "kind": "Event", "apiVersion": "v1", "metadata": {"name": "e"},
            "reason": "FailedToRetrieveImagePullSecret", "lastTimestamp": "2026-02-20T12:00:00Z",
            "message": "Unable to retrieve some image pull secrets (team); attempting to pull may not succeed.",
        }]),
        false => json!([]),
    };
    let of_node = |node: &str| target.contains(&format!("fieldSelector=spec.nodeName%3D{node}"));
    let asked = path
        .strip_prefix("/api/v1/namespaces/shop/pods/")
        .and_then(pod)
        .or_else(|| workload(path));
    let (status, body) = match path {
        "/api" | "/apis" | "/api/v1" | "/apis/apps/v1" | "/apis/batch/v1" => {
            ("200 OK", laptop::discovery(path))
        }
        "/apis/apps/v1/namespaces/shop/deployments/hidden" => (
            "403 Forbidden",
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "reason": "Forbidden",
                   "message": "deployments.apps \"hidden\" is forbidden: User \"a\" cannot get it"}),
        ),
        _ if asked.is_some() => ("200 OK", asked.unwrap_or_default()),
        "/api/v1/namespaces/shop/events" => (
            "200 OK",
            json!({"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": events}),
        ),
        "/api/v1/pods" if of_node("n-ill") => ("200 OK", of_ill),
        "/api/v1/pods" if target.contains("fieldSelector=") => ("200 OK", none),
        "/api/v1/namespaces/kube-system/pods/ill:9200/proxy/api/v1/status" => ("200 OK", status()),
        "/api/v1/pods" | "/api/v1/namespaces/kube-system/pods"
            if target.contains("labelSelector=app.kubernetes.io%2Fname%3Dregprobe") =>
        {
            ("200 OK", pods)
        }
        path if path == proxied("well") => ("200 OK", summary("n-well")),
        path if path == proxied("ill") => ("200 OK", ill),
        path if path == proxied("hostile") => ("200 OK", json!("x".repeat(1 << 20))),
        _ => (
            "503 Service Unavailable",
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 503,
                   "message": "error trying to reach service", "reason": "ServiceUnavailable"}),
        ),
    };
    laptop::reply(client, status, &body)
}
