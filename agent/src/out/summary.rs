//! The node in less than 1 KB, `/api/v1/summary`: what the agents of a fleet tell each other. Field names are
//! contract. What does not fit is counted. A reader takes it for what a stranger says: see [`read`].

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use jiff::Timestamp;
use nix::ifaddrs::getifaddrs;
use regprobe_probes::{Nameserver, Origin, Severity};
use serde::{Deserialize, Serialize};
use serde_json::to_string;

use crate::{
    out::status::{HeardFinding, HeardRegistry, HeardStatus},
    printable::printable_json,
    state::{RegistryState, Round, Snapshot, condition::Condition},
};

const SCHEMA: &str = "regprobe-summary/v1";
/// The most bytes of a document, and what is kept for the brackets and the counts of what did not fit.
pub(crate) const MAX_BYTES: usize = 1024;
const RESERVED: usize = 96;
/// No text that the node's settings choose takes more.
const MAX_TEXT: usize = 128;
/// More nameservers than this no client asks.
const NAMESERVERS: usize = 3;

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    schema: String,
    pub node: String,
    pub version: String,
    pub at: Timestamp,
    /// The node's own.
    pub nameservers: Vec<String>,
    /// The network of the address from which it reaches registries.
    pub subnet: Option<String>,
    pub proxy: Option<String>,
    /// Those that are not ok, the worst first.
    pub registries: Vec<RegistrySummary>,
    /// The names of those that are.
    pub ok: Vec<String>,
    /// How many registries of each condition are not listed.
    pub left_out: BTreeMap<String, u32>,
}

/// A registry that is not ok.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RegistrySummary {
    pub name: String,
    pub condition: String,
    /// Since when; null before the first round.
    pub since: Option<Timestamp>,
    /// The worst first, without those that only inform.
    pub findings: Vec<FindingSummary>,
}

