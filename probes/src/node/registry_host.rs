//! One host that images can be pulled from, with its settings: a host of a `hosts.toml`, or the
//! registry itself if nothing is configured.
//!
//! Sources: containerd `core/remotes/docker/config/hosts.go` and `docs/hosts.md`.

use std::{net::IpAddr, path::PathBuf, time::Duration};

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
    /// An http host with TLS settings and a port other than 80: TLS, or plain HTTP if the server does
    /// not speak TLS.
    HttpsThenHttp,
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
    /// real name, and a local registry on its own port over whatever it speaks, unverified.
    pub(crate) fn upstream(registry_host: &str, port: Option<u16>) -> Self {
        let is_local = registry_host == "localhost"
            || registry_host
                .parse()
                .is_ok_and(|ip: IpAddr| ip.is_loopback());
        let scheme = match port {
            Some(80) if is_local => HostScheme::Http,
            Some(port) if is_local && port != 443 => HostScheme::HttpsThenHttp,
            _ => HostScheme::Https,
        };
        let host = if registry_host == "docker.io" && port.is_none() {
            DOCKER_HUB
        } else {
            registry_host
        };
        Self {
            scheme,
            host: host.to_owned(),
            port: port.unwrap_or(443),
            path: "/v2".to_owned(),
            capabilities: Capabilities::ALL,
            tls: TlsSettings {
                skip_verify: is_local && scheme != HostScheme::Http,
                ..TlsSettings::default()
            },
            dial_timeout: None,
            needs_ns: false,
        }
    }
}
