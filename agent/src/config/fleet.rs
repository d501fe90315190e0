//! The section about the other agents: how many share a registry's limits, and how to ask them what they see.

use std::{
    fmt::{self, Display},
    net::SocketAddr,
    path::PathBuf,
    str::FromStr,
};

use serde::Deserialize;
use thiserror::Error;

use super::scalar::{self, HostName, HttpUrl, Label, MAX_COUNT, parse_count, quoted, read_as};

/// All agents of the cluster: they share a registry's rate limits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys size, service, nameserver, requests_per_minute, port, client, prometheus and prometheus_client"
)]
pub struct FleetConfig {
    /// How many agents there are.
    pub size: FleetSize,
    /// The headless Service whose addresses are the agents.
    #[serde(deserialize_with = "scalar::name::host_name_or_none")]
    pub service: Option<HostName>,
    /// The cluster nameserver that knows the Service.
    #[serde(deserialize_with = "scalar::address::nameserver_or_none")]
    pub nameserver: Option<SocketAddr>,
    /// How many requests all agents together may send to one registry in a minute.
    #[serde(deserialize_with = "scalar::count")]
    pub requests_per_minute: u32,
    /// Where every agent listens.
    #[serde(deserialize_with = "scalar::address::port")]
    pub port: u16,
    /// How an agent asks the others, for the view of the whole fleet.
    pub client: FleetClient,
    /// A Prometheus that scrapes them all, to ask instead of them.
    #[serde(deserialize_with = "scalar::http_url::http_url_or_none")]
    pub prometheus: Option<HttpUrl>,
    /// How an agent asks that Prometheus.
    pub prometheus_client: HttpClient,
}

impl FleetConfig {
    /// Whether both count the agents in the same way, and share the same budget. How agents are asked what they
    /// see does not matter for that.
    #[must_use]
    pub fn counts_as(&self, other: &Self) -> bool {
        let counts = |fleet: &Self| {
            let service = fleet.service.clone();
            (
                fleet.size,
                service,
                fleet.nameserver,
                fleet.requests_per_minute,
            )
        };
        counts(self) == counts(other)
    }
}

impl Default for FleetConfig {
    fn default() -> Self {
        Self {
            size: FleetSize::Auto,
            service: None,
            nameserver: None,
            requests_per_minute: 1000,
            port: 9118,
            client: FleetClient::default(),
            prometheus: None,
            prometheus_client: HttpClient::default(),
        }
    }
}

/// How many agents share the request budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FleetSize {
    /// As many as the Service has addresses.
    Auto,
    /// This many, at least one.
    Fixed(u32),
}

impl FromStr for FleetSize {
    type Err = FleetSizeError;

    fn from_str(text: &str) -> Result<Self, FleetSizeError> {
        match text {
            "auto" => Ok(Self::Auto),
            number => parse_count(number)
                .map(Self::Fixed)
                .map_err(|_| FleetSizeError(number.into())),
        }
    }
}

read_as!(FleetSize, "auto or a number");

/// Neither `auto` nor a number of agents.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} is not the size of a fleet; write auto, or a whole number from 1 to {MAX_COUNT}", quoted(.0))]
pub struct FleetSizeError(String);

/// How an agent asks the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "TypedFleetClient")]
pub struct FleetClient {
    /// What the agents speak.
    pub scheme: PeerScheme,
    /// What each question has with it.
    pub http: HttpClient,
}

/// The same as typed, in one mapping as Prometheus has it.
#[derive(Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys scheme, basic_auth, authorization and tls_config"
)]
struct TypedFleetClient {
    scheme: PeerScheme,
    basic_auth: Option<BasicAuth>,
    authorization: Option<Authorization>,
    tls_config: ClientTls,
}

impl From<TypedFleetClient> for FleetClient {
    fn from(typed: TypedFleetClient) -> Self {
        Self {
            scheme: typed.scheme,
            http: HttpClient {
                basic_auth: typed.basic_auth,
                authorization: typed.authorization,
                tls_config: typed.tls_config,
            },
        }
    }
}

/// Who asks, and whom it trusts. The keys are those of Prometheus' HTTP clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys basic_auth, authorization and tls_config"
)]
pub struct HttpClient {
    /// A user that the server knows, such as one of the agents' `--web.config.file`.
    pub basic_auth: Option<BasicAuth>,
    /// A token, such as one for a proxy in front of the server.
    pub authorization: Option<Authorization>,
    /// Whom to trust, and who this agent is.
    pub tls_config: ClientTls,
}

/// With TLS or without.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PeerScheme {
    /// Without.
    #[default]
    Http,
    /// With.
    Https,
}

impl FromStr for PeerScheme {
    type Err = PeerSchemeError;

    fn from_str(text: &str) -> Result<Self, PeerSchemeError> {
        match text {
            "http" => Ok(Self::Http),
            "https" => Ok(Self::Https),
            other => Err(PeerSchemeError(other.into())),
        }
    }
}

impl Display for PeerScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

read_as!(PeerScheme, "http or https");

/// Neither `http` nor `https`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} is not a scheme of agents; write http or https", quoted(.0))]
pub struct PeerSchemeError(String);

/// A user and where the password is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping with the keys username and password_file"
)]
pub struct BasicAuth {
    /// The name.
    pub username: Label,
    /// The file with the password; it is read each time.
    #[serde(deserialize_with = "scalar::absolute_path")]
    pub password_file: PathBuf,
}

/// A bearer token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping with the key credentials_file"
)]
pub struct Authorization {
    /// The file with the token; it is read each time.
    #[serde(deserialize_with = "scalar::absolute_path")]
    pub credentials_file: PathBuf,
}

/// TLS towards the other agents, or a Prometheus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys ca_file, cert_file, key_file and server_name"
)]
pub struct ClientTls {
    /// Who signs their certificates; for agents it is required, and for a Prometheus it replaces what the node trusts.
    #[serde(deserialize_with = "scalar::absolute_path_or_none")]
    pub ca_file: Option<PathBuf>,
    /// A client certificate.
    #[serde(deserialize_with = "scalar::absolute_path_or_none")]
    pub cert_file: Option<PathBuf>,
    /// Its key.
    #[serde(deserialize_with = "scalar::absolute_path_or_none")]
    pub key_file: Option<PathBuf>,
    /// The name in their certificates; without it, that by which they are asked.
    #[serde(deserialize_with = "scalar::name::host_name_or_none")]
    pub server_name: Option<HostName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_agents_are_asked_does_not_change_how_they_are_counted() {
        let fleet = FleetConfig::default();
        let asked = FleetConfig {
            port: 9443,
            client: FleetClient {
                scheme: PeerScheme::Https,
                ..FleetClient::default()
            },
            prometheus: "http://prometheus:9090".parse().ok(),
            ..fleet.clone()
        };
        assert!(asked.prometheus.is_some() && asked.counts_as(&fleet));
        let larger = FleetConfig {
            size: FleetSize::Fixed(2),
            ..fleet.clone()
        };
        assert!(!larger.counts_as(&fleet));
    }
}
