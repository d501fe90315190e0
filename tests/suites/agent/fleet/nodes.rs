//! Nodes as namespaces of their own on one network without an uplink, where `contoso` has a private endpoint. Some of
//! them ask a nameserver to which its private zone is not linked. Everything here runs in the network's namespace.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Result;
use regprobe_harness::agent::Agent;
use regprobe_harness::program::REGPROBE;
use regprobe_lab::fakes::acr::Acr;
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::fakes::private_link::Endpoint;
use regprobe_lab::netns::Namespace;
use regprobe_lab::pki::Pki;
use tempfile::TempDir;

const ROUTER: &str = "10.64.0.1";
const NAMESERVER: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 53);
pub(super) const UNLINKED: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 54);
/// Login server and data endpoint.
const PRIVATE: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 64, 1, 4), Ipv4Addr::new(10, 64, 1, 5)];
const PUBLIC: [Ipv4Addr; 2] = [
    Ipv4Addr::new(203, 0, 113, 10),
    Ipv4Addr::new(203, 0, 113, 11),
];
/// Of every agent.
const PORT: u16 = 9118;

/// The nodes and what they can reach.
pub(super) struct Nodes {
    namespaces: Vec<Namespace>,
    folder: TempDir,
    /// Knows the Services too.
    dns: Dns,
    _unlinked: Dns,
    _registries: [Acr; 2],
}

impl Nodes {
    /// This many nodes on this network, whose namespace is entered.
    pub(super) fn new(network: &Namespace, number: usize) -> Result<Self> {
        let servers = [NAMESERVER, UNLINKED].into_iter();
        for address in servers.chain(PRIVATE).chain(PUBLIC) {
            network.address(&format!("{address}/32"))?;
        }
        let switch = network.switch(&format!("{ROUTER}/16"))?;
        let node = |number| {
            let node = Namespace::new("node")?;
            switch.connect(&node, &format!("{}/16", place(number).ip()))?;
            node.route("default", ROUTER)?;
            Ok(node)
        };
        let (folder, pki) = (tempfile::tempdir()?, Pki::new()?);
        pki.write_ca(folder.path().join("ca.crt"))?;
        let (dns, unlinked) = (Dns::start((NAMESERVER, 53))?, Dns::start((UNLINKED, 53))?);
        dns.zone("cluster.local");
        for (endpoint, at) in names(&dns).iter().zip(PRIVATE) {
            endpoint.linked([at]);
        }
        for (endpoint, at) in names(&unlinked).iter().zip(PUBLIC) {
            endpoint.unlinked([at]);
        }
        let registries = [
            registry(&dns, PRIVATE, &pki)?,
            registry(&dns, PUBLIC, &pki)?,
        ];
        Ok(Self {
            namespaces: (0..number).map(node).collect::<Result<_>>()?,
            folder,
            dns,
            _unlinked: unlinked,
            _registries: registries,
        })
    }

    /// The nodes with these numbers are those of a headless Service.
    pub(super) fn serve(&self, service: &str, numbers: impl Iterator<Item = usize>) {
        self.dns
            .address(service, numbers.map(|number| place(number).ip()), 60);
    }

    /// A configuration for the agents of a Service.
    pub(super) fn config(&self, name: &str, service: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name).with_extension("yaml");
        let [login, data] = PRIVATE;
        let at = self.folder.path().display();
        fs::write(
            &path,
            format!(
                "registries: [{{server: contoso.azurecr.io, name: contoso, regions: [westeurope], private: [{login}, {data}]}}]\n\
                 schedule: {{network_interval: 60s, request_interval: 60s}}\n\
                 node: {{certs_d: {at}/certs.d, containerd: 2.4, proxy: none}}\n\
                 tls: {{ca_file: {at}/ca.crt}}\n\
                 fleet: {{size: 1, service: {service}, nameserver: \"{NAMESERVER}:53\", port: {PORT}}}\n"
            ),
        )?;
        Ok(path)
    }

    /// Starts the agent of a node that asks one of the nameservers.
    pub(super) fn agent(&self, number: usize, has_drift: bool, service: &str) -> Result<Agent> {
        let node = &self.namespaces[number];
        let nameserver = if has_drift { UNLINKED } else { NAMESERVER };
        node.etc("resolv.conf", &format!("nameserver {nameserver}\n"))?;
        node.etc("hosts", "127.0.0.1 localhost\n")?;
        let name = name(number);
        let mut command = node.command(&*REGPROBE);
        command.arg("run").env("NODE_NAME", &name);
        Agent::start_at(
            place(number),
            command,
            &self.config(&name, service)?,
            &[],
            Ok,
        )
    }

    /// Runs a function on a node, as [`Namespace::enter`].
    pub(super) fn on<T: Send>(
        &self,
        number: usize,
        run: impl FnOnce() -> Result<T> + Send,
    ) -> Result<T> {
        self.namespaces[number].enter(run)
    }
}

/// What a node is called.
pub(super) fn name(number: usize) -> String {
    format!("node-{number:02}")
}

/// Where its agent listens.
pub(super) fn place(number: usize) -> SocketAddr {
    let last = u8::try_from(number).unwrap_or(u8::MAX);
    SocketAddr::new(IpAddr::from([10, 64, 2, last]), PORT)
}

/// Of `contoso`: login server and data endpoint.
fn names(dns: &Dns) -> [Endpoint<'_>; 2] {
    let contoso = dns.acr("contoso");
    [contoso.login(), contoso.data("westeurope")]
}

fn registry(dns: &Dns, at: [Ipv4Addr; 2], pki: &Pki) -> Result<Acr> {
    let [login, data] = names(dns);
    Acr::at(login.host(), (at[0], 443))
        .data(data.host(), (at[1], 443))
        .tls(pki)
        .start()
}
