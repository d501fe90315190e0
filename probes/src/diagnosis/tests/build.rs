//! Builds outcomes that read like sentences. An endpoint is healthy unless something else is said; the
//! real rules find its pull path through what it met.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, LazyLock},
    time::Duration,
};

pub(super) use super::words::*;
use crate::{
    client::{go_client::DIAL_BUDGET, pull_path::NodeClient},
    diagnosis::Expectations,
    net::io_fault::IoFault,
    node::{Hosts, ResolvConf},
    outcome::{AddressOutcome, EndpointOutcome, Evidence, Fault, Outcome, PullPath, StageOutcome},
    stages::{connect::Connected, proxy::Tunnel, resolve::Lookup},
    words::{
        endpoint::{Endpoint, Nameserver, Origin, Role, Scheme, Turn},
        reason::Stage,
        scope::Expectation,
    },
};

/// The node's nameservers in order, and two that only the configuration names.
pub(super) static FIRST: LazyLock<Arc<Nameserver>> = LazyLock::new(|| own([198, 18, 0, 53]));
pub(super) static SECOND: LazyLock<Arc<Nameserver>> = LazyLock::new(|| own([198, 18, 0, 54]));
/// Whom Go asks where resolv.conf names none.
pub(super) static ON_THE_NODE: LazyLock<Arc<Nameserver>> =
    LazyLock::new(|| nameserver([127, 0, 0, 1], None, Origin::Default));
pub(super) static AZURE: LazyLock<Arc<Nameserver>> =
    LazyLock::new(|| added("azure", [168, 63, 129, 16]));
pub(super) static OTHER: LazyLock<Arc<Nameserver>> =
    LazyLock::new(|| added("other", [198, 18, 0, 99]));

pub(super) const PRIVATE_LOGIN: &str = "10.240.1.4";
pub(super) const PRIVATE_DATA: &str = "10.240.1.5";
pub(super) const PUBLIC: &str = "203.0.113.10";
/// Made once: an endpoint may have dozens of addresses, and property tests have thousands of endpoints.
static HANDSHAKE: LazyLock<Evidence> = LazyLock::new(|| certificate_for(100 * DAY));
const PROXY: (&str, u16) = ("proxy.contoso.example", 3128);

pub(super) fn login() -> Met {
    Met::of("contoso.azurecr.io", Role::Login).answered(&FIRST, private(PRIVATE_LOGIN))
}

pub(super) fn data() -> Met {
    Met::of("contoso.westeurope.data.azurecr.io", Role::Data)
        .answered(&FIRST, private(PRIVATE_DATA))
}

pub(super) fn storage() -> Met {
    Met::of("account.blob.core.windows.net", Role::Storage)
        .answered(&FIRST, found([], ["203.0.113.30"]))
}

pub(super) fn token_service() -> Met {
    Met::of("auth.contoso.example", Role::Token).answered(&FIRST, found([], ["203.0.113.20"]))
}

/// On a node whose resolv.conf names no nameserver, and where none runs.
pub(super) fn without_nameserver(met: Met) -> Met {
    met.unanswered().answered(&ON_THE_NODE, nobody())
}

/// A mirror, which is asked before the registry.
pub(super) fn mirror() -> Met {
    Met::of("mirror.contoso.example", Role::Mirror).answered(&FIRST, found([], ["198.18.2.10"]))
}

/// How fast layers have to come.
pub(super) const FLOOR: u64 = 5 * 1024 * 1024;

/// The expectations of a configuration with private endpoints in 10.240.0.0/16.
pub(super) fn expecting_private() -> Expectations {
    Expectations {
        private: Expectation::Ranges(vec!["10.240.0.0/16".parse().unwrap()]),
        anonymous_pull: false,
        expiry_warning: 14 * DAY,
        floor: Some(FLOOR),
        now: now(),
    }
}

pub(super) fn expecting_any() -> Expectations {
    Expectations {
        private: Expectation::Any,
        ..expecting_private()
    }
}

pub(super) fn expecting_anonymous_pull() -> Expectations {
    Expectations {
        anonymous_pull: true,
        ..expecting_private()
    }
}

pub(super) fn outcome(met: impl IntoIterator<Item = Met>) -> Outcome {
    Outcome {
        endpoints: met.into_iter().map(Met::seen).collect(),
        walks: Vec::new(),
        misconfigured: Vec::new(),
        unseen_hosts: None,
        settings: 0,
    }
}

/// One endpoint as a round met it.
#[derive(Clone, Debug)]
pub(super) struct Met {
    endpoint: Endpoint,
    turn: Turn,
    resolves: bool,
    proxied: bool,
    pinned: Vec<IpAddr>,
    pinned_in_cache: Vec<IpAddr>,
    answers: Vec<(Arc<Nameserver>, NameserverSays)>,
    failures: Vec<(Option<IpAddr>, StageOutcome)>,
    shown: Vec<Evidence>,
    blocked: Option<(Stage, Fault)>,
    /// The domain by which nameservers know the name, which they do not know itself.
    search_domain: Option<&'static str>,
    /// How long nameservers take.
    answer_takes: Duration,
}

