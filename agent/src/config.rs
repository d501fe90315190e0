//! What the operator asked for: the YAML file of `--config.file`, checked and typed.
//!
//! [`ConfigFile`] is what was typed, [`Config`] what it means; the plan and the scheduler see
//! only the latter. Reading touches no file but the config itself and asks nobody: that a
//! bundle exists or a name resolves is for the probes to find out.

mod address;
mod duration;
mod file;
mod image;
mod load;
mod name;
mod place;
mod rules;
mod scalar;
mod server;
mod yaml;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regprobe_probes::read_regular;
use serde::Deserialize;
use thiserror::Error;

pub use self::address::{AddressError, Private, RangeError, parse_nameserver, parse_range};
pub use self::duration::{DurationError, DurationText, parse_duration};
pub use self::file::{ConfigFile, RegistryFile};
pub use self::image::{Image, ImageError};
pub(crate) use self::load::load;
pub use self::name::{HostName, HostNameError, Label, LabelError, Region, RegionError};
pub use self::place::{KeyPath, Location};
pub use self::rules::{Complaint, Problem, check_interval, check_timeout};
pub use self::scalar::{FleetSizeError, ProxySourceError};
pub use self::server::{Server, ServerError};
pub(crate) use self::yaml::read as from_yaml;

/// The largest config that is read, in bytes: as large as a ConfigMap can be.
const MAX_BYTES: usize = 1 << 20;

/// Everything `regprobe` is told, with the defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The registries to probe; at least one, with distinct names and servers.
    pub registries: Vec<Registry>,
    /// Nameservers to ask beside the node's own.
    pub nameservers: Vec<Nameserver>,
    /// Where the node keeps what decides a pull.
    pub node: Node,
    /// How often to probe, and how long to wait.
    pub schedule: Schedule,
    /// How all agents together stay within a registry's limits.
    pub fleet: Fleet,
    /// Whom to trust, and when to warn.
    pub tls: Tls,
    /// What to export.
    pub metrics: Metrics,
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// The error does not name the file; the caller knows it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&read_text(path)?)
    }

    /// Reads the file at `path`, whatever it says.
    pub fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
        // One byte over the limit is enough to know.
        let bytes = read_regular(path, MAX_BYTES as u64 + 1).map_err(ConfigError::Read)?;
        if bytes.len() > MAX_BYTES {
            return Err(ConfigError::TooLarge);
        }
        Ok(bytes)
    }

    /// Checks `text`, the content of a config file.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.len() > MAX_BYTES {
            return Err(ConfigError::TooLarge);
        }
        Self::try_from(yaml::read::<ConfigFile>(text)?).map_err(|complaint| {
            let location = yaml::locate(text, &complaint.path);
            let first = complaint.first.as_ref();
            let first = first.and_then(|path| yaml::locate(text, path));
            ConfigError::Refused {
                complaint: Box::new(complaint),
                location,
                first,
            }
        })
    }
}

/// Reads a file of YAML at `path` as text; the error does not name the file.
pub(crate) fn read_text(path: &Path) -> Result<String, ConfigError> {
    String::from_utf8(Config::read(path)?).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        ConfigError::NotUtf8(Location::of(error.as_bytes(), place))
    })
}

/// One login server and what is expected of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Registry {
    /// The label `registry`; the server's own name unless given another.
    pub name: String,
    /// The login server.
    pub server: Server,
    /// The regions an Azure registry is replicated to: each has a data endpoint.
    pub regions: Vec<Region>,
    /// Data endpoints given by name.
    pub data_endpoints: Vec<Server>,
    /// Which addresses its endpoints should have.
    pub private: Private,
    /// Whether a token without credentials must be granted.
    pub anonymous_pull: bool,
    /// Images whose manifest and first layer are fetched.
    pub images: Vec<Image>,
}

/// A nameserver that is asked although the node does not use it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping with the keys address and name"
)]
pub struct Nameserver {
    /// The label `nameserver`; the address stands in for a missing name.
    #[serde(default)]
    pub name: Option<Label>,
    /// Where it listens.
    #[serde(deserialize_with = "address::nameserver")]
    pub address: SocketAddr,
}

/// Where the node keeps its resolver, mirror and proxy settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys root, resolv_conf, hosts, certs_d, localdns and proxy"
)]
pub struct Node {
    /// Where this process sees the node's file system; the paths below are the node's own.
    #[serde(deserialize_with = "scalar::absolute_path")]
    pub root: PathBuf,
    /// The node's resolv.conf.
    #[serde(deserialize_with = "scalar::absolute_path")]
    pub resolv_conf: PathBuf,
    /// The node's hosts file.
    #[serde(deserialize_with = "scalar::absolute_path")]
    pub hosts: PathBuf,
    /// containerd's directory of `<registry>/hosts.toml` files.
    #[serde(deserialize_with = "scalar::absolute_path")]
    pub certs_d: PathBuf,
    /// The directory of AKS's LocalDNS: its upstream servers and its pins.
    #[serde(deserialize_with = "scalar::absolute_path")]
    pub localdns: PathBuf,
    /// Where the proxy settings come from.
    pub proxy: ProxySource,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            root: "/".into(),
            resolv_conf: "/etc/resolv.conf".into(),
            hosts: "/etc/hosts".into(),
            certs_d: "/etc/containerd/certs.d".into(),
            localdns: "/etc/localdns".into(),
            proxy: ProxySource::Env,
        }
    }
}

