//! A node whose network goes down, and comes back or is replaced.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_lab::fakes::acr::Acr;
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::netns::{Cable, Namespace};
use regprobe_lab::pki::Pki;
use regprobe_lab::wait;
use tempfile::TempDir;

use super::Holdings;

const NODE: &str = "10.240.0.10/24";
const ROUTER: &str = "10.240.0.1/24";
const NAMESERVER: Ipv4Addr = Ipv4Addr::new(10, 240, 0, 1);
const LOGIN: Ipv4Addr = Ipv4Addr::new(10, 240, 1, 4);
const DATA: Ipv4Addr = Ipv4Addr::new(10, 240, 1, 5);
const VERDICT: (&str, [(&str, &str); 1]) = ("regprobe_registry_verdict", [("registry", "contoso")]);

pub(crate) fn goes_and_comes() -> Result<()> {
    let node = Node::new()?;
    let network = Network::new(&node)?;
    node.enter(|agent| {
        let before = Holdings::of(agent)?;
        for _ in 0..2 {
            network.cable.unplug()?;
            fails_for_want_of_a_route(agent)?;
            network.cable.plug_in()?;
            node.route()?;
            before.are_back(agent, &["contoso"])?;
        }
        Ok(())
    })
}

pub(crate) fn flaps() -> Result<()> {
    let node = Node::new()?;
    let network = Network::new(&node)?;
    node.enter(|agent| {
        let before = Holdings::of(agent)?;
        for flap in 0..100 {
            network.cable.unplug()?;
            wait::pause(Duration::from_millis(flap % 7 * 10));
            network.cable.plug_in()?;
            node.route()?;
            wait::pause(Duration::from_millis(flap % 11 * 10));
            agent.get("/-/healthy")?.expect_status(200)?;
        }
        before.are_back(agent, &["contoso"])
    })
}

/// The device itself is removed, with everything at its other end.
pub(crate) fn is_replaced() -> Result<()> {
    let node = Node::new()?;
    let network = Network::new(&node)?;
    let mut network = Some(network);
    node.enter(|agent| {
        let before = Holdings::of(agent)?;
        for _ in 0..2 {
            network = None;
            fails_for_want_of_a_route(agent)?;
            network = Some(Network::new(&node)?);
            before.are_back(agent, &["contoso"])?;
        }
        Ok(())
    })
}

fn fails_for_want_of_a_route(agent: &Agent) -> Result<()> {
    let (name, labels) = VERDICT;
    let failures = |agent: &Agent| -> Result<f64> {
        let reason = [("registry", "contoso"), ("reason", "unreachable")];
        Ok(agent
            .scrape()?
            .sum("regprobe_stage_failures_total", &reason))
    };
    let before = failures(agent)?;
    agent.until_value(name, &labels, 2.0)?;
    agent.until("tells why", |agent| {
        ensure!(failures(agent)? > before);
        Ok(())
    })?;
    agent.get("/-/healthy")?.expect_status(200)?;
    agent.get("/-/ready")?.expect_status(200)?;
    Ok(())
}

/// A node with an agent's configuration, and nothing at the other end of its cable yet.
struct Node {
    namespace: Namespace,
    folder: TempDir,
    pki: Pki,
}

impl Node {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = folder.path();
        let pki = Pki::new()?;
        pki.write_ca(at.join("ca.crt"))?;
        fs::write(at.join("resolv.conf"), format!("nameserver {NAMESERVER}\n"))?;
        let path = at.display();
        let config = format!(
            "registries: [{{server: contoso.azurecr.io, name: contoso, regions: [westeurope], private: true}}]\n\
             schedule: {{network_interval: 1s, request_interval: 1s, token_interval: 2s, timeout: 2s}}\n\
             node: {{resolv_conf: {path}/resolv.conf, hosts: {path}/hosts, certs_d: {path}/certs.d, containerd: 2.4}}\n\
             tls: {{ca_file: {path}/ca.crt}}\n"
        );
        fs::write(at.join("regprobe.yaml"), config)?;
        Ok(Self {
            namespace: Namespace::new("node")?,
            folder,
            pki,
        })
    }

    /// The kernel removes it with the link.
    fn route(&self) -> Result<()> {
        self.namespace.route("default", &NAMESERVER.to_string())
    }

    /// Starts an agent and waits until it finds no fault.
    fn enter(&self, run: impl FnOnce(&Agent) -> Result<()> + Send) -> Result<()> {
        self.namespace.enter(|| {
            let agent = Agent::ready(&self.folder.path().join("regprobe.yaml"), &[])?;
            run(&agent).with_context(|| agent.log().join("\n"))
        })
    }
}

/// The other end: a nameserver, and a registry with a private endpoint.
struct Network<'n> {
    cable: Cable<'n>,
    _namespace: Namespace,
    _dns: Dns,
    _contoso: Acr,
}

impl<'n> Network<'n> {
    fn new(node: &'n Node) -> Result<Self> {
        let namespace = Namespace::new("network")?;
        let cable = node.namespace.cable(NODE, &namespace, ROUTER)?;
        node.route()?;
        for address in [LOGIN, DATA] {
            namespace.address(&format!("{address}/32"))?;
        }
        let (dns, contoso) = namespace.enter(|| {
            let dns = Dns::start((NAMESERVER, 53))?;
            let names = dns.acr("contoso");
            let (login, data) = (names.login(), names.data("westeurope"));
            login.linked([LOGIN]);
            data.linked([DATA]);
            let contoso = Acr::at(login.host(), (LOGIN, 443))
                .data(data.host(), (DATA, 443))
                .tls(&node.pki)
                .start()?;
            drop((login, data));
            Ok((dns, contoso))
        })?;
        Ok(Self {
            cable,
            _namespace: namespace,
            _dns: dns,
            _contoso: contoso,
        })
    }
}
