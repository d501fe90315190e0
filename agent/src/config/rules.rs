//! The rules that turn a config as typed into one that applies.
//!
//! Each value already has the right form. This module checks ranges and combinations, and reports the first
//! rule that is broken, with the path of the key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::ops::RangeInclusive;
use std::time::Duration;

use regprobe_probes::Throughput;
use thiserror::Error;

use super::checked::{Config, RegistryConfig};
use super::file::{ConfigFile, RegistryFile};
use super::fleet::{FleetClient, PeerScheme};
use super::location::KeyPath;
use super::scalar::{DurationText, quoted};
use super::sections::{
    CredentialsConfig, NameserverConfig, ScheduleConfig, ThroughputConfig, TlsConfig,
};

impl TryFrom<ConfigFile> for Config {
    type Error = Violation;

    fn try_from(file: ConfigFile) -> Result<Self, Violation> {
        let registries = registries(file.registries)?;
        check_nameservers(&file.nameservers)?;
        check_schedule(&file.schedule)?;
        check_throughput(&registries, file.schedule.timeout)?;
        check_fleet_client(&file.fleet.client)?;
        check_tls(&file.tls)?;
        check_buckets(&file.metrics.buckets)?;
        Ok(Self {
            registries,
            nameservers: file.nameservers,
            node: file.node,
            schedule: file.schedule,
            fleet: file.fleet,
            tls: file.tls,
            metrics: file.metrics,
            kubernetes: file.kubernetes,
        })
    }
}

fn registries(typed: Vec<RegistryFile>) -> Result<Vec<RegistryConfig>, Violation> {
    let path = KeyPath::of("registries");
    if typed.is_empty() {
        return Err(Violation::new(path, Problem::NoRegistry));
    }
    let registries = enumerate(&path, typed)
        .map(|(path, entry)| registry(entry, &path))
        .collect::<Result<Vec<_>, _>>()?;
    // Regardless of the scheme: two entries would probe the same server twice.
    let servers = enumerate(&path, &registries).map(|(path, RegistryConfig { server, .. })| {
        let authority = format!("{}:{}", server.host(), server.port());
        (path.key("server"), authority)
    });
    check_distinct(servers, Problem::Twice)?;
    let names = enumerate(&path, &registries);
    let names = names.map(|(path, registry)| (path.key("name"), &registry.name));
    check_distinct(names, Problem::NameTaken)?;
    Ok(registries)
}

fn registry(typed: RegistryFile, path: &KeyPath) -> Result<RegistryConfig, Violation> {
    let server = typed.server;
    let regions = path.key("regions");
    if !typed.regions.is_empty() && server.acr().is_none() {
        let problem = Problem::RegionsOutsideAzure(server.to_string());
        return Err(Violation::new(regions, problem));
    }
    let data_endpoints = path.key("data_endpoints");
    let images = path.key("images");
    for (path, image) in enumerate(&images, &typed.images) {
        if let Some((registry, _)) = image.0.repository.split_once('/')
            && registry == server.host()
        {
            let problem = Problem::ImageWithServer {
                image: image.to_string(),
                server: registry.into(),
            };
            return Err(Violation::new(path, problem));
        }
    }
    if typed.credentials != CredentialsConfig::default() {
        let problem = match (server.is_plain_http(), typed.images.is_empty()) {
            (true, _) => Some(Problem::CredentialsInTheClear),
            (false, true) => Some(Problem::CredentialsWithoutImage),
            (false, false) => None,
        };
        if let Some(problem) = problem {
            return Err(Violation::new(path.key("credentials"), problem));
        }
        if typed.credentials.managed_identity.is_some() && server.acr().is_none() {
            let problem = Problem::IdentityOutsideAzure(server.to_string());
            let path = path.key("credentials").key("managed_identity");
            return Err(Violation::new(path, problem));
        }
    }
    check_distinct(enumerate(&regions, &typed.regions), Problem::Twice)?;
    check_distinct(
        enumerate(&data_endpoints, &typed.data_endpoints),
        Problem::Twice,
    )?;
    check_distinct(enumerate(&images, &typed.images), Problem::Twice)?;
    Ok(RegistryConfig {
        name: typed
            .name
            .map_or_else(|| server.to_string(), |name| name.to_string()),
        server,
        regions: typed.regions,
        data_endpoints: typed.data_endpoints,
        private: typed.private,
        anonymous_pull: typed.anonymous_pull,
        images: typed.images,
        credentials: typed.credentials,
        throughput: typed.throughput,
    })
}