impl Met {
    fn of(host: &str, role: Role) -> Self {
        Self {
            endpoint: Endpoint {
                host: host.into(),
                port: 443,
                role,
                scheme: Scheme::Https,
            },
            turn: Turn::FIRST,
            resolves: true,
            proxied: false,
            pinned: Vec::new(),
            pinned_in_cache: Vec::new(),
            answers: Vec::new(),
            failures: Vec::new(),
            shown: Vec::new(),
            blocked: None,
            search_domain: None,
            answer_takes: Duration::from_millis(1),
        }
    }

    pub(super) fn named(mut self, host: &str) -> Self {
        self.endpoint.host = host.into();
        self
    }

    /// By digest it gives everything, and no tags.
    pub(super) fn without_tags(self) -> Self {
        Self {
            resolves: false,
            ..self
        }
    }

    pub(super) fn in_turn(mut self, turn: Turn) -> Self {
        self.turn = turn;
        self
    }

    /// The first nameserver's answer.
    pub(super) fn resolves_by<const N: usize>(self, chain: [&str; N], address: &str) -> Self {
        self.answered(&FIRST, found(chain, [address]))
    }

    /// A nameserver's answer; a second one replaces the first.
    pub(super) fn answered(mut self, nameserver: &Arc<Nameserver>, said: NameserverSays) -> Self {
        match self
            .answers
            .iter_mut()
            .find(|(known, _)| known == nameserver)
        {
            Some((_, earlier)) => *earlier = said,
            None => self.answers.push((nameserver.clone(), said)),
        }
        self
    }

    /// What nameservers answer is for the name in this search domain.
    pub(super) fn by_search_domain(mut self, domain: &'static str) -> Self {
        self.search_domain = Some(domain);
        self
    }

    pub(super) fn answered_after(mut self, took: Duration) -> Self {
        self.answer_takes = took;
        self
    }

    pub(super) fn unanswered(mut self) -> Self {
        self.answers.clear();
        self
    }

    pub(super) fn pinned_to(mut self, address: &str) -> Self {
        self.pinned.push(ip(address));
        self
    }

    pub(super) fn pinned_in_cache_to(mut self, address: &str) -> Self {
        self.pinned_in_cache.push(ip(address));
        self
    }

    /// From here on everything goes through the node's proxy, whose own name is looked up.
    pub(super) fn behind_the_proxy(mut self) -> Self {
        self.proxied = true;
        self.unanswered()
            .answered(&FIRST, found([], ["198.18.2.30"]))
    }

    /// At every address.
    pub(super) fn fails(mut self, stage: Stage, fault: Fault) -> Self {
        let failure = StageOutcome::new(stage, Duration::ZERO, Err(fault));
        self.failures.push((None, failure));
        self
    }

    pub(super) fn fails_at(mut self, address: &str, stage: Stage, fault: Fault) -> Self {
        let failure = StageOutcome::new(stage, Duration::ZERO, Err(fault));
        self.failures.push((Some(ip(address)), failure));
        self
    }

    /// A setting of the node leaves no way there.
    pub(super) fn blocked(mut self, stage: Stage, fault: Fault) -> Self {
        self.blocked = Some((stage, fault));
        self
    }

    /// Fails on this image or blob.
    pub(super) fn fails_on(mut self, subject: &str, stage: Stage, fault: Fault) -> Self {
        let subject = Some(subject.into());
        let failure = StageOutcome::new(stage, Duration::ZERO, Err(fault));
        self.failures
            .push((None, StageOutcome { subject, ..failure }));
        self
    }

    /// The evidence of a stage that succeeds.
    pub(super) fn shows(mut self, evidence: Evidence) -> Self {
        self.shown.push(evidence);
        self
    }

