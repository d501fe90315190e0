//! The nameservers of a scene: BIND with the chains that Azure shows, and the lab's own nameserver
//! for what BIND cannot be brought to do.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Result, bail};

use super::places::{self, Place};
use crate::fakes::dns::{Dns, Fault, OverTcp};
use crate::fakes::private_link::Endpoint;
use crate::netns::Namespace;
use crate::scenario::{Names, Nameserver, NameserverIs};
use crate::servers::{Bind, BindBuilder, Dnsmasq};

const DNS_PORT: u16 = 53;
const TTL: u32 = 60;
/// Where the forwarder's own upstream is, on the network's loopback.
const UPSTREAM: Ipv4Addr = Ipv4Addr::new(127, 2, 0, 53);

/// Whoever answers at a nameserver's address, until dropped.
pub(super) enum Server {
    Bind {
        _server: Bind,
    },
    Lab(Dns),
    Forwarder {
        _server: Dnsmasq,
        _upstream: Dns,
    },
    /// A closed port, or a filter in front of it.
    Nobody,
}

/// Starts a nameserver in the network.
pub(super) fn start(network: &Namespace, wanted: &Nameserver) -> Result<Server> {
    network.enter(|| match wanted.is {
        NameserverIs::Healthy => bind(wanted, "none"),
        NameserverIs::Rotating => bind(wanted, "cyclic"),
        NameserverIs::Silent | NameserverIs::Closed => Ok(Server::Nobody),
        NameserverIs::Failing => {
            let bind = Bind::at((wanted.at, DNS_PORT));
            started(
                TOP_ZONES
                    .iter()
                    .fold(bind, |bind, zone| bind.broken_zone(zone)),
            )
        }
        NameserverIs::Refusing => started(Bind::at((wanted.at, DNS_PORT))),
        NameserverIs::Changing => lab(wanted),
        NameserverIs::Babbling => lab_with(wanted, Fault::Garbage),
        NameserverIs::VerySlow => lab_with(wanted, Fault::Delay(Duration::from_secs(4))),
        NameserverIs::SlowerThanClientsWait => {
            lab_with(wanted, Fault::Delay(Duration::from_secs(6)))
        }
        NameserverIs::SilentAboutAaaa => lab_with(wanted, Fault::SilentAboutAaaa),
        NameserverIs::Filtering => filtering(wanted),
        NameserverIs::Slow => lab_with(wanted, Fault::Delay(Duration::from_millis(1500))),
        NameserverIs::Truncating | NameserverIs::TruncatingWithoutTcp => {
            lab_with(wanted, Fault::Truncated(OverTcp::Answers))
        }
        NameserverIs::TruncatingAndHangsUp => lab_with(wanted, Fault::Truncated(OverTcp::Closes)),
        NameserverIs::TruncatingAndResets => lab_with(wanted, Fault::Truncated(OverTcp::Resets)),
        NameserverIs::SilentAboutData => lab_with(wanted, Fault::Silent),
        NameserverIs::Looping => lab_with(wanted, Fault::CnameLoop),
    })
}

impl Server {
    /// From now on it says what is wanted; BIND would have to be started again for that.
    pub(super) fn change(&self, wanted: &Nameserver) -> Result<()> {
        match self {
            Self::Lab(dns) => fill(dns, wanted),
            Self::Bind { .. } | Self::Forwarder { .. } | Self::Nobody => {
                bail!("only a changing nameserver changes")
            }
        }
        Ok(())
    }
}

/// A nameserver that knows everything, for others than the node.
pub(super) fn knowing(at: IpAddr, login: Names) -> Result<Dns> {
    let dns = Dns::start((at, DNS_PORT))?;
    fill(
        &dns,
        &Nameserver {
            at,
            login,
            ..Nameserver::healthy(at)
        },
    );
    Ok(dns)
}

/// BIND, with the chains of the lab's own nameserver.
fn bind(wanted: &Nameserver, order: &str) -> Result<Server> {
    let dns = Dns::draft();
    fill(&dns, wanted);
    let bind = Bind::at((wanted.at, DNS_PORT))
        .recursive()
        .rrset_order(order);
    let zones = dns.master_files();
    started(
        zones
            .iter()
            .fold(bind, |bind, (zone, records)| bind.zone(zone, records)),
    )
}