/// The shortest time for a download that says anything.
const LEAST_DOWNLOAD: Duration = Duration::from_millis(10);
/// How much a download may be: below, little more than one buffer comes; above, nodes are no guests any more.
const DOWNLOADED: RangeInclusive<u64> = 256 * 1024..=64 * 1024 * 1024;

fn check_throughput(registries: &[RegistryConfig], timeout: Duration) -> Result<(), Violation> {
    for (path, registry) in enumerate(&KeyPath::of("registries"), registries) {
        let path = path.key("throughput");
        let Some(ThroughputConfig { bytes, floor }) = registry.throughput else {
            continue;
        };
        if registry.images.is_empty() {
            return Err(Violation::new(path, Problem::ThroughputWithoutImage));
        }
        if !DOWNLOADED.contains(&bytes) {
            return Err(Violation::new(path.key("bytes"), Problem::DownloadSize));
        }
        let takes = Throughput { bytes, floor }.limit();
        let problem = if takes < LEAST_DOWNLOAD {
            Problem::DownloadTooQuick(DurationText(LEAST_DOWNLOAD))
        } else if takes > timeout {
            let [takes, timeout] = [takes, timeout].map(DurationText);
            Problem::DownloadTooLong { takes, timeout }
        } else {
            continue;
        };
        return Err(Violation::new(path.key("floor"), problem));
    }
    Ok(())
}

fn check_nameservers(nameservers: &[NameserverConfig]) -> Result<(), Violation> {
    let path = KeyPath::of("nameservers");
    let addresses = enumerate(&path, nameservers);
    let addresses = addresses.map(|(path, entry)| (path.key("address"), entry.address));
    check_distinct(addresses, Problem::Twice)?;
    let names = enumerate(&path, nameservers);
    let names = names.filter_map(|(path, entry)| Some((path.key("name"), entry.name.as_ref()?)));
    check_distinct(names, Problem::NameTaken)
}

fn check_schedule(schedule: &ScheduleConfig) -> Result<(), Violation> {
    let path = KeyPath::of("schedule");
    let intervals = [
        ("network_interval", schedule.network_interval),
        ("request_interval", schedule.request_interval),
        ("token_interval", schedule.token_interval),
        ("image_interval", schedule.image_interval),
    ];
    for (key, interval) in intervals {
        check_interval(interval).map_err(|problem| Violation::new(path.key(key), problem))?;
    }
    check_timeout(schedule.timeout)
        .map_err(|problem| Violation::new(path.key("timeout"), problem))?;

    let [network, request, token, image] = intervals;
    for ((carrier, carried_by), (key, interval)) in
        [(network, request), (request, token), (request, image)]
    {
        if interval < carried_by {
            let problem = Problem::ShorterThanCarrier {
                interval: DurationText(interval),
                carrier,
                carried_by: DurationText(carried_by),
            };
            return Err(Violation::new(path.key(key), problem));
        }
    }
    Ok(())
}

/// Checks the time between two rounds, from the config or the command line.
pub fn check_interval(interval: Duration) -> Result<(), Problem> {
    let day = Duration::from_secs(24 * 60 * 60);
    check_range(interval, Duration::from_secs(1), day)
}

/// Checks the timeout of a stage, from the config or the command line.
pub fn check_timeout(timeout: Duration) -> Result<(), Problem> {
    check_range(timeout, Duration::from_millis(100), Duration::from_secs(60))
}

