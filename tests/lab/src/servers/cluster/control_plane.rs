//! etcd, the API server, the controllers and the scheduler.

use anyhow::{Context, Result};

use super::credentials::{FOLDER, kubeconfig};
use super::machine::Machine;
use super::program::Program;
use super::{API_SERVER, NODE_ADDRESS, SERVICES, START, expect_success, until};

const ETCD: &str = "http://127.0.0.1:2379";

/// What runs once in a cluster, until dropped.
pub(super) struct ControlPlane {
    scheduler: Program,
    controllers: Program,
    api_server: Option<Program>,
    etcd: Program,
}

impl ControlPlane {
    pub(super) fn start(machine: &Machine) -> Result<Self> {
        let mut etcd = machine.command("/usr/bin/etcd");
        etcd.args(["--data-dir=/var/lib/etcd", "--unsafe-no-fsync"])
            .arg(format!("--listen-client-urls={ETCD}"))
            .arg(format!("--advertise-client-urls={ETCD}"))
            .arg("--listen-peer-urls=http://127.0.0.1:2380");
        let etcd = Program::start(machine, "etcd", etcd)?;

        let api_server = Some(start_api_server(machine)?);

        let mut controllers = machine.command("kube-controller-manager");
        controllers
            .arg(format!(
                "--kubeconfig={}",
                kubeconfig("system:kube-controller-manager")
            ))
            .arg(format!("--root-ca-file={}", file("ca.crt")))
            .arg(format!(
                "--service-account-private-key-file={}",
                file("service-accounts.key")
            ))
            .args(["--use-service-account-credentials", "--leader-elect=false"]);
        let controllers = Program::start(machine, "kube-controller-manager", controllers)?;

        let mut scheduler = machine.command("kube-scheduler");
        scheduler
            .arg(format!(
                "--kubeconfig={}",
                kubeconfig("system:kube-scheduler")
            ))
            .arg("--leader-elect=false");
        let scheduler = Program::start(machine, "kube-scheduler", scheduler)?;
        Ok(Self {
            scheduler,
            controllers,
            api_server,
            etcd,
        })
    }

    pub(super) fn end_api_server(&mut self) {
        self.api_server = None;
    }

    /// Returns once it answers.
    pub(super) fn start_api_server(&mut self, machine: &Machine) -> Result<()> {
        self.api_server = Some(start_api_server(machine)?);
        Ok(())
    }

    pub(super) fn programs(&self) -> impl Iterator<Item = &Program> {
        [&self.scheduler, &self.controllers, &self.etcd]
            .into_iter()
            .chain(&self.api_server)
    }
}

fn start_api_server(machine: &Machine) -> Result<Program> {
    let mut api_server = machine.command("kube-apiserver");
    api_server.args(
        [
            ("etcd-servers", ETCD.to_owned()),
            ("advertise-address", NODE_ADDRESS.to_string()),
            ("secure-port", API_SERVER.port().to_string()),
            ("tls-cert-file", file("apiserver.crt")),
            ("tls-private-key-file", file("apiserver.key")),
            ("client-ca-file", file("ca.crt")),
            ("token-auth-file", file("tokens.csv")),
            (
                "service-account-issuer",
                "https://kubernetes.default.svc".to_owned(),
            ),
            ("service-account-key-file", file("service-accounts.crt")),
            (
                "service-account-signing-key-file",
                file("service-accounts.key"),
            ),
            ("service-cluster-ip-range", SERVICES.to_owned()),
            ("kubelet-certificate-authority", file("ca.crt")),
            ("kubelet-client-certificate", file("kubelet-client.crt")),
            ("kubelet-client-key", file("kubelet-client.key")),
            // The name of the node is in no DNS.
            ("kubelet-preferred-address-types", "InternalIP".to_owned()),
            // As real clusters have it.
            ("authorization-mode", "Node,RBAC".to_owned()),
            ("enable-admission-plugins", "NodeRestriction".to_owned()),
            // `kubectl debug --profile=sysadmin` asks for it.
            ("allow-privileged", "true".to_owned()),
        ]
        .map(|(flag, value)| format!("--{flag}={value}")),
    );
    let api_server = Program::start(machine, "kube-apiserver", api_server)?;

    // The controllers end if it does not answer within ten seconds of their start.
    let mut ready = machine.command("kubectl");
    ready
        .args(["get", "--raw=/readyz"])
        .env("KUBECONFIG", kubeconfig("admin"));
    until("the API server is ready", START, || {
        expect_success(&mut ready)
    })
    .with_context(|| api_server.log())?;
    Ok(api_server)
}

fn file(name: &str) -> String {
    format!("{FOLDER}/{name}")
}
