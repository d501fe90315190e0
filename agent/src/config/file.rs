//! The config as it was typed.
//!
//! The sections whose meaning is what was typed have one type, in [`super::sections`].

use serde::Deserialize;

use super::scalar::{Image, Label, Private, Region, Server};
use super::sections::{
    FleetConfig, MetricsConfig, NameserverConfig, NodeConfig, ScheduleConfig, TlsConfig,
};

/// A config whose values are well formed one by one; the command line builds one, too.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the key registries"
)]
pub struct ConfigFile {
    /// The only key without which there is nothing to do.
    pub registries: Vec<RegistryFile>,
    /// Beside the node's own.
    pub nameservers: Vec<NameserverConfig>,
    /// The node's files.
    pub node: NodeConfig,
    /// Intervals and time-out.
    pub schedule: ScheduleConfig,
    /// The request budget.
    pub fleet: FleetConfig,
    /// Roots and warnings.
    pub tls: TlsConfig,
    /// Histograms.
    pub metrics: MetricsConfig,
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
    /// Of an Azure Container Registry: where it is replicated.
    #[serde(default)]
    pub regions: Vec<Region>,
    /// Data endpoints given by name.
    #[serde(default)]
    pub data_endpoints: Vec<Server>,
    /// Which addresses its endpoints should have.
    #[serde(default)]
    pub private: Private,
    /// Whether a token without credentials must be granted.
    #[serde(default)]
    pub anonymous_pull: bool,
    /// Images to fetch.
    #[serde(default)]
    pub images: Vec<Image>,
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
        }
    }
}