/// Where the proxy settings come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxySource {
    /// `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of this process.
    Env,
    /// No proxy, whatever the environment says.
    None,
}

/// How often each kind of round is run, and how long one stage may take.
///
/// Every round starts at the network stages; the deeper ones are added when their own interval
/// has passed too. So the intervals never shrink on the way down.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys network_interval, request_interval, token_interval, \
                 image_interval and timeout"
)]
pub struct Schedule {
    /// Between two surveys: resolve, connect, proxy, tls. It may be shorter than the timeout:
    /// a round that finds the one before it still running is skipped.
    #[serde(deserialize_with = "duration::deserialize")]
    pub network_interval: Duration,
    /// Between two requests to an endpoint: challenge, http.
    #[serde(deserialize_with = "duration::deserialize")]
    pub request_interval: Duration,
    /// Between two token requests.
    #[serde(deserialize_with = "duration::deserialize")]
    pub token_interval: Duration,
    /// Between two fetches of the configured images.
    #[serde(deserialize_with = "duration::deserialize")]
    pub image_interval: Duration,
    /// The longest that one stage may take.
    #[serde(deserialize_with = "duration::deserialize")]
    pub timeout: Duration,
}

impl Default for Schedule {
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

/// The agents of the whole cluster, who share a registry's request limits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys size, service, nameserver and requests_per_minute"
)]
pub struct Fleet {
    /// How many agents there are.
    pub size: FleetSize,
    /// The headless Service whose addresses are the agents.
    #[serde(deserialize_with = "name::host_name_or_none")]
    pub service: Option<HostName>,
    /// The cluster nameserver that knows the Service.
    #[serde(deserialize_with = "address::nameserver_or_none")]
    pub nameserver: Option<SocketAddr>,
    /// The most requests that all agents together send one registry in a minute.
    #[serde(deserialize_with = "scalar::count")]
    pub requests_per_minute: u32,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            size: FleetSize::Auto,
            service: None,
            nameserver: None,
            requests_per_minute: 1000,
        }
    }
}

/// How many agents share the request budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FleetSize {
    /// As many as the Service has addresses.
    Auto,
    /// This many; at least one.
    Fixed(u32),
}

/// Whom to trust beside the node's own bundle, and when to warn.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys ca_file and expiry_warning"
)]
pub struct Tls {
    /// PEM certificates added to the node's bundle.
    #[serde(deserialize_with = "scalar::absolute_path_or_none")]
    pub ca_file: Option<PathBuf>,
    /// How long before its end a certificate is reported; zero never does.
    #[serde(deserialize_with = "duration::deserialize")]
    pub expiry_warning: Duration,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            ca_file: None,
            expiry_warning: Duration::from_secs(14 * 24 * 60 * 60),
        }
    }
}

/// What is exported beside the counters and gauges.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys histograms and buckets"
)]
pub struct Metrics {
    /// Whether stage and lookup times are kept as histograms.
    pub histograms: bool,
    /// Upper bounds of the histograms' buckets in seconds; finite, positive, increasing.
    pub buckets: Vec<f64>,
}

/// One set of buckets serves every stage, so it spans what they take when well and when ill.
///
/// A cached lookup or a dial inside the network is done within 1 ms, a handshake or a `/v2/` in
/// 5 to 250 ms. Above, the bounds keep the waits apart that faults cause: a lost SYN comes back
/// after 1 s and again after 3 s, Go's resolver gives a nameserver 5 s, and 10 s is the default
/// timeout. Steps of 1, 2.5, 5 bound the error of a quantile, as in the Prometheus clients.
const DEFAULT_BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            histograms: true,
            buckets: DEFAULT_BUCKETS.to_vec(),
        }
    }
}

/// Why a config is not in force.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file is not there or may not be read.
    #[error("cannot read the file: {0}; check the path, and that this user may read it")]
    Read(io::Error),
    /// More than a ConfigMap could hold: not a config.
    #[error("the file is larger than 1 MiB; is it a config?")]
    TooLarge,
    /// Bytes that are no text.
    #[error("the file is not UTF-8 text; save it as UTF-8 ({0})")]
    NotUtf8(Location),
    /// Not YAML, an unknown key, or a value that cannot be what its key wants.
    #[error("{message}{}", place::suffix(*.location, None))]
    Unreadable {
        /// The path, where there is one, and what is wrong there.
        message: String,
        /// Where it stands in the file.
        location: Option<Location>,
    },
    /// Each value is well formed, but they do not go together.
    #[error("{complaint}{}", place::suffix(*.location, *.first))]
    Refused {
        /// The path and what is wrong there.
        complaint: Box<Complaint>,
        /// Where it stands in the file, or the nearest thing that does.
        location: Option<Location>,
        /// Where the first of two duplicates stands.
        first: Option<Location>,
    },
}
