//! The sections that mean what they say: one type each, with its defaults.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use regprobe_probes::ContainerdRelease;
use serde::Deserialize;
use thiserror::Error;

use super::scalar::{self, ClientId, Label, quoted, read_as};

/// A nameserver that is asked in addition to those that the node uses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping with the keys address and name"
)]
pub struct NameserverConfig {
    /// The label `nameserver`; by default the address.
    #[serde(default)]
    pub name: Option<Label>,
    /// Where it listens.
    #[serde(deserialize_with = "scalar::address::nameserver")]
    pub address: SocketAddr,
}

/// Which credentials the walks of a registry offer, as the kubelet would.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys docker_config and managed_identity"
)]
pub struct CredentialsConfig {
    /// The content of a pull secret of the type `kubernetes.io/dockerconfigjson`.
    #[serde(deserialize_with = "scalar::absolute_path_or_none")]
    pub docker_config: Option<PathBuf>,
    /// The node's managed identity, as the node's credential provider uses it.
    pub managed_identity: Option<IdentityConfig>,
}

/// A managed identity of the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping, such as {client_id: 00000000-0000-0000-0000-000000000000}, or {}"
)]
pub struct IdentityConfig {
    /// Which one; none is needed where the node has only one.
    #[serde(deserialize_with = "scalar::identity::client_id_or_none")]
    pub client_id: Option<ClientId>,
}

/// How fast the layers of a registry have to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping, such as {bytes: 1MiB, floor: 5MiB/s}"
)]
pub struct ThroughputConfig {
    /// How much of the largest layer of the first image is downloaded.
    #[serde(default = "mebibyte", deserialize_with = "scalar::bytes::deserialize")]
    pub bytes: u64,
    /// What is slower is a finding, in bytes per second.
    #[serde(deserialize_with = "scalar::bytes::per_second")]
    pub floor: u64,
}

fn mebibyte() -> u64 {
    1024 * 1024
}

/// Where the node keeps its resolver, mirror and proxy settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys root, resolv_conf, hosts, certs_d, localdns, proxy and \
                 containerd"
)]
pub struct NodeConfig {
    /// Where this process sees the node's file system. The paths below are as the node sees them.
    #[serde(deserialize_with = "scalar::absolute_path")]
    pub root: PathBuf,
    /// The node's resolv.conf.
    #[serde(deserialize_with = "scalar::absolute_path")]
    pub resolv_conf: PathBuf,
    /// The node's hosts file.
    #[serde(deserialize_with = "scalar::absolute_path")]
    pub hosts: PathBuf,
    /// The directory of `<registry>/hosts.toml` files; none is where containerd's own configuration says.
    #[serde(deserialize_with = "scalar::absolute_path_or_auto")]
    pub certs_d: Option<PathBuf>,
    /// The directory of AKS's LocalDNS: its upstream servers and pinned names.
    #[serde(deserialize_with = "scalar::absolute_path")]
    pub localdns: PathBuf,
    /// Where the proxy settings come from.
    pub proxy: ProxySource,
    /// Which containerd pulls.
    pub containerd: ContainerdSource,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            root: "/".into(),
            resolv_conf: "/etc/resolv.conf".into(),
            hosts: "/etc/hosts".into(),
            certs_d: None,
            localdns: "/etc/localdns".into(),
            proxy: ProxySource::Env,
            containerd: ContainerdSource::Auto,
        }
    }
}

/// How the release of the node's containerd is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerdSource {
    /// By its program, where that can be seen.
    Auto,
    /// It is this one.
    Release(ContainerdRelease),
}

impl FromStr for ContainerdSource {
    type Err = ContainerdSourceError;

    fn from_str(text: &str) -> Result<Self, ContainerdSourceError> {
        match text {
            "auto" => Ok(Self::Auto),
            version => match version.parse() {
                Ok(release) => Ok(Self::Release(release)),
                Err(_) => Err(ContainerdSourceError(version.into())),
            },
        }
    }
}

read_as!(ContainerdSource, "auto or a version");