    pub(super) fn seen(self) -> EndpointOutcome {
        if let Some((stage, fault)) = self.blocked {
            let path = PullPath::Blocked { stage, fault };
            return EndpointOutcome {
                turn: self.turn,
                ..EndpointOutcome::new(self.endpoint, path)
            };
        }
        let (dialled, port) = match self.proxied {
            true => (Arc::from(PROXY.0), PROXY.1),
            false => (self.endpoint.host.clone(), self.endpoint.port),
        };
        let lookup = |nameserver: &Arc<Nameserver>, name: Arc<str>, said: &NameserverSays| Lookup {
            nameserver: nameserver.clone(),
            name,
            a: said.a.clone(),
            aaaa: said.aaaa.clone(),
            a_took: self.answer_takes,
            aaaa_took: self.answer_takes,
        };
        let answers = self.answers.iter();
        let lookups: Vec<_> = answers
            .flat_map(|(nameserver, said)| match self.search_domain {
                None => vec![lookup(nameserver, dialled.clone(), said)],
                Some(domain) => vec![
                    lookup(nameserver, dialled.clone(), &no_such_name([], "io")),
                    lookup(nameserver, format!("{dialled}.{domain}").into(), said),
                ],
            })
            .collect();
        let mut found: Vec<IpAddr> = Vec::new();
        let named = lookups.iter().flat_map(Lookup::addresses);
        for address in self
            .pinned
            .iter()
            .copied()
            .chain(named)
            .chain(dialled.parse().ok())
        {
            if !found.contains(&address) {
                found.push(address);
            }
        }
        let mut addresses: Vec<_> = found.into_iter().map(|a| self.dialled(a)).collect();
        let pins = self.pinned.iter().map(|pin| format!("{pin} {dialled}\n"));
        let nameservers: Vec<_> = self
            .answers
            .iter()
            .map(|(nameserver, _)| nameserver.clone())
            .collect();
        let own = nameservers
            .iter()
            .filter(|nameserver| nameserver.origin.is_of_node());
        let path = NodeClient {
            hosts: &Hosts::parse(&pins.collect::<String>()),
            resolv_conf: &ResolvConf {
                nameservers: own.map(|own| own.address).collect(),
                search: self
                    .search_domain
                    .map(|domain| format!("{domain}."))
                    .into_iter()
                    .collect(),
                ..ResolvConf::default()
            },
            nameservers: &nameservers,
            host: &dialled,
            port,
            proxied: self.proxied,
            dial_budget: DIAL_BUDGET,
        }
        .pull_path(&lookups, &addresses);
        if let Some(used) = addresses
            .iter_mut()
            .find(|seen| Some(seen.address) == path.address())
            && used.failure().is_none()
        {
            self.go_on(used, self.requests());
        }
        EndpointOutcome {
            turn: self.turn,
            resolves: self.resolves,
            proxy: self
                .proxied
                .then(|| format!("http://{}:{}", PROXY.0, PROXY.1)),
            dialled,
            pinned: self.pinned,
            pinned_in_cache: self.pinned_in_cache,
            lookups,
            addresses,
            path,
            endpoint: self.endpoint,
        }
    }

    fn dialled(&self, address: IpAddr) -> AddressOutcome {
        let no_route = |(at, failure): &(Option<IpAddr>, StageOutcome)| {
            at.is_none_or(|at| at == address)
                && matches!(failure.result, Err(Fault::Connect(IoFault::Unreachable(_))))
        };
        let source = match address {
            IpAddr::V4(_) => ip("198.18.0.7"),
            IpAddr::V6(_) => ip("2001:db8::7"),
        };
        let mut seen = AddressOutcome {
            address,
            source: (!self.failures.iter().any(no_route)).then_some(source),
            stages: Vec::new(),
        };
        let tunnel = self.proxied.then(|| {
            Evidence::Proxy(Tunnel {
                proxy: format!("http://{}:{}", PROXY.0, PROXY.1),
            })
        });
        let connected = Evidence::Connect(Connected {
            rtt: None,
            retransmits: 0,
            fell_back_after: None,
        });
        let way = std::iter::once(connected)
            .chain(tunnel)
            .chain([HANDSHAKE.clone()]);
        self.go_on(&mut seen, way.collect());
        seen
    }

    fn requests(&self) -> Vec<Evidence> {
        match self.endpoint.role {
            Role::Login => vec![challenge(), granted()],
            Role::Mirror => vec![challenge()],
            Role::Token => vec![granted()],
            Role::Data => vec![Evidence::Http(answered(403))],
            Role::Storage => vec![Evidence::Blob(answered(206), None)],
        }
    }

    /// Adds these stages and those that fail, up to the first failure.
    fn go_on(&self, seen: &mut AddressOutcome, healthy: Vec<Evidence>) {
        let requests = healthy.iter().any(|evidence| stage_of(evidence).is_http());
        let here = |(at, failure): &&(Option<IpAddr>, StageOutcome)| {
            at.is_none_or(|at| at == seen.address) && failure.stage.is_http() == requests
        };
        let shown = |evidence| {
            let stage = stage_of(&evidence);
            let shown = self.shown.iter().find(|shown| stage_of(shown) == stage);
            StageOutcome::new(
                stage,
                Duration::from_millis(2),
                Ok(shown.cloned().unwrap_or(evidence)),
            )
        };
        let mut stages: Vec<_> = healthy.into_iter().map(shown).collect();
        for (_, failure) in self.failures.iter().filter(here) {
            stages.retain(|stage| stage.stage < failure.stage || stage.result.is_err());
            stages.push(failure.clone());
        }
        stages.sort_by_key(|stage| stage.stage);
        let until = stages.iter().position(|stage| stage.result.is_err());
        stages.truncate(until.map_or(stages.len(), |failed| failed + 1));
        seen.stages.extend(stages);
    }
}

fn own(address: [u8; 4]) -> Arc<Nameserver> {
    nameserver(address, None, Origin::Node)
}

fn added(name: &str, address: [u8; 4]) -> Arc<Nameserver> {
    nameserver(address, Some(name.into()), Origin::Config)
}

fn nameserver(address: [u8; 4], name: Option<Arc<str>>, origin: Origin) -> Arc<Nameserver> {
    let address = (Ipv4Addr::from(address), 53).into();
    Arc::new(Nameserver {
        address,
        name,
        origin,
    })
}
