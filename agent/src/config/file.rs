//! The config as it was typed: what serde reads.
//!
//! Sections that need no interpretation have a single type, in [`super::sections`].

use serde::Deserialize;

use super::fleet::FleetConfig;
use super::scalar::{Image, Label, Private, Region, Server};
use super::sections::{
    CredentialsConfig, KubernetesConfig, MetricsConfig, NameserverConfig, NodeConfig,
    ScheduleConfig, ThroughputConfig, TlsConfig,
};

/// A config in which each value has the right form. The command line builds one, too.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the key registries"
)]
pub struct ConfigFile {
    /// The only required key.
    pub registries: Vec<RegistryFile>,
    /// In addition to the node's own.
    pub nameservers: Vec<NameserverConfig>,
    /// The node's files.
    pub node: NodeConfig,
    /// Intervals and timeout.
    pub schedule: ScheduleConfig,
    /// The request budget.
    pub fleet: FleetConfig,
    /// Roots and warnings.
    pub tls: TlsConfig,
    /// Histograms.
    pub metrics: MetricsConfig,
    /// Node condition and Events.
    pub kubernetes: KubernetesConfig,
}

/// One entry of `registries`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping, such as \"server: contoso.azurecr.io\""
)]
pub struct RegistryFile {
    /// The login server.
    pub server: Server,
    /// A shorter name for it.
    #[serde(default)]
    pub name: Option<Label>,
    /// The regions that an Azure Container Registry is replicated to.
    #[serde(default)]
    pub regions: Vec<Region>,
    /// Data endpoints listed by name.
    #[serde(default)]
    pub data_endpoints: Vec<Server>,
    /// Which addresses its endpoints should have.
    #[serde(default)]
    pub private: Private,
    /// Whether the registry must grant a token without credentials.
    #[serde(default)]
    pub anonymous_pull: bool,
    /// Images to fetch.
    #[serde(default)]
    pub images: Vec<Image>,
    /// What the kubelet has for it.
    #[serde(default)]
    pub credentials: CredentialsConfig,
    /// How fast layers have to come.
    #[serde(default)]
    pub throughput: Option<ThroughputConfig>,
}

impl From<Server> for RegistryFile {
    fn from(server: Server) -> Self {
        Self {
            server,
            name: None,
            regions: Vec::new(),
            data_endpoints: Vec::new(),
            private: Private::No,
            anonymous_pull: false,
            images: Vec::new(),
            credentials: CredentialsConfig::default(),
            throughput: None,
        }
    }
}
