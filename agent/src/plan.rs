//! What to probe, derived from the configuration: targets with all their endpoints, and how to read the
//! node. Made at start and at each reload; nothing here uses the network.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use regprobe_probes::{
    Endpoint, Expectation, Expectations, Image, ManagedIdentity, Role, Scheme, Target, Throughput,
    TrustError,
};

pub(crate) use self::{
    certs_d::{OfContainerd, node_at},
    discover::{ImageInUse, discover},
    node::{NodeSource, node_name},
};
use crate::config::{self, Config, Private, Server};

mod certs_d;
mod discover;
mod node;

/// Files that the agent always has open, not counting connections of its web server.
const OWN_FILES: usize = 32;
/// Addresses that an endpoint is assumed to have.
const ADDRESSES: usize = 4;

/// Everything that the scheduler needs.
pub(crate) struct Plan {
    /// One for each configured registry.
    pub registries: Vec<Arc<PlannedRegistry>>,
    /// How to read the node.
    pub node: Arc<NodeSource>,
    /// Which agents share a registry's limits.
    pub fleet: config::FleetConfig,
    /// What to tell Kubernetes about the node.
    pub kubernetes: config::KubernetesConfig,
}

impl Plan {
    /// Derives the plan; the only file that it reads is the CA bundle. Servers in `instead` replace the
    /// node's own nameservers.
    pub(crate) fn new(config: &Config, instead: &[SocketAddr]) -> Result<Self, TrustError> {
        let intervals = Intervals::from(&config.schedule);
        let planned = |registry| Arc::new(PlannedRegistry::new(registry, intervals, &config.tls));
        Ok(Self {
            registries: config.registries.iter().map(planned).collect(),
            node: Arc::new(NodeSource::new(config, instead)?),
            fleet: config.fleet.clone(),
            kubernetes: config.kubernetes.clone(),
        })
    }

    /// The most files open at once, with this many nameservers and all rounds at the same time.
    pub(crate) fn files(&self, nameservers: usize) -> u64 {
        // Two questions to each nameserver, then one or two addresses of each family.
        let endpoint = (2 * nameservers).max(ADDRESSES);
        let endpoints = self.registries.iter().map(|planned| {
            // One more for a token host, or for the host that a blob is redirected to.
            planned.target.data.len() + 2
        });
        let files = OWN_FILES + endpoints.sum::<usize>() * endpoint;
        u64::try_from(files).unwrap_or(u64::MAX)
    }
}

/// How often each depth is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// Of rounds at all.
    pub network: Duration,
    /// Of rounds with requests.
    pub request: Duration,
    /// Of rounds with a token request.
    pub token: Duration,
    /// Of rounds that walk to the images.
    pub image: Duration,
}

impl From<&config::ScheduleConfig> for Intervals {
    fn from(schedule: &config::ScheduleConfig) -> Self {
        Self {
            network: schedule.network_interval,
            request: schedule.request_interval,
            token: schedule.token_interval,
            image: schedule.image_interval,
        }
    }
}

/// One registry to probe.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PlannedRegistry {
    /// The label `registry`.
    pub name: Arc<str>,
    /// `host[:port]` as configured.
    pub server: String,
    /// What a round probes.
    pub target: Target,
    /// Where its addresses should be.
    pub expectation: Expectation,
    /// How long before its expiry a certificate is reported.
    pub expiry_warning: Duration,
    /// How often each depth is due, if the fleet's budget allows.
    pub intervals: Intervals,
}