fn check_fleet_client(client: &FleetClient) -> Result<(), Violation> {
    let path = KeyPath::of("fleet").key("client");
    let (tls, tls_path) = (&client.tls_config, path.key("tls_config"));
    let is_sent = client.basic_auth.is_some() || client.authorization.is_some();
    let is_plain = client.scheme == PeerScheme::Http;
    let broken = if client.basic_auth.is_some() && client.authorization.is_some() {
        (path.key("authorization"), Problem::TwoCredentials)
    } else if tls.cert_file.is_some() != tls.key_file.is_some() {
        (tls_path, Problem::HalfAClientCertificate)
    } else if is_plain && *tls != Default::default() {
        (tls_path, Problem::TlsOverHttp)
    } else if is_plain && is_sent {
        (path.key("scheme"), Problem::CredentialsOverHttp)
    } else if !is_plain && tls.ca_file.is_none() {
        (tls_path.key("ca_file"), Problem::NoAuthority)
    } else {
        return Ok(());
    };
    let (path, problem) = broken;
    Err(Violation::new(path, problem))
}

fn check_tls(tls: &TlsConfig) -> Result<(), Violation> {
    let path = KeyPath::of("tls").key("expiry_warning");
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    check_range(tls.expiry_warning, Duration::ZERO, year)
        .map_err(|problem| Violation::new(path, problem))
}

fn check_buckets(buckets: &[f64]) -> Result<(), Violation> {
    let path = KeyPath::of("metrics").key("buckets");
    if !(1..=50).contains(&buckets.len()) {
        return Err(Violation::new(path, Problem::BucketCount(buckets.len())));
    }
    let mut previous = 0.0;
    for (path, &bound) in enumerate(&path, buckets) {
        if !bound.is_finite() || bound <= 0.0 {
            return Err(Violation::new(path, Problem::BucketBound(bound)));
        }
        if bound <= previous {
            let problem = Problem::BucketOrder { bound, previous };
            return Err(Violation::new(path, problem));
        }
        previous = bound;
    }
    Ok(())
}

fn check_range(duration: Duration, least: Duration, most: Duration) -> Result<(), Problem> {
    if (least..=most).contains(&duration) {
        return Ok(());
    }
    let [duration, least, most] = [duration, least, most].map(DurationText);
    Err(Problem::OutOfRange {
        duration,
        least,
        most,
    })
}

fn check_distinct<T: Eq + Hash + ToString>(
    values: impl Iterator<Item = (KeyPath, T)>,
    problem: fn(String) -> Problem,
) -> Result<(), Violation> {
    let mut seen = HashMap::new();
    for (path, value) in values {
        match seen.entry(value) {
            Entry::Vacant(entry) => {
                entry.insert(path);
            }
            Entry::Occupied(entry) => {
                return Err(Violation {
                    path,
                    problem: problem(entry.key().to_string()),
                    first: Some(entry.get().clone()),
                });
            }
        }
    }
    Ok(())
}

/// Each element of a list with its path.
fn enumerate<T>(
    list: &KeyPath,
    elements: impl IntoIterator<Item = T>,
) -> impl Iterator<Item = (KeyPath, T)> {
    let elements = elements.into_iter().enumerate();
    elements.map(|(index, element)| (list.index(index), element))
}

/// A broken rule, and the key that breaks it.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{path}: {problem}")]
pub struct Violation {
    /// The key. It may be missing from the file, where a default breaks the rule.
    pub path: KeyPath,
    /// What is wrong.
    pub problem: Problem,
    /// The first of two values that must differ, if that is the rule.
    pub first: Option<KeyPath>,
}

impl Violation {
    fn new(path: KeyPath, problem: Problem) -> Self {
        Self {
            path,
            problem,
            first: None,
        }
    }
}

