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

use super::checked::{Config, RegistryConfig};
use super::file::{ConfigFile, RegistryFile};
use super::fleet::{ClientTls, FleetConfig, HttpClient, PeerScheme};
use super::location::KeyPath;
use super::scalar::DurationText;
use super::sections::{
    CredentialsConfig, NameserverConfig, ScheduleConfig, ThroughputConfig, TlsConfig,
};
use super::violation::{Problem, Violation};

impl TryFrom<ConfigFile> for Config {
    type Error = Violation;

    fn try_from(file: ConfigFile) -> Result<Self, Violation> {
        let registries = registries(file.registries)?;
        check_nameservers(&file.nameservers)?;
        check_schedule(&file.schedule)?;
        check_throughput(&registries, file.schedule.timeout)?;
        check_fleet(&file.fleet)?;
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

fn check_fleet(fleet: &FleetConfig) -> Result<(), Violation> {
    let path = KeyPath::of("fleet");
    let client = path.key("client");
    let is_plain = fleet.client.scheme == PeerScheme::Http;
    check_client(
        &fleet.client.http,
        &client,
        is_plain.then(|| client.key("scheme")),
    )?;
    if !is_plain && fleet.client.http.tls_config.ca_file.is_none() {
        let path = client.key("tls_config").key("ca_file");
        return Err(Violation::new(path, Problem::NoAuthority));
    }
    let client = path.key("prometheus_client");
    match &fleet.prometheus {
        None if fleet.prometheus_client == HttpClient::default() => Ok(()),
        None => Err(Violation::new(client, Problem::NoPrometheus)),
        Some(url) => {
            let is_plain = !url.is_https();
            let plain = is_plain.then(|| path.key("prometheus"));
            check_client(&fleet.prometheus_client, &client, plain)
        }
    }
}

/// `plain` is the key by which it asks without TLS.
fn check_client(
    client: &HttpClient,
    path: &KeyPath,
    plain: Option<KeyPath>,
) -> Result<(), Violation> {
    let (tls, tls_path) = (&client.tls_config, path.key("tls_config"));
    let is_sent = client.basic_auth.is_some() || client.authorization.is_some();
    let (path, problem) = match plain {
        _ if client.basic_auth.is_some() && client.authorization.is_some() => {
            (path.key("authorization"), Problem::TwoCredentials)
        }
        _ if tls.cert_file.is_some() != tls.key_file.is_some() => {
            (tls_path, Problem::HalfAClientCertificate)
        }
        Some(_) if *tls != ClientTls::default() => (tls_path, Problem::TlsOverHttp),
        Some(plain) if is_sent => (plain, Problem::CredentialsOverHttp),
        _ => return Ok(()),
    };
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