/// A finding. Its texts are absent where they do not fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FindingSummary {
    pub code: String,
    pub severity: String,
    /// Its host and port.
    pub endpoint: String,
    /// An agent always says it; metrics do not.
    pub since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Summary {
    /// The summary of a snapshot of the node with this name.
    pub(crate) fn of(snapshot: &Snapshot, node: &str) -> Self {
        let files = snapshot.node.as_deref();
        let files = files.and_then(|source| source.read().ok());
        let nameservers = files.iter().flat_map(|node| &node.nameservers);
        let own = nameservers.filter(|nameserver| nameserver.origin == Origin::Node);
        let proxy = files.as_ref().and_then(|node| node.proxies.shown("https"));
        let mut summary = Self {
            schema: SCHEMA.to_owned(),
            node: cut(node),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at: whole_second(Timestamp::now()),
            nameservers: own.take(NAMESERVERS).map(|one| address(one)).collect(),
            subnet: source(snapshot).and_then(subnet),
            proxy: proxy.as_deref().map(cut),
            registries: Vec::new(),
            ok: Vec::new(),
            left_out: BTreeMap::new(),
        };
        summary.add(snapshot);
        summary
    }

    /// What a status document of another agent says, without the node's settings.
    pub(crate) fn of_heard(status: HeardStatus) -> Self {
        let (ok, others): (Vec<_>, Vec<_>) = status
            .registries
            .into_iter()
            .partition(|registry| Condition::named(&registry.condition) == Some(Condition::Ok));
        Self {
            registries: others.into_iter().map(RegistrySummary::of_heard).collect(),
            ok: ok.into_iter().map(|registry| registry.name).collect(),
            ..Self::empty(status.node, status.version, status.at)
        }
    }

    /// What metrics say of a node: no texts, no times and no settings.
    pub(crate) fn of_metrics(
        node: &str,
        version: String,
        conditions: BTreeMap<String, Condition>,
        mut findings: BTreeMap<String, Vec<FindingSummary>>,
    ) -> Self {
        let (ok, others): (Vec<_>, Vec<_>) = conditions
            .into_iter()
            .partition(|(_, condition)| *condition == Condition::Ok);
        let registry = |(name, condition): (String, Condition)| RegistrySummary {
            condition: condition.as_str().to_owned(),
            since: None,
            findings: findings.remove(&name).unwrap_or_default(),
            name,
        };
        Self {
            registries: others.into_iter().map(registry).collect(),
            ok: ok.into_iter().map(|(name, _)| name).collect(),
            ..Self::empty(node.to_owned(), version, Timestamp::now())
        }
    }

    /// Without settings of the node and without registries.
    fn empty(node: String, version: String, at: Timestamp) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            node,
            version,
            at,
            nameservers: Vec::new(),
            subnet: None,
            proxy: None,
            registries: Vec::new(),
            ok: Vec::new(),
            left_out: BTreeMap::new(),
        }
    }

    /// Every registry that it lists.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = (&str, Condition)> {
        let ok = self.ok.iter().map(|name| (&**name, Condition::Ok));
        let others = self.registries.iter().map(|registry| {
            let condition = Condition::named(&registry.condition);
            (&*registry.name, condition.unwrap_or(Condition::Unknown))
        });
        ok.chain(others)
    }

    /// The worst of its registries; a condition that this version does not know is unknown.
    pub(crate) fn condition(&self) -> Condition {
        let left_out = self.left_out.keys();
        let left_out = left_out.filter_map(|name| Condition::named(name));
        let listed = self.conditions().map(|(_, condition)| condition);
        listed.chain(left_out).max().unwrap_or(Condition::Unknown)
    }

    /// Adds as much about the registries as there is room for: first which are not ok, then why, then the
    /// names of the others, then the findings' texts.
    fn add(&mut self, snapshot: &Snapshot) {
        let mut room = Room(MAX_BYTES.saturating_sub(length(self) + RESERVED));
        let mut states: Vec<_> = snapshot.registries.iter().collect();
        states.sort_by_key(|state| std::cmp::Reverse(Condition::of(state)));
        let (not_ok, ok): (Vec<_>, Vec<_>) = states
            .into_iter()
            .partition(|state| Condition::of(state) != Condition::Ok);
        let mut listed = Vec::new();
        for state in not_ok {
            let registry = RegistrySummary::of(state);
            match room.takes(length(&registry)) {
                true => {
                    self.registries.push(registry);
                    listed.push(state);
                }
                false => self.leave_out(Condition::of(state)),
            }
        }
        for (registry, state) in self.registries.iter_mut().zip(&listed) {
            let findings = state
                .round
                .iter()
                .flat_map(|round| FindingSummary::of_all(round));
            for finding in findings {
                if room.takes(length(&finding)) {
                    registry.findings.push(finding);
                }
            }
        }
        for state in ok {
            match room.takes(length(&&*state.planned.name)) {
                true => self.ok.push(state.planned.name.to_string()),
                false => self.leave_out(Condition::Ok),
            }
        }
        for (registry, state) in self.registries.iter_mut().zip(listed) {
            let said = state
                .round
                .iter()
                .flat_map(|round| &round.diagnosis.findings);
            let said: Vec<_> = said.collect();
            for finding in &mut registry.findings {
                let of_it = said.iter().find(|one| {
                    one.code.as_str() == finding.code
                        && one.endpoint.to_string() == finding.endpoint
                });
                let Some(of_it) = of_it else { continue };
                if room.takes(length(&of_it.message) + ",\"message\":".len()) {
                    finding.message = Some(of_it.message.clone());
                    if room.takes(length(&of_it.remedy) + ",\"remedy\":".len()) {
                        finding.remedy = Some(of_it.remedy.clone());
                    }
                }
            }
        }
    }

    fn leave_out(&mut self, condition: Condition) {
        *self
            .left_out
            .entry(condition.as_str().to_owned())
            .or_default() += 1;
    }
}

