//! A laptop: the real kubectl, the binary as its plugin, and a server that stands for the API server.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use regprobe_harness::need;
use regprobe_harness::program::REGPROBE;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The real kubectl, with an API server that knows as much as it asks for.
pub(super) struct Laptop {
    folder: TempDir,
}

impl Laptop {
    /// The API server answers each connection so.
    pub(super) fn new(
        answer: impl Fn(TcpStream) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let server = TcpListener::bind("127.0.0.1:0")?;
        fs::write(
            folder.path().join("kubeconfig"),
            format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
                 users: [{{name: a, user: {{}}}}]\nclusters: [{{name: a, cluster: {{server: \"http://{}\"}}}}]\n",
                server.local_addr()?
            ),
        )?;
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for client in server.incoming().flatten() {
                let answer = answer.clone();
                thread::spawn(move || answer(client));
            }
        });
        symlink(&*REGPROBE, folder.path().join("kubectl-regprobe"))?;
        Ok(Self { folder })
    }

    pub(super) fn plugin(&self, arguments: &[&str]) -> Result<Output> {
        let folder = self.folder.path();
        let mut command = Command::new(folder.join("kubectl-regprobe"));
        command
            .args(arguments)
            .env("PATH", need::tool("layer/kubectl"))
            .env("KUBECONFIG", folder.join("kubeconfig"))
            .env("HOME", folder);
        Ok(command.output()?)
    }
}

/// What a client asks for.
pub(super) fn target(mut client: &TcpStream) -> Result<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        request.extend(byte);
    }
    let request = String::from_utf8(request)?;
    let target = request.split(' ').nth(1).context("no target")?;
    Ok(target.to_owned())
}

pub(super) fn reply(mut client: TcpStream, status: &str, body: &Value) -> Result<()> {
    let (body, kind) = (body.to_string(), "application/json");
    let length = body.len();
    Ok(client.write_all(
        format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
            .as_bytes(),
    )?)
}

/// Which kinds of objects there are, as kubectl asks before it asks for one.
pub(super) fn discovery(path: &str) -> Value {
    let resource = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "kind": kind, "namespaced": namespaced, "verbs": ["get", "list"]});
    match path {
        "/api" => json!({"kind": "APIVersions", "versions": ["v1"]}),
        "/apis" => {
            let group = |name: &str| {
                let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
                json!({"name": name, "versions": [version], "preferredVersion": version})
            };
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group("apps"), group("batch")]})
        }
        "/apis/apps/v1" => {
            json!({"kind": "APIResourceList", "groupVersion": "apps/v1", "resources": [
                resource("deployments", "Deployment", true),
                resource("replicasets", "ReplicaSet", true),
                resource("daemonsets", "DaemonSet", true),
            ]})
        }
        "/apis/batch/v1" => {
            json!({"kind": "APIResourceList", "groupVersion": "batch/v1", "resources": [
                resource("jobs", "Job", true),
                resource("cronjobs", "CronJob", true),
            ]})
        }
        _ => json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": [
            resource("pods", "Pod", true),
            resource("events", "Event", true),
            resource("nodes", "Node", false),
        ]}),
    }
}
