//! The config as it applies: every value in range, defaults filled in, names and servers distinct.
//! [`super::rules`] makes it.

use super::fleet::FleetConfig;
use super::scalar::{Image, Private, Region, Server};
use super::sections::{
    CredentialsConfig, KubernetesConfig, MetricsConfig, NameserverConfig, NodeConfig,
    ScheduleConfig, ThroughputConfig, TlsConfig,
};

/// The whole configuration, with the defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The registries to probe; at least one, with distinct names and servers.
    pub registries: Vec<RegistryConfig>,
    /// Nameservers to ask in addition to the node's own.
    pub nameservers: Vec<NameserverConfig>,
    /// Where the files are that decide how the node pulls.
    pub node: NodeConfig,
    /// How often to probe, and how long to wait.
    pub schedule: ScheduleConfig,
    /// How all agents together stay within a registry's limits.
    pub fleet: FleetConfig,
    /// Which certificates to trust, and when to warn.
    pub tls: TlsConfig,
    /// What to export.
    pub metrics: MetricsConfig,
    /// What to tell Kubernetes about the node.
    pub kubernetes: KubernetesConfig,
}

/// One login server and what is expected of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RegistryConfig {
    /// The label `registry`; by default the server.
    pub name: String,
    /// The login server.
    pub server: Server,
    /// The regions an Azure registry is replicated to: each has a data endpoint.
    pub regions: Vec<Region>,
    /// Data endpoints listed by name.
    pub data_endpoints: Vec<Server>,
    /// Which addresses its endpoints should have.
    pub private: Private,
    /// Whether the registry must grant a token without credentials.
    pub anonymous_pull: bool,
    /// Images whose manifest and blobs are fetched.
    pub images: Vec<Image>,
    /// What the kubelet has for it; by default nothing, and pulls are anonymous.
    pub credentials: CredentialsConfig,
    /// How fast layers have to come; by default none is downloaded.
    pub throughput: Option<ThroughputConfig>,
}
