//! The metrics that are promised: every family with its type and labels, and for a list of endpoints
//! every series that must exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Result, ensure};
use regprobe_harness::ground::{Ground, Plain, Real};
use regprobe_harness::output::scrape::{Sample, Scrape};

/// What each series of a family stands for.
#[derive(Clone, Copy)]
enum Each {
    Stage,
    Endpoint,
    /// Endpoint and nameserver, where the endpoint has a name.
    Lookup,
    Handshake,
    Connection,
    Registry,
    Interval,
    /// Once for each of these values of its only label.
    Of(&'static [&'static str]),
}

const STAGE: &[&str] = &["registry", "endpoint", "role", "stage"];
const ENDPOINT: &[&str] = &["registry", "endpoint", "role"];
const LOOKUP: &[&str] = &["registry", "endpoint", "nameserver"];
const CONNECTION: &[&str] = &["registry", "endpoint"];

/// Name without prefix, type, what each series stands for, all labels.
const FAMILIES: &[(&str, &str, Each, &[&str])] = &[
    ("stage_duration_seconds", "histogram", Each::Stage, STAGE),
    ("stage_attempts_total", "counter", Each::Stage, STAGE),
    ("endpoint_up", "gauge", Each::Endpoint, ENDPOINT),
    (
        "endpoint_last_success_timestamp_seconds",
        "gauge",
        Each::Endpoint,
        ENDPOINT,
    ),
    ("registry_verdict", "gauge", Each::Registry, &["registry"]),
    (
        "predicted_pull_delay_seconds",
        "gauge",
        Each::Registry,
        &["registry"],
    ),
    (
        "dns_lookup_duration_seconds",
        "histogram",
        Each::Lookup,
        LOOKUP,
    ),
    (
        "dns_lookups_total",
        "counter",
        Each::Lookup,
        &["registry", "endpoint", "nameserver", "result"],
    ),
    ("dns_answer_private", "gauge", Each::Lookup, LOOKUP),
    ("dns_answer_expected", "gauge", Each::Lookup, LOOKUP),
    ("dns_answer_ttl_seconds", "gauge", Each::Lookup, LOOKUP),
    ("dns_answer_changes_total", "counter", Each::Lookup, LOOKUP),
    (
        "dns_answer_info",
        "gauge",
        Each::Lookup,
        &["registry", "endpoint", "nameserver", "addresses"],
    ),
    (
        "tls_certificate_not_after_timestamp_seconds",
        "gauge",
        Each::Handshake,
        CONNECTION,
    ),
    (
        "tls_info",
        "gauge",
        Each::Handshake,
        &[
            "registry", "endpoint", "version", "cipher", "group", "issuer",
        ],
    ),
    ("tcp_rtt_seconds", "gauge", Each::Connection, CONNECTION),
    (
        "tcp_retransmits_total",
        "counter",
        Each::Connection,
        CONNECTION,
    ),
    ("clock_skew_seconds", "gauge", Each::Registry, &["registry"]),
    ("schedule_lag_seconds", "histogram", Each::Of(&[]), &[]),
    (
        "rounds_skipped_total",
        "counter",
        Each::Of(&["overrun", "node", "panic", "suspend"]),
        &["why"],
    ),
    ("tasks", "gauge", Each::Of(&[]), &[]),
    ("fleet_size", "gauge", Each::Of(&[]), &[]),
    (
        "fleet_size_source",
        "gauge",
        Each::Of(&["fixed", "known", "stale", "at_least", "assumed"]),
        &["source"],
    ),
    (
        "effective_interval_seconds",
        "gauge",
        Each::Interval,
        &["registry", "kind"],
    ),
    (
        "build_info",
        "gauge",
        Each::Of(&[env!("CARGO_PKG_VERSION")]),
        &["version"],
    ),
    ("config_last_reload_successful", "gauge", Each::Of(&[]), &[]),
    (
        "config_last_reload_success_timestamp_seconds",
        "gauge",
        Each::Of(&[]),
        &[],
    ),
];

/// Families that have no series while nothing fails, or without `throughput`.
const FAULTS: &[(&str, &str, &[&str])] = &[
    (
        "stage_failures_total",
        "counter",
        &["registry", "endpoint", "role", "stage", "reason"],
    ),
    (
        "finding",
        "gauge",
        &["registry", "endpoint", "role", "code", "severity"],
    ),
    ("blob_throughput_bytes_per_second", "gauge", CONNECTION),
    (
        "blob_throughput_floor_bytes_per_second",
        "gauge",
        &["registry"],
    ),
];

/// Conventional names of the Prometheus client libraries, without our prefix.
const PROCESS: &[&str] = &[
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
    "process_virtual_memory_bytes",
];

/// The table in the documentation has every family with its type and labels, and no other.
pub(crate) fn documented() -> Result<()> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md"))?;
    let rows = page
        .lines()
        .skip_while(|line| *line != "| name | type | labels |");
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let documented: BTreeSet<_> = rows.map(str::to_owned).collect();
    let families = FAMILIES
        .iter()
        .map(|(name, kind, _, labels)| (name, kind, labels));
    let faults = FAULTS
        .iter()
        .map(|(name, kind, labels)| (name, kind, labels));
    let row = |(name, kind, labels): (&&str, &&str, &&[&str])| {
        let row = format!("| `{name}` | {kind} | {} |", labels.join(", "));
        row.replace("|  |", "| |")
    };
    let known: BTreeSet<_> = families.chain(faults).map(row).collect();
    let differing: Vec<_> = documented.symmetric_difference(&known).collect();
    ensure!(differing.is_empty(), "{differing:#?}");
    Ok(())
}

