//! The hosts that the node's own client asks for a registry, in order: the mirrors and the `server` of
//! its `hosts.toml`, or the registry alone. Read again for each round, as containerd does for each
//! pull.

use hyper::HeaderMap;

use super::containerd;
use crate::{
    node::{
        ContainerdRelease, Node,
        certs_d::{self, CertsDError, HostsConfig},
        misconfigured::{Misconfigured, SettingPlace},
        registry_host::{Capabilities, HostClient, HostScheme, RegistryHost, SHARED_CLIENT},
    },
    words::{
        endpoint::{Endpoint, Role, Scheme, Turn},
        target::{Image, Target},
    },
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
    pub(crate) client: HostClient,
    /// Whether `hosts.toml` gives it that client, and so tokens of its own.
    pub(crate) has_own_client: bool,
    /// Sent to this host alone.
    pub(crate) headers: HeaderMap,
    /// What it is trusted to do.
    pub(crate) capabilities: Capabilities,
}

impl PullHosts {
    /// Reads what the node's files say about the registry.
    pub(crate) fn read(node: &Node, target: &Target) -> Self {
        let login = &target.login;
        let registry_alone = || Self {
            hosts: vec![PullHost::registry(login, Turn::FIRST)],
            ..Self::default()
        };
        if login.scheme == Scheme::Http {
            return registry_alone();
        }
        if let Some(why) = node.host_settings.unseen(&target.named) {
            return Self {
                unseen: Some(why),
                ..registry_alone()
            };
        }
        let certs_d = node.host_settings.certs_d();
        match certs_d::load(&node.root, certs_d, &target.named, node.release()) {
            Ok(Some(config)) => Self {
                unseen: node.host_settings.doubt(),
                ..Self::configured(config, target, node.release())
            },
            Ok(None) => {
                let upstream = RegistryHost::upstream(&target.named, node.release());
                Self {
                    hosts: vec![PullHost::new(upstream, Turn::FIRST, login)],
                    ..Self::default()
                }
            }
            Err(error @ CertsDError::Read { .. }) => Self {
                misconfigured: Some(Misconfigured {
                    place: SettingPlace::CertsD,
                    problem: error.to_string(),
                    fatal: true,
                    client_error: Some(error.to_string()),
                }),
                ..registry_alone()
            },
            Err(error) => Self {
                unseen: Some(error.to_string()),
                ..registry_alone()
            },
        }
    }

    /// Those that a round looks at: whom a pull asks, and the registry in any case.
    pub(crate) fn looked_at(&self) -> impl Iterator<Item = &PullHost> {
        let is_asked = |host: &&PullHost| host.turn != Turn::Never;
        let hosts = self.hosts.iter();
        hosts.filter(move |host| is_asked(host) || host.endpoint.role == Role::Login)
    }

    /// When the client asks the registry itself, and which client; both hold for the hosts that it leads to.
    pub(crate) fn registrys(&self) -> (Turn, &HostClient) {
        let registry = self.hosts.iter().filter(|host| host.is_registry());
        let registry = registry.min_by_key(|host| host.turn);
        registry.map_or((Turn::Never, &SHARED_CLIENT), |registry| {
            (registry.turn, &registry.client)
        })
    }

    /// Whether a credential for the registry may be sent to `endpoint` when the host at `place` leads there: over TLS that
    /// is verified, to the registry itself, or to the token service that is known to be its own.
    pub(crate) fn take_credential_at(&self, place: usize, endpoint: &Endpoint) -> bool {
        let Some(host) = self.hosts.get(place) else {
            return false;
        };
        let HostClient {
            tls, falls_back, ..
        } = &host.client;
        let is_safe = endpoint.scheme == Scheme::Https && !falls_back && !tls.skip_verify;
        // Hosts without settings of their own share one client, and so its tokens.
        let mut registries = self.hosts.iter().filter(|host| host.is_registry());
        let is_own = registries.any(|registry| {
            registry.endpoint.is_same_server(endpoint)
                || (&*registry.endpoint.host, &*endpoint.host)
                    == ("registry-1.docker.io", "auth.docker.io")
        });
        is_safe && is_own && (host.is_registry() || !host.has_own_client)
    }