fn started(bind: BindBuilder) -> Result<Server> {
    Ok(Server::Bind {
        _server: bind.start()?,
    })
}

/// A forwarder in front of a healthy nameserver.
fn filtering(wanted: &Nameserver) -> Result<Server> {
    let upstream = Dns::start((UPSTREAM, DNS_PORT))?;
    fill(&upstream, wanted);
    let server = Dnsmasq::at((wanted.at, DNS_PORT))
        .forward_all(upstream.addr())
        .stopping_rebind()
        .without_cache()
        .start()?;
    Ok(Server::Forwarder {
        _server: server,
        _upstream: upstream,
    })
}

fn lab(wanted: &Nameserver) -> Result<Server> {
    let dns = if wanted.is == NameserverIs::TruncatingWithoutTcp {
        Dns::start_without_tcp((wanted.at, DNS_PORT))?
    } else {
        Dns::start((wanted.at, DNS_PORT))?
    };
    fill(&dns, wanted);
    Ok(Server::Lab(dns))
}

/// What BIND cannot be brought to do.
fn lab_with(wanted: &Nameserver, fault: Fault) -> Result<Server> {
    let server = lab(wanted)?;
    if let Server::Lab(dns) = &server {
        if wanted.is == NameserverIs::SilentAboutData {
            dns.break_name(places::DATA.host, fault);
        } else {
            dns.break_all(fault);
        }
    }
    Ok(server)
}

/// The top of what a nameserver holds: whatever it does not know below them is NXDOMAIN, as it is
/// for a resolver that asks the whole Internet.
const TOP_ZONES: [&str; 4] = ["io", "net", "com", "example"];

fn fill(dns: &Dns, wanted: &Nameserver) {
    for zone in TOP_ZONES {
        dns.zone(zone);
    }
    let registry = dns.acr("myregistry");
    let names = [
        (
            registry.login(),
            &wanted.login,
            &places::LOGIN,
            &places::PUBLIC_LOGIN,
        ),
        (
            registry.data("westeurope"),
            &wanted.data,
            &places::DATA,
            &places::PUBLIC_DATA,
        ),
        (
            registry.data("northeurope"),
            &wanted.north_data,
            &places::NORTH_DATA,
            &places::PUBLIC_DATA,
        ),
    ];
    also(dns, wanted);
    for (endpoint, names, private, public) in names {
        name(&endpoint, names, private, public);
    }
    for place in [
        &places::STORAGE,
        &places::MCR,
        &places::MIRROR,
        &places::TOKEN_SERVER,
        &places::PROXY,
        &places::PORTAL,
        &places::DOCKER_HUB,
    ] {
        if !wanted.lacks.iter().any(|host| host == place.host) {
            dns.address(place.host, [place.address()], TTL);
        }
    }
}

fn also(dns: &Dns, wanted: &Nameserver) {
    for (name, addresses) in &wanted.also {
        dns.address(name, addresses.iter().copied(), TTL);
    }
}

fn name(endpoint: &Endpoint<'_>, names: &Names, private: &Place, public: &Place) {
    match names {
        Names::Linked => endpoint.linked([private.address()]),
        Names::LinkedTo(addresses) => endpoint.linked(addresses.iter().copied()),
        Names::NotLinked => endpoint.unlinked([public.address()]),
        Names::Public => endpoint.public([public.address()]),
        Names::PublicAt(addresses) => endpoint.public(addresses.iter().copied()),
        Names::RecordMissing => endpoint.record_missing(),
        Names::Shadowed => endpoint.shadowed(),
        Names::AliasBroken => endpoint.alias_broken(),
        Names::NoAddress => endpoint.linked(<[IpAddr; 0]>::default()),
        Names::Unknown => endpoint.unknown(),
    }
}

impl Nameserver {
    /// A healthy one that knows all names.
    #[must_use]
    pub fn healthy(at: IpAddr) -> Self {
        Self {
            at,
            login: Names::Linked,
            data: Names::Linked,
            north_data: Names::Linked,
            is: NameserverIs::Healthy,
            lacks: Vec::new(),
            also: BTreeMap::new(),
        }
    }
}
