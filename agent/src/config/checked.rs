//! The config as it is meant: every value in range, defaults filled in, names and servers distinct.
//! Made by [`super::rules`].

use super::scalar::{Image, Private, Region, Server};
use super::sections::{
    FleetConfig, MetricsConfig, NameserverConfig, NodeConfig, ScheduleConfig, TlsConfig,
};

/// Everything `regprobe` is told, with the defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The registries to probe; at least one, with distinct names and servers.
    pub registries: Vec<RegistryConfig>,
    /// Nameservers to ask beside the node's own.
    pub nameservers: Vec<NameserverConfig>,
    /// Where the node keeps what decides a pull.
    pub node: NodeConfig,
    /// How often to probe, and how long to wait.
    pub schedule: ScheduleConfig,
    /// How all agents together stay within a registry's limits.
    pub fleet: FleetConfig,
    /// Whom to trust, and when to warn.
    pub tls: TlsConfig,
    /// What to export.
    pub metrics: MetricsConfig,
}

/// One login server and what is expected of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RegistryConfig {
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