/// An endpoint that the agent should have found.
pub(crate) struct Expected {
    registry: &'static str,
    endpoint: String,
    role: &'static str,
    has_name: bool,
    has_tls: bool,
}

impl Expected {
    fn stages(&self) -> Vec<&'static str> {
        let requests: &[&str] = match self.role {
            // The only registry with a configured image.
            "login" if self.registry == "tokens" => &["challenge", "token", "manifest", "blob"],
            "login" => &["challenge", "token"],
            "data" => &["http"],
            _ => &["token"],
        };
        let name = self.has_name.then_some("resolve");
        let tls = self.has_tls.then_some("tls");
        let connection = name.into_iter().chain(["connect"]).chain(tls);
        connection.chain(requests.iter().copied()).collect()
    }
}

/// The endpoints of all five registries.
pub(crate) fn endpoints(ground: &Ground, real: &Real, plain: &Plain) -> Vec<Expected> {
    let endpoint = |registry, role, endpoint: String, has_name, has_tls| Expected {
        registry,
        endpoint,
        role,
        has_name,
        has_tls,
    };
    let [login, west, north] = ground.contoso_endpoints();
    let of_real = |name: &str, port| -> String { format!("{name}.registry.example:{port}") };
    let (open, tokens) = (real.open.addr().port(), real.with_tokens.addr().port());
    vec![
        endpoint("contoso", "login", login, true, true),
        endpoint("contoso", "data", west, true, true),
        endpoint("contoso", "data", north, true, true),
        endpoint("open", "login", of_real("open", open), true, false),
        endpoint("tokens", "login", of_real("tokens", tokens), true, false),
        endpoint(
            "tokens",
            "token",
            real.tokens.addr().to_string(),
            false,
            false,
        ),
        endpoint(
            "tls",
            "login",
            of_real("tls", real.front.addr().port()),
            true,
            true,
        ),
        endpoint("plain", "login", plain.acr.addr().to_string(), false, false),
        endpoint("plain", "data", plain.data.to_string(), false, false),
    ]
}

/// Checks that all expected series exist and no others, with nothing wrong and after one round.
pub(crate) fn check(scrape: &Scrape, endpoints: &[Expected], nameserver: &str) -> Result<()> {
    let mut types = BTreeMap::new();
    for (name, kind, each, labels) in FAMILIES {
        let name = format!("regprobe_{name}");
        let parts: &[(&str, Option<&str>)] = match *kind {
            "histogram" => &[("_count", None), ("_sum", None), ("_bucket", Some("le"))],
            _ => &[("", None)],
        };
        for (suffix, extra) in parts {
            let all: BTreeSet<_> = labels.iter().chain(extra).copied().collect();
            let name = format!("{name}{suffix}");
            let samples: Vec<_> = scrape.of(&name, &[]).collect();
            for sample in &samples {
                let has: BTreeSet<_> = sample.labels.keys().map(String::as_str).collect();
                ensure!(has == all, "{name} has the labels {has:?}");
            }
            let rows = rows(*each, endpoints, nameserver);
            let width = rows.first().map_or(0, Vec::len);
            let found: BTreeSet<_> = samples
                .iter()
                .map(|sample| columns(sample, &labels[..width]))
                .collect();
            ensure!(
                found == rows,
                "{name}\nmissing: {:?}\nbeyond: {:?}",
                rows.difference(&found).collect::<Vec<_>>(),
                found.difference(&rows).collect::<Vec<_>>()
            );
            ensure!(
                extra.is_some() || samples.len() == rows.len(),
                "{name}: more than one series for one thing"
            );
        }
        types.insert(name, (*kind).to_owned());
    }
    // Only informational: most registries require credentials.
    ensure!(
        scrape
            .of("regprobe_finding", &[])
            .all(|s| s.labels["severity"] == "info")
    );
    types.insert("regprobe_finding".to_owned(), "gauge".to_owned());
    let (process, ours): (BTreeMap<_, _>, BTreeMap<_, _>) = scrape
        .types
        .clone()
        .into_iter()
        .partition(|(name, _)| name.starts_with("process_"));
    ensure!(ours == types, "{ours:?}");
    let process: Vec<_> = process.keys().collect();
    ensure!(process == PROCESS, "{process:?}");
    Ok(())
}

fn columns(sample: &Sample, labels: &[&str]) -> Vec<String> {
    labels
        .iter()
        .map(|label| sample.labels.get(*label).cloned().unwrap_or_default())
        .collect()
}

/// The values of the first labels of every series of a family.
fn rows(each: Each, endpoints: &[Expected], nameserver: &str) -> BTreeSet<Vec<String>> {
    let row = |values: &[&str]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
    let of_endpoint = |expected: &Expected| {
        let Expected {
            registry,
            endpoint,
            role,
            has_name,
            has_tls,
        } = expected;
        match each {
            Each::Stage => {
                let stages = expected.stages();
                let stages = stages.iter();
                stages
                    .map(|stage| row(&[registry, endpoint, role, stage]))
                    .collect()
            }
            Each::Endpoint => vec![row(&[registry, endpoint, role])],
            Each::Lookup if *has_name => vec![row(&[registry, endpoint, nameserver])],
            Each::Handshake if *has_tls => vec![row(&[registry, endpoint])],
            Each::Lookup | Each::Handshake => Vec::new(),
            Each::Connection => vec![row(&[registry, endpoint])],
            Each::Registry => vec![row(&[registry])],
            Each::Interval => ["network", "request", "token", "image"]
                .map(|kind| row(&[registry, kind]))
                .to_vec(),
            Each::Of([]) => vec![row(&[])],
            Each::Of(values) => values.iter().map(|value| row(&[value])).collect(),
        }
    };
    endpoints.iter().flat_map(of_endpoint).collect()
}
