//! Asks the cluster's nameserver for the addresses of the headless Service, over and over, and tells
//! what follows for the fleet. One packet for each address family; TCP where the answer is larger.
//!
//! A DNS message has room for about 4,000 IPv4 addresses; what a nameserver leaves out it says
//! (CoreDNS and BIND set TC over TCP as well), and the count is then the least that there are.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use nix::ifaddrs::getifaddrs;
use regprobe_probes::{self as probes, Nameserver, Origin, lookup};
use tokio::{sync::watch, time::sleep};

use super::{Answer, Census, Fleet, scattered};
use crate::{config, schedule::timetable::Moment};

/// For one question.
const LIMIT: Duration = Duration::from_secs(3);
const DNS_PORT: u16 = 53;
/// Somewhere beyond this node's own networks (RFC 5737).
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), DNS_PORT);
/// From the first address of the network of Services, which is that of the API server, to the tenth,
/// where kubeadm puts the cluster's nameserver, and AKS, EKS and GKE by default.
const FROM_API_SERVER: u32 = 9;

/// Counts until it is dropped. Where there is nobody to ask, what is known is told at once. `hash` is
/// that of the node, should it have no address.
pub(crate) async fn count(
    config: config::FleetConfig,
    hash: u64,
    fleet: watch::Sender<Option<Fleet>>,
) {
    let tell = |census: &Census| {
        fleet.send_replace(Some(census.fleet()));
    };
    let nameserver = nameserver(&config);
    let way = nameserver.as_ref().map_or(ANYWHERE, |to| to.address);
    let scattered = address_towards(way).map_or(hash, scattered);
    let mut census = Census::start(config.clone(), scattered, Moment::now());
    let whom = config.service.as_ref().zip(nameserver);
    let Some((service, nameserver)) = whom else {
        tell(&census);
        return;
    };
    loop {
        let lookup = lookup(&nameserver, service.as_str(), LIMIT, u16::MAX).await;
        let answers = [&lookup.a, &lookup.aaaa].into_iter().flatten();
        match answers.max_by_key(|answer| answer.addresses.len()) {
            Some(answer) => {
                census.hear(Moment::now(), counted(answer, &own_addresses()));
            }
            None => {
                let why = lookup.fault().map(ToString::to_string);
                tracing::debug!(%service, nameserver = %nameserver.address, why, "fleet not counted");
                census.miss();
            }
        }
        tell(&census);
        sleep(census.patience(Moment::now())).await;
    }
}

/// As far as it is of interest.
fn counted(answer: &probes::Answer, own: &[IpAddr]) -> Answer {
    let addresses: HashSet<_> = answer.addresses.iter().collect();
    let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
    let own = own.iter().find(|own| addresses.contains(own));
    let before = |own| {
        addresses
            .iter()
            .filter(move |other| comes_before(other, own))
    };
    Answer {
        count: count(addresses.len()),
        rank: own.map(|own| count(before(own).count())),
        is_cut: answer.is_cut,
    }
}

/// In the order of the places that nodes have which know of no other: to be counted moves them little.
fn comes_before(one: &IpAddr, other: &IpAddr) -> bool {
    (scattered(*one), one) < (scattered(*other), other)
}

/// The configured one, else the one that clusters usually have.
fn nameserver(config: &config::FleetConfig) -> Option<Arc<Nameserver>> {
    let usual = || usual_nameserver(&std::env::var("KUBERNETES_SERVICE_HOST").ok()?);
    let address = config.nameserver.or_else(usual)?;
    Some(Arc::new(Nameserver {
        address,
        name: None,
        origin: Origin::Config,
    }))
}

fn usual_nameserver(api_server: &str) -> Option<SocketAddr> {
    let address = match api_server.parse().ok()? {
        IpAddr::V4(first) => IpAddr::V4(u32::from(first).saturating_add(FROM_API_SERVER).into()),
        IpAddr::V6(first) => IpAddr::V6(
            u128::from(first)
                .saturating_add(FROM_API_SERVER.into())
                .into(),
        ),
    };
    Some((address, DNS_PORT).into())
}

/// Whence this node would ask `to`; no packet is sent.
fn address_towards(to: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(to).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback()).then_some(address)
}

/// What the interfaces of this node, or pod, have.
fn own_addresses() -> Vec<IpAddr> {
    let interfaces = getifaddrs().into_iter().flatten();
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    addresses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_nameserver_is_the_tenth_of_the_network() {
        for (api_server, expected) in [
            ("10.0.0.1", Some("10.0.0.10:53")),
            ("10.96.0.1", Some("10.96.0.10:53")),
            ("fd00:10::1", Some("[fd00:10::a]:53")),
            ("kubernetes", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(usual_nameserver(api_server), expected, "{api_server}");
        }
    }

    #[test]
    fn a_node_knows_its_own_addresses() {
        assert!(own_addresses().contains(&IpAddr::from([127, 0, 0, 1])));
    }
}
