//! A Kubernetes cluster of one node: the real API server, controllers, scheduler, kubelet and containerd, built
//! by `tests/cluster/build`, on a machine of namespaces. It has no DNS and no proxy for Services but one rule
//! for the API server, and pulls from whatever its network has.

pub mod cgroups;
mod control_plane;
mod credentials;
mod machine;
mod node;
mod program;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use self::control_plane::ControlPlane;
pub use self::credentials::ADMIN_TOKEN;
use self::machine::Machine;
pub use self::node::{CREDENTIAL_PROVIDER_FOLDER, pause};
use self::program::Program;
use crate::netns::Namespace;
use crate::wait;

/// The node's name.
pub const NODE: &str = "node1";
/// Its address; everything of the cluster shares it.
pub const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 10);
/// The nameserver of pods; whoever makes a cluster may have one there.
pub const NAMESERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 53);
/// The API server.
pub const API_SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(NODE_ADDRESS), 6443);
/// kube-state-metrics, once it was started.
pub const KUBE_STATE_METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(NODE_ADDRESS), 8080);
/// kubelet's own metrics, over HTTPS.
pub const KUBELET: SocketAddr = SocketAddr::new(IpAddr::V4(NODE_ADDRESS), 10250);
/// The ranges of Services and pods, and the address of the Service `kubernetes`.
const SERVICES: &str = "10.96.0.0/16";
const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
const PODS: &str = "10.97.0.0/16";

/// Free memory below which kubelet evicts pods.
const ENOUGH_MEMORY: &str = "1Mi";
const NEVER_ENOUGH_MEMORY: &str = "99%";

/// A start takes a few seconds where nothing else computes.
const START: Duration = Duration::from_secs(180);

/// A running cluster; it ends when dropped.
pub struct Cluster {
    kubelet: Option<Program>,
    containerd: Option<Program>,
    control_plane: ControlPlane,
    kube_state_metrics: Option<Program>,
    machine: Machine,
}

/// The files of the node that its clients read.
pub struct NodeFiles<'a> {
    pub resolv_conf: &'a str,
    /// PEM certificates that the node trusts.
    pub bundle: &'a str,
    /// The program that kubelet asks for credentials of registries of Azure, and under which names and settings.
    pub credential_providers: Option<(&'a Path, &'a [CredentialProvider<'a>])>,
}

/// One of kubelet's credential providers.
pub struct CredentialProvider<'a> {
    pub name: &'a str,
    /// The patterns of images that it is asked for.
    pub images: &'a [&'a str],
    /// The path of its `azure.json`.
    pub settings: &'a str,
    pub environment: &'a [(&'a str, &'a str)],
}

impl Cluster {
    /// Starts one with the programs of a folder on a network, whose own address is [`NODE_ADDRESS`]; returns once
    /// its node is ready.
    pub fn start(network: &Namespace, programs: &Path, files: &NodeFiles<'_>) -> Result<Self> {
        let machine = Machine::start(network, programs)?;
        for (path, text) in [
            ("/etc/resolv.conf", files.resolv_conf),
            ("/etc/hosts", "127.0.0.1 localhost\n"),
            ("/etc/ssl/certs/ca-certificates.crt", files.bundle),
            ("/etc/passwd", "root:x:0:0::/:/bin/sh\n"),
            ("/etc/group", "root:x:0:\n"),
            ("/etc/os-release", "PRETTY_NAME=\"the lab\"\n"),
            ("/etc/containerd/certs.d/README", ""),
        ] {
            machine.write(path, text)?;
        }
        credentials::write(&machine)?;
        if let Some((program, providers)) = files.credential_providers {
            node::bring_credential_providers(&machine, program, providers)?;
        }
        serve_the_service(network)?;
        let containerd = node::start_containerd(&machine)?;
        let mut cluster = Self {
            kubelet: None,
            containerd: Some(containerd),
            control_plane: ControlPlane::start(&machine)?,
            kube_state_metrics: None,
            machine,
        };
        until("containerd answers", START, || {
            node::bring_sandbox(&cluster.machine)
        })?;
        cluster.start_kubelet(ENOUGH_MEMORY)?;
        cluster.until_node_is_ready()?;
        // The API server asks kubelet for logs, and kubelet asks who may.
        let granted = [
            "--clusterrole=system:kubelet-api-admin",
            "--user=kube-apiserver",
        ];
        cluster.kubectl(
            ["create", "clusterrolebinding", "kubelet-api"]
                .into_iter()
                .chain(granted),
        )?;
        Ok(cluster)
    }

    /// Waits until the API server says that the node is ready.
    pub fn until_node_is_ready(&self) -> Result<()> {
        let ready = [
            "wait",
            "--for=condition=Ready",
            "node/node1",
            "--timeout=5s",
        ];
        until("the node is ready", START, || self.kubectl(ready))
            .map(drop)
            .with_context(|| self.logs())
    }

