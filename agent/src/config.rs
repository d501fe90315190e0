//! What the operator asked for: the YAML file of `--config.file`, checked and typed.
//!
//! [`ConfigFile`] is what was typed, [`Config`] is what it means; the plan and the scheduler see
//! only the latter. Reading opens only the config file itself and asks nobody: whether a CA bundle
//! exists or a name resolves is for the probes to find out.

mod checked;
mod error;
mod file;
mod fleet;
mod load;
mod location;
mod rules;
mod scalar;
mod sections;
mod similar;
mod violation;
mod yaml;

pub use self::checked::{Config, RegistryConfig};
pub use self::error::ConfigError;
pub use self::file::{ConfigFile, RegistryFile};
pub use self::fleet::{
    Authorization, BasicAuth, ClientTls, FleetClient, FleetConfig, FleetSize, FleetSizeError,
    HttpClient, PeerScheme, PeerSchemeError,
};
pub(crate) use self::load::{load, read_text};
pub use self::location::{KeyPath, Location};
pub use self::rules::{check_interval, check_timeout};
pub use self::scalar::{
    AddressError, ClientId, ClientIdError, DurationError, DurationText, HostName, HostNameError,
    HttpUrl, HttpUrlError, Image, ImageError, Label, LabelError, Private, RangeError, Region,
    RegionError, Server, ServerError, parse_duration, parse_nameserver, parse_range,
};
pub use self::sections::{
    ContainerdSource, ContainerdSourceError, CredentialsConfig, IdentityConfig, KubernetesConfig,
    MetricsConfig, NameserverConfig, NodeConfig, ProxySource, ProxySourceError, ScheduleConfig,
    ThroughputConfig, TlsConfig,
};
pub(crate) use self::similar::most_similar;
pub use self::violation::{Problem, Violation};
pub(crate) use self::yaml::read as from_yaml;
