//! Asks the cluster's nameserver for the addresses of the headless Service, again and again, and
//! reports what that means for the fleet. One packet for each address family, and TCP if the answer is
//! larger.
//!
//! A DNS message has room for about 4,000 IPv4 addresses. A nameserver that leaves some out says so
//! (CoreDNS and BIND set TC over TCP as well): then there are at least as many as it lists.

use std::{
    collections::{BTreeSet, HashSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use nix::ifaddrs::getifaddrs;
use regprobe_probes::{self as probes, HowToAsk, Nameserver, Origin, lookup};
use tokio::{sync::watch, time::sleep};

use super::{
    clock::Moment,
    cluster_dns::ClusterDns,
    fleet::{Census, Count, Fleet, Source},
    timetable::hash,
};
use crate::config;

/// For one question.
const LIMIT: Duration = Duration::from_secs(3);
/// The most for one view. Seven show all of 5,000 agents where each shows a random 4,000.
const QUESTIONS: usize = 8;
/// After this many questions without an answer, two minutes, the agent says that it assumes a size.
const PATIENCE: u32 = 12;

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
    let Some(service) = config.service else {
        return;
    };
    let address = ClusterDns::of_this_pod().place(&service, config.nameserver);
    let (service, nameserver) = match address {
        Ok((service, address)) => (service, nameserver(address)),
        Err(why) => {
            let assumed = census.fleet().size;
            tracing::warn!(%service, %why, assumed, "{NOT_COUNTED}");
            return;
        }
    };
    let mut unanswered = 0;
    loop {
        let lookup = lookup(&nameserver, &service, HowToAsk::within(LIMIT)).await;
        let answers = [&lookup.a, &lookup.aaaa].into_iter().flatten();
        match answers.max_by_key(|answer| answer.addresses.len()) {
            Some(answer) => {
                census.hear(Moment::now(), counted(answer, &own_addresses()));
                if unanswered >= PATIENCE {
                    tracing::info!(agents = census.fleet().size, "the fleet is counted");
                }
                unanswered = 0;
            }
            None => {
                census.miss();
                let why = lookup.fault().map(ToString::to_string);
                let (asked, Fleet { size, source, .. }) = (nameserver.address, census.fleet());
                unanswered += 1;
                match unanswered {
                    PATIENCE if source == Source::Assumed => {
                        tracing::warn!(%service, nameserver = %asked, why, assumed = size, "{NOT_COUNTED}");
                    }
                    _ => {
                        tracing::debug!(%service, nameserver = %asked, why, "fleet not counted");
                    }
                }
            }
        }
        report(&census);
        sleep(census.wait(Moment::now())).await;
    }
}

/// The agents that the nameserver lists now, in order and without this node's own addresses. Where an answer has no
/// room for all of them, others may list others: CoreDNS (`loadbalance`) shuffles before it cuts. So the question is
/// repeated until an answer brings nothing new.
///
/// # Errors
/// Why they are not known.
pub(crate) async fn others(config: &config::FleetConfig) -> Result<Others, String> {
    let Some(service) = &config.service else {
        return Err("fleet.service is not set, so no other agent is known".to_owned());
    };
    let mut addresses = BTreeSet::new();
    let mut is_cut = true;
    for _ in 0..QUESTIONS {
        let known = addresses.len();
        match answer(service, config.nameserver).await {
            Ok(answer) => {
                is_cut = answer.is_cut;
                addresses.extend(answer.addresses);
            }
            Err(why) if known == 0 => return Err(why),
            Err(_) => {}
        }
        if !is_cut || addresses.len() == known {
            break;
        }
    }
    for own in own_addresses() {
        addresses.remove(&own);
    }
    Ok(Others {
        addresses: addresses.into_iter().collect(),
        is_cut,
    })
}

/// An address of a Service, or of another host that the cluster's nameserver knows.
///
/// # Errors
/// Why there is none.
pub(crate) async fn address(
    host: &config::HostName,
    nameserver: Option<SocketAddr>,
) -> Result<IpAddr, String> {
    let answer = answer(host, nameserver).await?;
    let address = answer.addresses.first().copied();
    address.ok_or_else(|| format!("{host} has no address"))
}

/// What the cluster's nameserver says of a name, of the family with the most addresses.
async fn answer(
    name: &config::HostName,
    configured: Option<SocketAddr>,
) -> Result<probes::Answer, String> {
    let place = ClusterDns::of_this_pod().place(name, configured);
    let (name, address) = place.map_err(|why| format!("{name}: {why}"))?;
    let lookup = lookup(&nameserver(address), &name, HowToAsk::within(LIMIT)).await;
    let why = lookup.fault().map(ToString::to_string);
    let answers = [lookup.a, lookup.aaaa].into_iter().flatten();
    answers
        .max_by_key(|answer| answer.addresses.len())
        .ok_or_else(|| {
            let why = why.unwrap_or_else(|| "no addresses".to_owned());
            format!("nameserver {address} does not list {name}: {why}")
        })
}

/// The other agents.
#[derive(Debug)]
pub(crate) struct Others {
    pub addresses: Vec<IpAddr>,
    /// Whether there may be more.
    pub is_cut: bool,
}

/// What an assumed fleet means.
const NOT_COUNTED: &str = "the fleet cannot be counted, so a large one is assumed and requests are rare; set \
                           fleet.nameserver or fleet.size";

fn nameserver(address: SocketAddr) -> Arc<Nameserver> {
    Arc::new(Nameserver {
        address,
        name: None,
        origin: Origin::Config,
    })
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
    fn a_node_knows_its_own_addresses() {
        assert!(own_addresses().contains(&IpAddr::from([127, 0, 0, 1])));
    }
}
