//! The world of the fault lab: a node, and everything else at the far end of its one cable, each a
//! network namespace. A world is made once and set for one scene after another; nothing of a scene
//! survives into the next but what both have in common.

mod endpoints;
mod nameservers;
pub mod places;
mod proxy;
mod running;
mod scene;

use std::fs;
use std::net::IpAddr;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use self::endpoints::{Endpoints, LabPki};
pub use self::running::{LISTENS_AT, Running};
pub use self::scene::{Checked, STAGE_TIMEOUT, Scene};
use crate::fakes::metadata::{self, Metadata};
use crate::netns::{Direction, Namespace};
use crate::scenario::{
    MetadataService, Nameserver, NameserverIs, NodePackets, Packets, Scenario, Setting,
};

/// Whoever serves in a scene, until dropped.
struct Servers {
    _endpoints: [Endpoints; 2],
    _proxy: Option<proxy::Server>,
    _metadata: Option<Metadata>,
    /// Certificates that the node trusts beside the authority of the world.
    trusted: String,
}

/// A node and its network.
pub struct World {
    node: Namespace,
    network: Namespace,
    pki: LabPki,
    folder: TempDir,
    nameservers: Mutex<Vec<(Nameserver, nameservers::Server)>>,
    /// How many scenes there have been.
    scenes: u32,
}

impl World {
    /// A world with nobody to pull from.
    pub fn new() -> Result<Self> {
        let node = Namespace::new("node")?;
        let network = Namespace::new("network")?;
        node.cable(places::NODE, &network, places::ROUTER)?;
        node.cable(places::NODE_V6, &network, places::ROUTER_V6)?;
        for address in places::addresses() {
            let length = if address.is_ipv4() { 32 } else { 128 };
            network.address(&format!("{address}/{length}"))?;
        }
        // Hosts report every closed port, without a limit on the number of messages.
        network.enter(|| Ok(fs::write("/proc/sys/net/ipv4/icmp_ratemask", "0")?))?;
        Ok(Self {
            node,
            network,
            pki: LabPki::new()?,
            folder: tempfile::tempdir()?,
            nameservers: Mutex::default(),
            scenes: 0,
        })
    }

    /// Sets the world for a scenario. The scene before is over by then: it borrowed the world.
    pub fn set<'w>(&'w mut self, scenario: &'w Scenario) -> Result<Scene<'w>> {
        self.scenes += 1;
        Scene::new(self, scenario)
    }

    /// Has the network do what a setting says. The servers of the setting before are gone by then.
    fn arrange(&self, setting: &Setting) -> Result<Servers> {
        self.network.clear_filters()?;
        self.node.clear_filters()?;
        self.routes(setting)?;
        self.serve_names(&wanted_nameservers(setting))?;
        let endpoints = self
            .network
            .enter(|| endpoints::open(&self.pki, setting))
            .context("failed to open the endpoints")?;
        let on_the_node = self
            .node
            .enter(|| endpoints::open_on_the_node(&self.pki, setting))
            .context("failed to open what is on the node")?;
        let proxy = setting
            .proxy
            .map(|is| self.network.enter(|| proxy::start(is)))
            .transpose()
            .context("failed to start the proxy")?;
        let metadata = self
            .serve_metadata(setting.metadata.as_ref())
            .context("failed to start the metadata service")?;
        self.filter(setting)?;
        Ok(Servers {
            trusted: [&endpoints, &on_the_node]
                .map(|opened| &*opened.trusted)
                .concat(),
            _endpoints: [endpoints, on_the_node],
            _proxy: proxy,
            _metadata: metadata,
        })
    }

    fn routes(&self, setting: &Setting) -> Result<()> {
        let route = |family, here: bool, router: &str| {
            let (router, _) = router.split_once('/').unwrap_or((router, ""));
            let default = if here {
                vec![family, "route", "replace", "default", "via", router]
            } else {
                // There may be none to flush.
                vec![family, "route", "flush", "default"]
            };
            run(self.node.command("/usr/sbin/ip").args(default))
        };
        for family in ["-4", "-6"] {
            let flush = [family, "route", "flush", "type", "prohibit"];
            run(self.node.command("/usr/sbin/ip").args(flush))?;
        }
        route("-4", !setting.no_default_route, places::ROUTER)?;
        route("-6", setting.node_ipv6, places::ROUTER_V6)
    }