impl PlannedRegistry {
    /// Derives the endpoints of one registry.
    pub(crate) fn new(
        registry: &config::RegistryConfig,
        intervals: Intervals,
        tls: &config::TlsConfig,
    ) -> Self {
        let login = login(&registry.server);
        let derived = data_hosts(registry).map(|host| Endpoint {
            host: host.into(),
            role: Role::Data,
            ..login.clone()
        });
        let named = registry
            .data_endpoints
            .iter()
            .map(|server| endpoint(server, Role::Data));
        let mut data: Vec<_> = derived.collect();
        for endpoint in named {
            if !data.contains(&endpoint) {
                data.push(endpoint);
            }
        }
        Self {
            name: registry.name.as_str().into(),
            server: registry.server.to_string(),
            target: Target {
                named: match registry.server.is_docker_hub() {
                    true => "docker.io".to_owned(),
                    false => login.authority(),
                },
                login,
                data,
                token: None,
                images: registry
                    .images
                    .iter()
                    .map(|image| pulled(&registry.server, &image.0))
                    .collect(),
                anonymous_pull: registry.anonymous_pull,
                docker_config: registry.credentials.docker_config.clone(),
                managed_identity: registry.credentials.managed_identity.as_ref().map(identity),
                throughput: registry.throughput.map(throughput),
                layers: usize::MAX,
            },
            expectation: match &registry.private {
                Private::No => Expectation::Any,
                Private::Yes => Expectation::PrivateScope,
                Private::Within(ranges) => Expectation::Ranges(ranges.clone()),
            },
            expiry_warning: tls.expiry_warning,
            intervals,
        }
    }

    /// How many anonymous pulls its walks may come to: with each kind of credential a whole pull is tried, and one
    /// without. An exchange is one request, and a pull that is refused is half of one.
    pub(crate) fn pulls(&self) -> usize {
        let Target {
            images,
            docker_config,
            managed_identity,
            ..
        } = &self.target;
        let kinds = [docker_config.is_some(), managed_identity.is_some()];
        images.len()
            * (1 + kinds
                .into_iter()
                .filter(|is_configured| *is_configured)
                .count())
    }

    /// What the diagnosis of a round at `now` compares it with.
    pub(crate) fn expectations(&self, now: Timestamp) -> Expectations {
        Expectations {
            private: self.expectation.clone(),
            anonymous_pull: self.target.anonymous_pull,
            expiry_warning: self.expiry_warning,
            floor: self.target.throughput.map(|throughput| throughput.floor),
            now,
        }
    }
}

/// Images of `docker.io` come from another host.
fn login(server: &Server) -> Endpoint {
    let named = endpoint(server, Role::Login);
    match server.is_docker_hub() {
        true => Endpoint {
            host: "registry-1.docker.io".into(),
            ..named
        },
        false => named,
    }
}

/// The image as the kubelet asks for it: at Docker Hub, what has no owner is in `library`.
fn pulled(server: &Server, image: &Image) -> Image {
    match server.is_docker_hub() && !image.repository.contains('/') {
        true => Image {
            repository: format!("library/{}", image.repository),
            ..image.clone()
        },
        false => image.clone(),
    }
}

fn endpoint(server: &Server, role: Role) -> Endpoint {
    let scheme = if server.is_plain_http() {
        Scheme::Http
    } else {
        Scheme::Https
    };
    Endpoint {
        host: server.host().into(),
        port: server.port(),
        role,
        scheme,
    }
}

fn identity(configured: &config::IdentityConfig) -> ManagedIdentity {
    let client_id = configured.client_id.as_ref().map(ToString::to_string);
    ManagedIdentity { client_id }
}

fn throughput(configured: config::ThroughputConfig) -> Throughput {
    let config::ThroughputConfig { bytes, floor } = configured;
    Throughput { bytes, floor }
}

fn data_hosts(registry: &config::RegistryConfig) -> impl Iterator<Item = String> + '_ {
    let acr = registry.server.acr();
    registry.regions.iter().filter_map(move |region| {
        acr.as_ref()
            .map(|acr| acr.data_endpoint(region.as_str()).to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_credential_is_a_pull_more() {
        for (credentials, pulls) in [
            ("{}", 2),
            ("{docker_config: /etc/a}", 4),
            ("{managed_identity: {}}", 4),
            ("{docker_config: /etc/a, managed_identity: {}}", 6),
        ] {
            let config = Config::parse(&format!(
                "registries:\n  - server: contoso.azurecr.io\n    images: [\"a:v1\", \"b:v1\"]\n    \
                 credentials: {credentials}\n"
            ))
            .unwrap();
            let (registry, schedule) = (&config.registries[0], Intervals::from(&config.schedule));
            let planned = PlannedRegistry::new(registry, schedule, &config.tls);
            assert_eq!(planned.pulls(), pulls, "{credentials}");
        }
    }
}