    /// The hosts as a pull of an image goes through them; `named` is the registry as images name it.
    pub(crate) fn for_pull(&self, named: &str) -> Vec<containerd::Host> {
        let hosts = || self.hosts.iter().enumerate();
        let asked = || hosts().filter(|(_, host)| host.is_in_turns());
        let shared = asked()
            .find(|(_, host)| !host.has_own_client)
            .map(|(place, _)| place);
        let hosts = asked().map(|(place, host)| {
            let mut url = host.endpoint.origin();
            url.set_path(&host.path);
            containerd::Host {
                place,
                url,
                namespace: host.needs_ns.then(|| named.to_owned()),
                resolves: host.capabilities.resolve,
                pulls: host.capabilities.pull,
                headers: host.headers.clone(),
                tokens_of: shared.filter(|_| !host.has_own_client).unwrap_or(place),
                shares_client: !host.has_own_client,
            }
        });
        hosts.collect()
    }

    fn configured(config: HostsConfig, target: &Target, release: ContainerdRelease) -> Self {
        let login = &target.login;
        let mut turns = (0_u32..).map(Turn::After);
        let hosts = config.hosts.into_iter().map(|host| {
            // Whoever may not give content resolves nothing.
            let turn = match host.capabilities.pull {
                true => turns.next().unwrap_or(Turn::Never),
                false => Turn::Never,
            };
            PullHost::new(host, turn, login)
        });
        let mut hosts: Vec<_> = hosts.collect();
        let stuck = match &*hosts {
            [] => None,
            hosts => nobody_resolves(hosts, &target.images),
        };
        let fatal = hosts.is_empty() || stuck.is_some();
        if hosts.iter().all(|host| host.endpoint.role != Role::Login) {
            hosts.push(PullHost::registry(login, Turn::Never));
        }
        let file = config.dir.join("hosts.toml");
        let ignored = config
            .ignored
            .map(|error| (SettingPlace::CertsD, error.to_string()));
        let passed_over = config
            .passed_over
            .map(|host| (SettingPlace::Host, format!("no host is at {host:?}")));
        let client_error = stuck
            .filter(|_| release.pulls_by_transfer())
            .map(|_| "failed to resolve image: no resolve hosts: not found".to_owned());
        let stuck = stuck.map(|problem| (SettingPlace::CertsD, problem.to_owned()));
        let misconfigured =
            ignored
                .or(stuck)
                .or(passed_over)
                .map(|(place, problem)| Misconfigured {
                    place,
                    problem: format!("{}: {problem}", file.display()),
                    fatal,
                    client_error,
                });
        Self {
            hosts,
            misconfigured,
            unseen: None,
        }
    }
}

/// Why no host can be asked what an image is, if so.
fn nobody_resolves(hosts: &[PullHost], images: &[Image]) -> Option<&'static str> {
    let by_digest = !images.is_empty() && images.iter().all(Image::is_by_digest);
    let may = |host: &PullHost| host.capabilities.pull && (by_digest || host.capabilities.resolve);
    match (hosts.iter().any(may), by_digest) {
        (true, _) => None,
        (false, true) => Some("no host has the capability to pull"),
        (false, false) => Some("no host has the capabilities that a tag needs, pull and resolve"),
    }
}

impl PullHost {
    /// Whether requests to `endpoint` come to this host, whichever of its schemes they name.
    pub(crate) fn is_at(&self, endpoint: &Endpoint) -> bool {
        let Endpoint { host, port, .. } = &self.endpoint;
        self.endpoint.is_same_server(endpoint)
            || self.client.falls_back && (host, port) == (&endpoint.host, &endpoint.port)
    }

    /// Whether a pull may ask it: a host that may not give content is asked for it all the same.
    fn is_in_turns(&self) -> bool {
        self.turn != Turn::Never || !self.capabilities.pull
    }

    /// Whether it is the registry itself.
    pub(crate) fn is_registry(&self) -> bool {
        self.endpoint.role == Role::Login
    }

    fn registry(login: &Endpoint, turn: Turn) -> Self {
        Self {
            endpoint: login.clone(),
            turn,
            path: "/v2".to_owned(),
            needs_ns: false,
            client: HostClient::default(),
            has_own_client: false,
            headers: HeaderMap::new(),
            capabilities: Capabilities::ALL,
        }
    }

    fn new(host: RegistryHost, turn: Turn, login: &Endpoint) -> Self {
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
            client: HostClient {
                tls: host.tls,
                dial_timeout: host.dial_timeout,
                falls_back: host.scheme == HostScheme::HttpsThenHttp,
            },
            has_own_client: host.has_own_client,
            headers: host.headers,
            capabilities: host.capabilities,
        }
    }
}
