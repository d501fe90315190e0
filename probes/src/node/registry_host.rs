//! One host that images can be pulled from, with what containerd knows of it: a host of a
//! `hosts.toml`, or the registry itself where nothing is configured.
//!
//! Sources: containerd `core/remotes/docker/config/hosts.go` and `docs/hosts.md`.

use std::{net::IpAddr, path::PathBuf, time::Duration};

/// Where the registry called `docker.io` really is.
pub(super) const DOCKER_HUB: &str = "registry-1.docker.io";

/// One host that images can be pulled from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegistryHost {
    /// How it is spoken to.
    pub scheme: HostScheme,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port that is tried first.
    pub port: u16,
    /// The API root without a slash at its end: `/v2`, or with `override_path` whatever the URL
    /// says.
    pub path: String,
    /// What it is asked for.
    pub capabilities: Capabilities,
    /// Certificates to trust and to show.
    pub tls: TlsSettings,
    /// Time for name lookup and dial together; zero is no limit, and without it containerd's 30 s
    /// hold.
    pub dial_timeout: Option<Duration>,
    /// It is a mirror: requests say by `?ns=<registry>` which registry they mean.
    pub needs_ns: bool,
}

/// How a host is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HostScheme {
    /// TLS.
    Https,
    /// In the clear.
    Http,
    /// An http host with TLS settings and a port other than 80: TLS, and in the clear if that is no
    /// TLS server.
    HttpsThenHttp,
}

/// What a host is trusted to do.
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
    /// All of them.
    pub(crate) const ALL: Self = Self {
        pull: true,
        resolve: true,
        push: true,
    };
}

/// The TLS settings of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct TlsSettings {
    /// PEM files with roots, beside those of the node.
    pub ca: Vec<PathBuf>,
    /// No certificate is checked.
    pub skip_verify: bool,
    /// Certificates to show.
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
    /// The registry itself, as containerd reaches it when nothing is configured: https, Docker Hub
    /// at its real name, and a local registry with a port of its own over whatever it speaks,
    /// unchecked.
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
