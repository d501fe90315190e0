//! The hosts that the node's own client asks for a registry, in order: the mirrors and the `server` of
//! its `hosts.toml`, or the registry alone. Read again for each round, as containerd does for each
//! pull.

use hyper::HeaderMap;

use super::containerd;
use crate::{
    node::{
        Node,
        certs_d::{self, CertsDError, HostsConfig, Misconfigured},
        registry_host::{Capabilities, HostScheme, RegistryHost, TlsSettings},
    },
    words::endpoint::{Endpoint, Role, Scheme, Turn},
};

/// The hosts of one registry.
#[derive(Debug, Default)]
pub(crate) struct PullHosts {
    /// In the order in which they are asked. The registry itself is always among them, possibly as
    /// [`Turn::Never`].
    pub(crate) hosts: Vec<PullHost>,
    /// What is wrong with the configuration.
    pub(crate) misconfigured: Option<Misconfigured>,
    /// Why the configuration is not known: the hosts may be others.
    pub(crate) unseen: Option<String>,
}

/// A host to ask.
#[derive(Debug)]
pub(crate) struct PullHost {
    pub(crate) endpoint: Endpoint,
    pub(crate) turn: Turn,
    /// The root of its API, without a trailing slash.
    pub(crate) path: String,
    /// Whether requests name the registry in `?ns=`, because this host is another one.
    pub(crate) needs_ns: bool,
    pub(crate) tls: TlsSettings,
    /// What it is trusted to do.
    pub(crate) capabilities: Capabilities,
    /// Whether it has a client of its own, and so tokens of its own.
    pub(crate) has_own_client: bool,
}

impl PullHosts {
    /// Reads what the node's files say about the registry at `login`.
    pub(crate) fn read(node: &Node, login: &Endpoint) -> Self {
        let registry_alone = || Self {
            hosts: vec![PullHost::registry(login, Turn::FIRST)],
            ..Self::default()
        };
        if login.scheme == Scheme::Http {
            return registry_alone();
        }
        let port = Some(login.port).filter(|port| *port != login.scheme.default_port());
        match certs_d::load(&node.root, &node.certs_d, &login.host, port) {
            Ok(None) => registry_alone(),
            Ok(Some(config)) => Self::configured(config, login),
            Err(error @ CertsDError::Read { .. }) => Self {
                misconfigured: Some(Misconfigured {
                    problem: error.to_string(),
                    fatal: true,
                }),
                ..registry_alone()
            },
            Err(error) => Self {
                unseen: Some(error.to_string()),
                ..registry_alone()
            },
        }
    }

    /// When the client asks the registry itself, and with which trust; both hold for the hosts that it leads to.
    pub(crate) fn registrys(&self) -> (Turn, &TlsSettings) {
        static OWN: TlsSettings = TlsSettings {
            ca: Vec::new(),
            skip_verify: false,
            client: Vec::new(),
        };
        let mut hosts = self.hosts.iter();
        let registry = hosts.find(|host| host.endpoint.role == Role::Login);
        registry.map_or((Turn::Never, &OWN), |registry| {
            (registry.turn, &registry.tls)
        })
    }

    /// The hosts as a pull of an image goes through them.
    pub(crate) fn for_pull(&self, login: &Endpoint) -> Vec<containerd::Host> {
        let asked = || {
            self.hosts
                .iter()
                .enumerate()
                .filter(|(_, host)| host.turn != Turn::Never)
        };
        let shared = asked()
            .find(|(_, host)| !host.has_own_client)
            .map(|(place, _)| place);
        let hosts = asked().map(|(place, host)| {
            let mut url = host.endpoint.origin();
            url.set_path(&host.path);
            containerd::Host {
                place,
                url,
                namespace: host.needs_ns.then(|| login.authority()),
                resolves: host.capabilities.resolve,
                pulls: host.capabilities.pull,
                headers: HeaderMap::new(),
                tokens_of: shared.filter(|_| !host.has_own_client).unwrap_or(place),
            }
        });
        hosts.collect()
    }

    fn configured(config: HostsConfig, login: &Endpoint) -> Self {
        let turns = (0_u32..).map(Turn::After).zip(config.hosts);
        let mut hosts: Vec<_> = turns
            .map(|(turn, host)| PullHost::new(host, turn, login))
            .collect();
        if hosts.iter().all(|host| host.endpoint.role != Role::Login) {
            hosts.push(PullHost::registry(login, Turn::Never));
        }
        let file = config.dir.join("hosts.toml");
        let misconfigured = config.ignored.map(|error| Misconfigured {
            problem: format!("{}: {error}", file.display()),
            fatal: false,
        });
        Self {
            hosts,
            misconfigured,
            unseen: None,
        }
    }
}

impl PullHost {
    fn registry(login: &Endpoint, turn: Turn) -> Self {
        Self {
            endpoint: login.clone(),
            turn,
            path: "/v2".to_owned(),
            needs_ns: false,
            tls: TlsSettings::default(),
            capabilities: Capabilities::ALL,
            has_own_client: false,
        }
    }

    fn new(host: RegistryHost, turn: Turn, login: &Endpoint) -> Self {
        let has_own_client = host.tls != TlsSettings::default() || host.dial_timeout.is_some();
        let is_registry = *host.host == *login.host && host.port == login.port;
        let scheme = match host.scheme {
            HostScheme::Http => Scheme::Http,
            HostScheme::Https | HostScheme::HttpsThenHttp => Scheme::Https,
        };
        let role = if is_registry {
            Role::Login
        } else {
            Role::Mirror
        };
        let endpoint = Endpoint {
            host: host.host.into(),
            port: host.port,
            role,
            scheme,
        };
        Self {
            endpoint,
            turn,
            path: host.path,
            needs_ns: host.needs_ns,
            tls: host.tls,
            capabilities: host.capabilities,
            has_own_client,
        }
    }
}