/// Reads what another agent sent; `None` if it is no summary. Fields of later versions are ignored, and so is
/// what no agent sends.
pub(crate) fn read(document: &[u8]) -> Option<Summary> {
    let summary: Summary = serde_json::from_slice(document).ok()?;
    (document.len() <= MAX_BYTES && summary.schema == SCHEMA).then_some(summary)
}

impl RegistrySummary {
    fn of(state: &RegistryState) -> Self {
        let round = state.round.as_deref();
        Self {
            name: state.planned.name.to_string(),
            condition: Condition::of(state).as_str().to_owned(),
            since: round.map(|round| whole_second(round.since)),
            findings: Vec::new(),
        }
    }

    fn of_heard(registry: HeardRegistry) -> Self {
        let findings = registry.findings.into_iter();
        let finding = |finding: HeardFinding| FindingSummary {
            code: finding.code,
            severity: finding.severity,
            endpoint: finding.endpoint,
            since: Some(finding.since),
            message: Some(finding.message),
            remedy: Some(finding.remedy),
        };
        Self {
            name: registry.name,
            condition: registry.condition,
            since: registry.since,
            findings: findings
                .filter(|finding| finding.severity != "info")
                .map(finding)
                .collect(),
        }
    }
}

impl FindingSummary {
    fn of_all(round: &Round) -> Vec<Self> {
        let findings = round.diagnosis.findings.iter().zip(&round.found);
        let mut findings: Vec<_> = findings
            .filter(|(finding, _)| finding.severity > Severity::Info)
            .collect();
        findings.sort_by_key(|(finding, _)| std::cmp::Reverse(finding.severity));
        let summary = |(finding, since): (&regprobe_probes::Finding, &Timestamp)| Self {
            code: finding.code.as_str().to_owned(),
            severity: finding.severity.as_str().to_owned(),
            endpoint: finding.endpoint.to_string(),
            since: Some(whole_second(*since)),
            message: None,
            remedy: None,
        };
        findings.into_iter().map(summary).collect()
    }
}

/// The bytes that are left.
struct Room(usize);

impl Room {
    /// Whether this many bytes and a comma fit. If so, they are taken.
    fn takes(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes + 1);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

/// The length of a part of the document as it is sent.
fn length(part: &impl Serialize) -> usize {
    let json = to_string(part).unwrap_or_default();
    printable_json(&json).len()
}

fn cut(text: &str) -> String {
    let mut end = MAX_TEXT.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Fractions would cost ten bytes each time.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn address(nameserver: &Nameserver) -> String {
    match nameserver.address.port() {
        53 => nameserver.address.ip().to_string(),
        _ => nameserver.address.to_string(),
    }
}

/// The address from which this node dialled a registry.
fn source(snapshot: &Snapshot) -> Option<IpAddr> {
    let rounds = snapshot
        .registries
        .iter()
        .filter_map(|state| state.round.as_ref());
    let endpoints = rounds.flat_map(|round| &round.outcome.endpoints);
    let addresses = endpoints.flat_map(|endpoint| &endpoint.addresses);
    addresses.filter_map(|address| address.source).next()
}

/// The network of the interface with this address. A host route says nothing about it.
fn subnet(address: IpAddr) -> Option<String> {
    let of_interface = |interface: nix::ifaddrs::InterfaceAddress| {
        let (own, mask) = (interface.address?, interface.netmask?);
        let (own, mask): (IpAddr, IpAddr) = match (own.as_sockaddr_in(), own.as_sockaddr_in6()) {
            (Some(own), _) => (own.ip().into(), mask.as_sockaddr_in()?.ip().into()),
            (None, Some(own)) => (own.ip().into(), mask.as_sockaddr_in6()?.ip().into()),
            (None, None) => return None,
        };
        let network = IpNet::with_netmask(own, mask).ok()?.trunc();
        (own == address && network.prefix_len() < network.max_prefix_len()).then_some(network)
    };
    let network = getifaddrs().ok()?.find_map(of_interface)?;
    Some(network.to_string())
}

#[cfg(test)]
mod tests;