    /// A program on the node.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.machine.command(program);
        command.env("KUBECONFIG", credentials::kubeconfig("admin"));
        command
    }

    /// What `kubectl` prints; it must succeed.
    pub fn kubectl<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
        expect_success(self.command("kubectl").args(arguments))
    }

    /// An object, or a list of them, of the API.
    pub fn get(&self, what: &str) -> Result<Value> {
        let get = ["get", "--output=json"];
        let said = self.kubectl(get.into_iter().chain(what.split_whitespace()))?;
        Ok(serde_json::from_str(&said)?)
    }

    /// Applies manifests.
    pub fn apply(&self, manifests: &str) -> Result<()> {
        self.machine.write("/var/tmp/manifests.yaml", manifests)?;
        self.kubectl(["apply", "--filename=/var/tmp/manifests.yaml"])
            .map(drop)
    }

    /// Brings an image into the node's containerd, as a node image that contains it has.
    pub fn import(&self, archive: &Path, flags: &[&str]) -> Result<()> {
        let archive = archive.to_str().context("a path that is not text")?;
        node::import(&self.machine, archive, flags)
    }

    /// Where a file of the node is outside of it; below `/etc`, `/run` or `/var`.
    #[must_use]
    pub fn file(&self, path: &str) -> PathBuf {
        self.machine.file(path)
    }

    /// Ends kubelet and containerd without a warning and starts them again.
    pub fn restart_node(&mut self) -> Result<()> {
        self.kubelet = None;
        self.containerd = None;
        self.containerd = Some(node::start_containerd(&self.machine)?);
        self.start_kubelet(ENOUGH_MEMORY)
    }

    /// Starts kubelet again, which from now on finds that the node is short of memory and evicts pods.
    pub fn run_out_of_memory(&mut self) -> Result<()> {
        self.kubelet = None;
        self.start_kubelet(NEVER_ENOUGH_MEMORY)
    }

    /// Again and again, as systemd does: it ends if containerd is not ready yet.
    fn start_kubelet(&mut self, memory: &str) -> Result<()> {
        until("kubelet answers", START, || {
            if self.kubelet.as_mut().is_none_or(Program::has_ended) {
                self.kubelet = Some(node::start_kubelet(&self.machine, memory)?);
            }
            let mut curl = self.machine.command("curl");
            expect_success(curl.args(["--silent", "--fail", node::KUBELET_HEALTH]))
        })
        .map(drop)
        .with_context(|| self.logs())
    }

    /// Ends the API server without a warning.
    pub fn end_api_server(&mut self) {
        self.control_plane.end_api_server();
    }

    /// Starts it again, and returns once it answers.
    pub fn start_api_server(&mut self) -> Result<()> {
        self.control_plane.start_api_server(&self.machine)
    }

    /// Starts kube-state-metrics at [`KUBE_STATE_METRICS`].
    pub fn start_kube_state_metrics(&mut self) -> Result<()> {
        let mut command = self.command("kube-state-metrics");
        command
            .arg(format!("--kubeconfig={}", credentials::kubeconfig("admin")))
            .arg(format!("--host={}", KUBE_STATE_METRICS.ip()))
            .arg(format!("--port={}", KUBE_STATE_METRICS.port()))
            .args(["--telemetry-host=127.0.0.1", "--telemetry-port=8081"])
            .arg("--resources=daemonsets,nodes,pods");
        let program = Program::start(&self.machine, "kube-state-metrics", command)?;
        self.kube_state_metrics = Some(program);
        Ok(())
    }

    /// What every program wrote last.
    #[must_use]
    pub fn logs(&self) -> String {
        let node = [&self.kubelet, &self.containerd, &self.kube_state_metrics];
        let programs = node
            .into_iter()
            .flatten()
            .chain(self.control_plane.programs());
        let logs = programs.map(|program| format!("== {}\n{}\n", program.name(), program.log()));
        logs.collect()
    }
}

/// Asks again and again, at a pace that leaves the processor to others.
pub fn until<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Result<T>) -> Result<T> {
    wait::until(what, limit, || {
        let asked = ready();
        if asked.is_err() {
            wait::pause(Duration::from_millis(250));
        }
        asked
    })
}

/// Packets for the Service `kubernetes` go to the API server, from the node and from pods.
fn serve_the_service(network: &Namespace) -> Result<()> {
    let rule = format!("ip daddr {SERVICE} tcp dport 443 dnat to {API_SERVER}");
    network.nft(&format!(
        "table ip services {{\n\
         chain node {{ type nat hook output priority -100; {rule}; }}\n\
         chain pods {{ type nat hook prerouting priority -100; {rule}; }}\n\
         }}\n"
    ))
}

/// What a program printed on its standard output; it must succeed.
fn expect_success(command: &mut Command) -> Result<String> {
    let out = command.stdin(Stdio::null()).output()?;
    ensure!(
        out.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(String::from_utf8(out.stdout)?)
}
