//! Asks the cluster's nameserver for the addresses of the headless Service, again and again, and
//! reports what that means for the fleet. One packet for each address family, and TCP if the answer is
//! larger.
//!
//! A DNS message has room for about 4,000 IPv4 addresses. A nameserver that leaves some out says so
//! (CoreDNS and BIND set TC over TCP as well): then there are at least as many as it lists.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use nix::ifaddrs::getifaddrs;
use regprobe_probes::{self as probes, Nameserver, Origin, lookup};
use tokio::{sync::watch, time::sleep};

use super::{
    clock::Moment,
    fleet::{Census, Count, Fleet},
    timetable::hash,
};
use crate::config;

/// For one question.
const LIMIT: Duration = Duration::from_secs(3);
const DNS_PORT: u16 = 53;
/// The API server has the first address of the network of Services. kubeadm gives the cluster's
/// nameserver the tenth, and so do AKS, EKS and GKE by default.
const FROM_API_SERVER: u32 = 9;

/// Counts until it is dropped. It reports what is known before the first answer, and each change.
pub(super) async fn count(
    mut census: Census,
    config: config::FleetConfig,
    fleet: watch::Sender<Fleet>,
) {
    let report = |census: &Census| {
        let known = census.fleet();
        fleet.send_if_modified(|before| std::mem::replace(before, known) != known);
    };
    report(&census);
    let Some((service, nameserver)) = config.service.as_ref().zip(nameserver(&config)) else {
        return;
    };
    loop {
        let lookup = lookup(&nameserver, service.as_str(), LIMIT, u16::MAX).await;
        let answers = [&lookup.a, &lookup.aaaa].into_iter().flatten();
        match answers.max_by_key(|answer| answer.addresses.len()) {
            Some(answer) => census.hear(Moment::now(), counted(answer, &own_addresses())),
            None => {
                let why = lookup.fault().map(ToString::to_string);
                tracing::debug!(%service, nameserver = %nameserver.address, why, "fleet not counted");
                census.miss();
            }
        }
        report(&census);
        sleep(census.wait(Moment::now())).await;
    }
}

/// What the rules need of an answer.
fn counted(answer: &probes::Answer, own: &[IpAddr]) -> Count {
    let addresses: HashSet<_> = answer.addresses.iter().collect();
    let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
    let order = |address: &IpAddr| (hash(address), *address);
    let own = own.iter().find(|own| addresses.contains(own)).map(order);
    let before = |own| addresses.iter().filter(|other| order(other) < own).count();
    Count {
        agents: count(addresses.len()),
        rank: own.map(|own| count(before(own))),
        is_cut: answer.is_cut,
    }
}

/// The configured one, otherwise the one that clusters usually have.
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

/// The addresses of this node's, or pod's, interfaces.
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
