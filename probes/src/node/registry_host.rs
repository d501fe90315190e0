//! One host that images can be pulled from, with its settings: a host of a `hosts.toml`, or the
//! registry itself if nothing is configured.
//!
//! Sources: containerd `core/remotes/docker/config/hosts.go` and `docs/hosts.md`.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use hyper::HeaderMap;

use super::containerd_release::ContainerdRelease;

/// The host of the registry called `docker.io`.
pub(super) const DOCKER_HUB: &str = "registry-1.docker.io";

/// One host that images can be pulled from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegistryHost {
    /// How to talk to it.
    pub scheme: HostScheme,
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port that is tried first.
    pub port: u16,
    /// The API root without a trailing slash: `/v2`, or with `override_path` the URL's own path.
    pub path: String,
    /// What containerd asks it for.
    pub capabilities: Capabilities,
    /// Which certificates to trust and which to present.
    pub tls: TlsSettings,
    /// The time for lookup and dial together; zero means no limit. Without it, containerd's 30 s apply.
    pub dial_timeout: Option<Duration>,
    /// Sent with every request to it, and to nobody else.
    pub headers: HeaderMap,
    /// Whether its settings give it a client of its own, and so tokens of its own.
    pub has_own_client: bool,
    /// It is not the registry itself: requests say by `?ns=<registry>` which registry they mean.
    pub needs_ns: bool,
}

/// How to talk to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HostScheme {
    /// TLS.
    Https,
    /// Plain HTTP.
    Http,
    /// An http host with TLS settings and a port other than 80, where the release falls back: TLS, or plain HTTP if the
    /// server does not speak TLS.
    HttpsThenHttp,
}

impl HostScheme {
    /// The port of a URL that leaves it out.
    pub(super) fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https | Self::HttpsThenHttp => 443,
        }
    }
}

/// What containerd may ask a host for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// Manifests and blobs by digest.
    pub pull: bool,
    /// Tags to digests.
    pub resolve: bool,
    /// Uploads.
    pub push: bool,
}

impl Capabilities {
    /// Every capability.
    pub(crate) const ALL: Self = Self {
        pull: true,
        resolve: true,
        push: true,
    };
}

/// How the node's client for a host differs from the one that it has for all others. It also asks for the tokens
/// that the host demands, and follows its redirects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostClient {
    /// Which certificates to trust and which to present.
    pub tls: TlsSettings,
    /// As in [`RegistryHost`].
    pub dial_timeout: Option<Duration>,
    /// Where TLS is not spoken, it goes on in plain HTTP.
    pub falls_back: bool,
}

/// The client for all other hosts.
pub(crate) static SHARED_CLIENT: HostClient = HostClient {
    tls: TlsSettings {
        ca: Vec::new(),
        skip_verify: false,
        client: Vec::new(),
    },
    dial_timeout: None,
    falls_back: false,
};

/// The TLS settings of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct TlsSettings {
    /// PEM files with roots to trust in addition to the node's.
    pub ca: Vec<PathBuf>,
    /// Certificates are not verified.
    pub skip_verify: bool,
    /// Client certificates to present.
    pub client: Vec<ClientCertificate>,
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientCertificate {
    /// PEM file with the chain.
    pub cert: PathBuf,
    /// PEM file with the key; `None` if the chain's file holds it too.
    pub key: Option<PathBuf>,
}

impl RegistryHost {
    /// The registry itself, as containerd reaches it if nothing is configured: https, Docker Hub at its
    /// real name, and a local registry on its own port over whatever it speaks, unverified. `named` is
    /// `host[:port]` as in an image reference.
    pub(crate) fn upstream(named: &str, release: ContainerdRelease) -> Self {
        let named = if named == "docker.io" {
            DOCKER_HUB
        } else {
            named
        };
        let (host, port) = split_port(named);
        // As `docker.IsLocalhost`: with brackets and no port it is no address to Go.
        let is_local = host == "localhost"
            || (port.is_some() || !named.starts_with('['))
                && host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        let scheme = match port {
            _ if !is_local => HostScheme::Https,
            _ if !release.falls_back_to_http() => HostScheme::Http,
            Some(80) => HostScheme::Http,
            None | Some(443) => HostScheme::Https,
            Some(_) => HostScheme::HttpsThenHttp,
        };
        let skip_verify = is_local && scheme != HostScheme::Http;
        Self {
            scheme,
            host: host.to_owned(),
            port: port.unwrap_or_else(|| scheme.port()),
            path: "/v2".to_owned(),
            capabilities: Capabilities::ALL,
            tls: TlsSettings {
                skip_verify,
                ..TlsSettings::default()
            },
            dial_timeout: None,
            headers: HeaderMap::new(),
            has_own_client: skip_verify,
            needs_ns: false,
        }
    }
}

/// The host of `host[:port]`, without brackets, and the port.
pub(super) fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (trimmed(host), port.parse().ok())
        }
        _ => (trimmed(authority), None),
    }
}

fn trimmed(host: &str) -> &str {
    host.trim_matches(['[', ']'])
}