/// Which rule is broken.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Problem {
    /// There is nothing to probe.
    #[error("no registry is listed; write at least one, as \"- server: contoso.azurecr.io\"")]
    NoRegistry,
    /// The same value twice.
    #[error("{0} is listed twice; keep one")]
    Twice(String),
    /// The same name for two things, whose metrics would mix.
    #[error("the name {} is taken; choose another", quoted(.0))]
    NameTaken(String),
    /// Only Azure registries have data endpoints by region.
    #[error(
        "{0} is not an Azure Container Registry, and only those have regions; list its hosts under data_endpoints"
    )]
    RegionsOutsideAzure(String),
    /// The server comes before the repository, as in an image reference.
    #[error("{image} repeats the server; write it without {server}/")]
    ImageWithServer {
        /// What was typed.
        image: String,
        /// Its part before the repository.
        server: String,
    },
    /// Credentials only show in a pull.
    #[error("credentials are offered for images alone; list one under images")]
    CredentialsWithoutImage,
    /// Only Azure's credential provider is known.
    #[error(
        "managed_identity is only for Azure Container Registries, and {0} is none; leave it out"
    )]
    IdentityOutsideAzure(String),
    /// Everybody on the way could read them.
    #[error(
        "credentials are offered over TLS alone, and this registry speaks plain HTTP; leave them out"
    )]
    CredentialsInTheClear,
    /// Only the layers of an image can be downloaded.
    #[error("a layer of the first image is downloaded; list one under images")]
    ThroughputWithoutImage,
    /// Too little to measure, or too much for every node.
    #[error("this is out of range; write 256KiB to 64MiB")]
    DownloadSize,
    /// Over before it says anything.
    #[error(
        "at this floor the download takes less than {0}, which says nothing; write a lower floor, or more bytes"
    )]
    DownloadTooQuick(DurationText),
    /// Longer than a stage.
    #[error(
        "at this floor the download takes {takes}, longer than schedule.timeout ({timeout}); write a higher floor, or fewer bytes"
    )]
    DownloadTooLong {
        /// At the floor.
        takes: DurationText,
        /// The longest that a stage may take.
        timeout: DurationText,
    },
    /// So short that it would burden the registry, or so long that it would be of no use.
    #[error("{duration} is out of range; write {least} to {most}")]
    OutOfRange {
        /// What was typed.
        duration: DurationText,
        /// The smallest that is accepted.
        least: DurationText,
        /// The largest that is accepted.
        most: DurationText,
    },
    /// A deep round would be due more often than the rounds that it is part of.
    #[error(
        "{interval} is shorter than {carrier} ({carried_by}), whose rounds it is part of; write {carried_by} or more"
    )]
    ShorterThanCarrier {
        /// What was typed, or the default.
        interval: DurationText,
        /// The key of the interval that it must not be shorter than.
        carrier: &'static str,
        /// That interval.
        carried_by: DurationText,
    },
    /// Only one of them can be sent.
    #[error("there is a basic_auth as well; keep one")]
    TwoCredentials,
    /// A certificate without its key, or the reverse.
    #[error("cert_file and key_file belong together; write both or neither")]
    HalfAClientCertificate,
    /// It would be ignored.
    #[error("it is only used with https; write scheme: https")]
    TlsOverHttp,
    /// Everyone on the way could read them.
    #[error("http would send the credentials in clear text to every agent; write https")]
    CredentialsOverHttp,
    /// Nobody would be trusted.
    #[error("https needs to know who signs the agents' certificates; write the path of a PEM file")]
    NoAuthority,
    /// No bucket, or too many.
    #[error("a histogram has 1 to 50 buckets, this one has {0}; set histograms to false for none")]
    BucketCount(usize),
    /// Zero, negative, infinite or not a number. The unbounded bucket is always there.
    #[error("{0} is not a bucket's bound; write a positive number of seconds")]
    BucketBound(f64),
    /// Out of order, or the same twice.
    #[error("{bound} is not above {previous}, the bound before it; write them in increasing order")]
    BucketOrder {
        /// What was typed.
        bound: f64,
        /// The bound before it.
        previous: f64,
    },
}