/// Neither `auto` nor a version.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} is not a version of containerd; write auto, or a version such as 1.7 or 2.3.3", quoted(.0))]
pub struct ContainerdSourceError(String);

/// Where the proxy settings come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxySource {
    /// `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of this process.
    Env,
    /// No proxy, regardless of the environment.
    None,
}

impl FromStr for ProxySource {
    type Err = ProxySourceError;

    fn from_str(text: &str) -> Result<Self, ProxySourceError> {
        match text {
            "env" => Ok(Self::Env),
            "none" => Ok(Self::None),
            _ => Err(ProxySourceError),
        }
    }
}

read_as!(ProxySource, "env or none");

/// Neither `env` nor `none`. What was typed may be a URL with a password, so it is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("this is not a source of proxy settings; write env, and set HTTPS_PROXY, or none")]
pub struct ProxySourceError;

/// How often each kind of round is run, and how long one stage may take.
///
/// Every round starts with the network stages. Deeper stages join a round when their interval has
/// passed, so no interval may be shorter than the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys network_interval, request_interval, token_interval, \
                 image_interval and timeout"
)]
pub struct ScheduleConfig {
    /// Between two surveys: resolve, connect, proxy, tls. It may be shorter than the timeout:
    /// a round is skipped while the one before it still runs.
    #[serde(deserialize_with = "scalar::duration::deserialize")]
    pub network_interval: Duration,
    /// Between two requests to an endpoint: challenge, http.
    #[serde(deserialize_with = "scalar::duration::deserialize")]
    pub request_interval: Duration,
    /// Between two token requests.
    #[serde(deserialize_with = "scalar::duration::deserialize")]
    pub token_interval: Duration,
    /// Between two fetches of the configured images.
    #[serde(deserialize_with = "scalar::duration::deserialize")]
    pub image_interval: Duration,
    /// The longest that one stage may take.
    #[serde(deserialize_with = "scalar::duration::deserialize")]
    pub timeout: Duration,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            network_interval: Duration::from_secs(15),
            request_interval: Duration::from_secs(60),
            token_interval: Duration::from_secs(5 * 60),
            image_interval: Duration::from_secs(15 * 60),
            timeout: Duration::from_secs(10),
        }
    }
}

/// Which certificates to trust in addition to the node's bundle, and when to warn.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys ca_file and expiry_warning"
)]
pub struct TlsConfig {
    /// PEM certificates added to the node's bundle.
    #[serde(deserialize_with = "scalar::absolute_path_or_none")]
    pub ca_file: Option<PathBuf>,
    /// How long before its expiry a certificate is reported; zero: never.
    #[serde(deserialize_with = "scalar::duration::deserialize")]
    pub expiry_warning: Duration,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            ca_file: None,
            expiry_warning: Duration::from_secs(14 * 24 * 60 * 60),
        }
    }
}

/// What the agent tells Kubernetes about its node. It needs rights in the cluster, which the chart grants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys node_condition and events"
)]
pub struct KubernetesConfig {
    /// The condition `ContainerRegistryReachable`.
    pub node_condition: bool,
    /// An Event when a registry starts or stops failing.
    pub events: bool,
}

/// Which metrics are exported.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys histograms and buckets"
)]
pub struct MetricsConfig {
    /// Whether stage and lookup times are kept as histograms.
    pub histograms: bool,
    /// Upper bounds of the histograms' buckets in seconds; finite, positive, increasing.
    pub buckets: Vec<f64>,
}

/// All stages share one set of buckets, so it covers both what is normal and what faults cause.
///
/// A cached lookup or a dial inside the network takes up to 1 ms, a handshake or a `/v2/` takes 5 to
/// 250 ms. The bounds above that separate the waits that faults cause: a lost SYN is sent again after
/// 1 s and after 3 s, Go's resolver waits 5 s for a nameserver, and 10 s is the default timeout. Steps
/// of 1, 2.5 and 5 limit the error of a quantile, as in the Prometheus clients.
const DEFAULT_BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            histograms: true,
            buckets: DEFAULT_BUCKETS.to_vec(),
        }
    }
}
