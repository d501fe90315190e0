//! `kubectl regprobe`: the view of the fleet through the user's own kubectl.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, ensure};
use regprobe_harness::need;
use regprobe_harness::program::REGPROBE;
use serde_json::{Value, json};

use super::summary;

/// The real kubectl, with an API server that knows as much as it asks for.
pub(super) fn shows_the_same() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = TcpListener::bind("127.0.0.1:0")?;
    let config = folder.path().join("kubeconfig");
    fs::write(
        &config,
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
             users: [{{name: a, user: {{}}}}]\nclusters: [{{name: a, cluster: {{server: \"http://{}\"}}}}]\n",
            server.local_addr()?
        ),
    )?;
    thread::spawn(move || {
        for client in server.incoming().flatten() {
            thread::spawn(move || api_server(client));
        }
    });
    let name = folder.path().join("kubectl-regprobe");
    symlink(&*REGPROBE, &name)?;
    let tools = need::tool("layer/kubectl");
    let plugin = |arguments: &[&str]| {
        let mut command = Command::new(&name);
        command.args(arguments).env("PATH", &tools);
        command
            .env("KUBECONFIG", &config)
            .env("HOME", folder.path());
        command.output()
    };
    let out = plugin(&[])?;
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
        "n-hostile  NO ANSWER",
        "n-gone  NO ANSWER",
        "1 node  OK",
    ] {
        ensure!(text.contains(line), "{line}: {text}");
    }
    let out = plugin(&["--output=json", "-n", "kube-system"])?;
    let view: Value = serde_json::from_slice(&out.stdout)?;
    ensure!(
        view["nodes_total"] == 4 && view["nodes_answered"] == 2,
        "{view}"
    );
    let out = plugin(&["-n", "../secrets"])?;
    ensure!(out.status.code() == Some(2) && out.stdout.is_empty());
    Ok(())
}

fn api_server(mut client: TcpStream) -> Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        request.extend(byte);
    }
    let request = String::from_utf8(request)?;
    let target = request.split(' ').nth(1).context("no target")?;
    let path = target.split('?').next().unwrap_or_default();
    let pod = |name: &str| {
        json!({
            "metadata": {"name": name, "namespace": "kube-system"},
            "spec": {"nodeName": format!("n-{name}"),
                     "containers": [{"ports": [{"name": "metrics", "containerPort": 9200}]}]},
        })
    };
    let pods = ["well", "ill", "gone", "hostile"].map(pod);
    let pods = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods});
    let mut ill = summary("n-ill");
    ill["ok"] = json!([]);
    ill["registries"] =
        json!([{"name": "contoso", "condition": "failing", "since": null, "findings": []}]);
    let proxied = |name: &str| {
        format!("/api/v1/namespaces/kube-system/pods/{name}:9200/proxy/api/v1/summary")
    };
    let (status, body) = match path {
        "/api" => ("200 OK", json!({"kind": "APIVersions", "versions": ["v1"]})),
        "/apis" => (
            "200 OK",
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": []}),
        ),
        "/api/v1" => (
            "200 OK",
            json!({"kind": "APIResourceList", "groupVersion": "v1", "resources":
                [{"name": "pods", "namespaced": true, "kind": "Pod", "verbs": ["get", "list"]}]}),
        ),
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
    let (body, kind) = (body.to_string(), "application/json");
    let length = body.len();
    Ok(client.write_all(
        format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
            .as_bytes(),
    )?)
}