    /// The node alone has a metadata service. Where it has none, what is sent there is lost in the network.
    fn serve_metadata(&self, setting: Option<&MetadataService>) -> Result<Option<Metadata>> {
        let address = |change| {
            let mut ip = self.node.command("/usr/sbin/ip");
            let address = format!("{}/32", metadata::ADDRESS.ip());
            ip.args(["address", change, &address, "dev", "lo"]);
            ip
        };
        // It may not be there.
        address("delete").output()?;
        let Some(setting) = setting else {
            return Ok(None);
        };
        run(&mut address("add"))?;
        if setting.closed {
            return Ok(None);
        }
        let service = self.node.enter(|| Metadata::start(metadata::ADDRESS))?;
        service
            .identities(setting.identities.iter().map(String::as_str))
            .tenant(&setting.tenant)
            .answer(endpoints::answer(&setting.answers));
        Ok(Some(service))
    }

    /// A nameserver that was there before as well stays as it is.
    fn serve_names(&self, wanted: &[Nameserver]) -> Result<()> {
        let mut servers = self
            .nameservers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        servers.retain(|(served, _)| wanted.contains(served));
        for nameserver in wanted {
            if servers.iter().all(|(served, _)| served != nameserver) {
                let place = match nameserver.at.is_loopback() {
                    true => &self.node,
                    false => &self.network,
                };
                let server = nameservers::start(place, nameserver)
                    .with_context(|| format!("failed to start {}", nameserver.at))?;
                servers.push((nameserver.clone(), server));
            }
        }
        Ok(())
    }

    fn filter(&self, setting: &Setting) -> Result<()> {
        let filter = |rule: &str| self.network.filter(Direction::In, rule);
        for nameserver in wanted_nameservers(setting) {
            if nameserver.is == NameserverIs::Silent {
                filter(&format!("{} drop", to(nameserver.at)))?;
            }
        }
        for (target, packets) in &setting.packets {
            for address in &target.0 {
                let where_lost = match packets {
                    Packets::DroppedWhenLargeOnTheWayBack => &self.node,
                    _ => &self.network,
                };
                where_lost.filter(Direction::In, &rule(*address, *packets))?;
            }
        }
        for (target, packets) in &setting.node_packets {
            for address in &target.0 {
                self.refuse(*address, *packets)?;
            }
        }
        Ok(())
    }

    /// Has the node refuse to send to an address.
    fn refuse(&self, address: IpAddr, packets: NodePackets) -> Result<()> {
        match packets {
            NodePackets::Dropped => {
                let rule = format!("{} daddr {address} drop", family(address));
                self.node.filter(Direction::Out, &rule)
            }
            NodePackets::Prohibited => {
                let address = address.to_string();
                let route = ["route", "add", "prohibit", &address];
                run(self.node.command("/usr/sbin/ip").args(route))
            }
        }
    }
}

/// The nameservers of a setting; the one healthy one if it does not name any.
fn wanted_nameservers(setting: &Setting) -> Vec<Nameserver> {
    if !setting.nameservers.is_empty() {
        return setting.nameservers.clone();
    }
    vec![Nameserver::healthy(places::NAMESERVERS[0])]
}

/// Of more than a thousand bytes.
const LARGE: &str = "meta length > 1000";

fn rule(address: IpAddr, packets: Packets) -> String {
    let to = to(address);
    let icmp = if address.is_ipv4() { "icmp" } else { "icmpv6" };
    match packets {
        Packets::Dropped => format!("{to} drop"),
        Packets::DroppedWhenLarge => format!("{to} {LARGE} drop"),
        Packets::DroppedWhenLargeOnTheWayBack => {
            format!("{} saddr {address} {LARGE} drop", family(address))
        }
        Packets::Refused => format!("{to} meta l4proto tcp reject with tcp reset"),
        Packets::Unreachable if address.is_ipv6() => {
            format!("{to} reject with icmpv6 addr-unreachable")
        }
        Packets::Unreachable => format!("{to} reject with icmp host-unreachable"),
        Packets::Prohibited => format!("{to} reject with {icmp} admin-prohibited"),
    }
}

/// Packets for an address that come over the cable; the proxy's are not among them.
fn to(address: IpAddr) -> String {
    let family = family(address);
    format!("iifname != \"lo\" {family} daddr {address}")
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip6" }
}

fn run(command: &mut Command) -> Result<()> {
    let out = command.output()?;
    ensure!(
        out.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}
