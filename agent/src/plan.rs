//! What to probe, worked out from the configuration: targets with all their endpoints, and how to
//! see the node. Made at start and at every reload; nothing here talks to the network.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use nix::net::if_::if_nametoindex;
use regprobe_probes::{
    AcrName, Depth, Endpoint, Expectation, Expectations, Hosts, Nameserver, Node, Origin,
    ResolvConf, Role, Scheme, Target, TlsClient, TrustError, TrustStore,
};

use crate::config::{self, Config, Private, Server};

/// For one question to one nameserver; never longer than the time-out of a stage.
const QUESTION_LIMIT: Duration = Duration::from_secs(3);

/// All that a scheduler needs to know.
pub(crate) struct Plan {
    /// One for each configured registry.
    pub registries: Vec<Arc<PlannedRegistry>>,
    /// How probes see the node.
    pub node: Arc<NodeSource>,
}

impl Plan {
    /// Works out the plan; reads the CA bundle and no other file. Where `instead` names servers,
    /// they are asked as if they were the node's own.
    pub(crate) fn new(config: &Config, instead: &[SocketAddr]) -> Result<Self, TrustError> {
        let intervals = Intervals::from(&config.schedule);
        let planned = |registry| Arc::new(PlannedRegistry::new(registry, intervals, &config.tls));
        let added = config.nameservers.iter().map(|nameserver| Nameserver {
            address: nameserver.address,
            name: nameserver.name.as_ref().map(|name| name.as_str().into()),
            origin: Origin::Config,
        });
        Ok(Self {
            registries: config.registries.iter().map(planned).collect(),
            node: Arc::new(NodeSource {
                resolv_conf: config.node.resolv_conf.clone(),
                hosts: config.node.hosts.clone(),
                instead: instead.iter().map(own).collect(),
                added: added.map(Arc::new).collect(),
                tls: TlsClient::new(&TrustStore::load(config.tls.ca_file.as_deref())?)?,
                stage_limit: config.schedule.timeout,
            }),
        })
    }
}

/// One registry to probe.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PlannedRegistry {
    /// The label `registry`.
    pub name: Arc<str>,
    /// `host[:port]` as configured.
    pub server: String,
    /// What a round walks.
    pub target: Target,
    /// Where its addresses should be.
    pub expectation: Expectation,
    /// How long before its end a certificate is reported.
    pub expiry_warning: Duration,
    /// How often each depth is due.
    pub intervals: Intervals,
}

impl PlannedRegistry {
    /// Works out the endpoints of one registry.
    pub(crate) fn new(
        registry: &config::Registry,
        intervals: Intervals,
        tls: &config::Tls,
    ) -> Self {
        let login = endpoint(&registry.server, Role::Login);
        let derived = data_hosts(registry).map(|host| Endpoint {
            host: host.into(),
            role: Role::Data,
            ..login.clone()
        });
        let named = registry
            .data_endpoints
            .iter()
            .map(|server| endpoint(server, Role::Data));
        let mut data: Vec<_> = derived.collect();
        for endpoint in named {
            if !data.contains(&endpoint) {
                data.push(endpoint);
            }
        }
        Self {
            name: registry.name.as_str().into(),
            server: registry.server.to_string(),
            target: Target {
                login,
                data,
                token: None,
                repository: registry
                    .images
                    .first()
                    .map(|image| image.repository().to_owned()),
                anonymous_pull: registry.anonymous_pull,
            },
            expectation: match &registry.private {
                Private::No => Expectation::Any,
                Private::Yes => Expectation::PrivateScope,
                Private::Within(ranges) => Expectation::Ranges(ranges.clone()),
            },
            expiry_warning: tls.expiry_warning,
            intervals,
        }
    }

    /// What the diagnosis of a round at `now` measures it by.
    pub(crate) fn expectations(&self, now: Timestamp) -> Expectations {
        Expectations {
            private: self.expectation.clone(),
            anonymous_pull: self.target.anonymous_pull,
            expiry_warning: self.expiry_warning,
            now,
        }
    }
}

/// How often each depth is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Intervals {
    /// Of rounds at all.
    pub network: Duration,
    /// Of rounds with requests.
    pub request: Duration,
    /// Of rounds with a token request.
    pub token: Duration,
}

impl Intervals {
    /// The interval of one depth.
    pub(crate) fn of(&self, depth: Depth) -> Duration {
        match depth {
            Depth::Network => self.network,
            Depth::Request => self.request,
            Depth::Token => self.token,
        }
    }
}

impl From<&config::Schedule> for Intervals {
    fn from(schedule: &config::Schedule) -> Self {
        Self {
            network: schedule.network_interval,
            request: schedule.request_interval,
            token: schedule.token_interval,
        }
    }
}

/// How probes see the node: files read anew for each round, and what the configuration says.
pub(crate) struct NodeSource {
    resolv_conf: PathBuf,
    hosts: PathBuf,
    instead: Vec<Arc<Nameserver>>,
    added: Vec<Arc<Nameserver>>,
    tls: TlsClient,
    stage_limit: Duration,
}

impl NodeSource {
    /// The node as it is now. A file that is not there reads as empty, as it does for Go.
    pub(crate) fn read(&self) -> io::Result<Node> {
        let text = text_of(&self.resolv_conf)?;
        let resolv_conf = ResolvConf::parse(&text, |zone| if_nametoindex(zone).ok());
        let mut nameservers: Vec<_> = match self.instead.is_empty() {
            true => resolv_conf.nameservers.iter().map(own).collect(),
            false => self.instead.clone(),
        };
        nameservers.extend(self.added.iter().cloned());
        Ok(Node {
            nameservers,
            resolv_conf,
            hosts: Hosts::parse(&text_of(&self.hosts)?),
            tls: self.tls.clone(),
            question_limit: QUESTION_LIMIT.min(self.stage_limit),
            stage_limit: self.stage_limit,
        })
    }
}

fn own(address: &SocketAddr) -> Arc<Nameserver> {
    Arc::new(Nameserver {
        address: *address,
        name: None,
        origin: Origin::Node,
    })
}

fn text_of(path: &Path) -> io::Result<String> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => {
            let text = format!("cannot read {}: {error}", path.display());
            Err(io::Error::new(error.kind(), text))
        }
    }
}

fn endpoint(server: &Server, role: Role) -> Endpoint {
    let scheme = if server.is_plain_http() {
        Scheme::Http
    } else {
        Scheme::Https
    };
    Endpoint {
        host: server.host().into(),
        port: server.port(),
        role,
        scheme,
    }
}

fn data_hosts(registry: &config::Registry) -> impl Iterator<Item = String> + '_ {
    let acr = AcrName::parse(registry.server.host());
    registry.regions.iter().filter_map(move |region| {
        acr.as_ref()
            .map(|acr| acr.data_endpoint(region.as_str()).to_string())
    })
}
