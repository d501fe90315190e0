//! Everything under `/metrics`, and nothing else knows that library. Fed by the board, read by the
//! web server. Label sets are closed: names of the plan and values of the probes' enums; no text of
//! a stranger ever becomes a label, the sorted addresses of `dns_answer_info` aside.

use std::{net::IpAddr, sync::Arc, time::Duration};

use prometheus::{
    Encoder, Gauge, GaugeVec, HistogramVec, IntCounterVec, Registry, TextEncoder,
    process_collector::ProcessCollector,
};
use regprobe_probes::{
    Depth, Endpoint, EndpointOutcome, Evidence, Expectation, Lookup, Nameserver, Outcome, Reason,
    Scope, Stage, Verdict,
};

use self::families::{Families, forget};
use crate::{board::RegistryState, config, plan::PlannedRegistry, schedule::Skip};

mod families;

/// How late rounds start is known to the scheduler alone, whatever buckets the stages have.
const LAG_BUCKETS: [f64; 6] = [0.001, 0.01, 0.1, 1.0, 5.0, 15.0];

/// The metrics of one agent.
pub(crate) struct Metrics {
    registry: Registry,
    attempts: IntCounterVec,
    failures: IntCounterVec,
    durations: Option<HistogramVec>,
    up: GaugeVec,
    last_success: GaugeVec,
    verdict: GaugeVec,
    lookups: IntCounterVec,
    lookup_durations: Option<HistogramVec>,
    answer_private: GaugeVec,
    answer_expected: GaugeVec,
    answer_ttl: GaugeVec,
    answer_changes: IntCounterVec,
    answer_info: GaugeVec,
    certificate_not_after: GaugeVec,
    tls_info: GaugeVec,
    tcp_rtt: GaugeVec,
    tcp_retransmits: IntCounterVec,
    clock_skew: GaugeVec,
    lag: HistogramVec,
    skipped: IntCounterVec,
    effective_interval: GaugeVec,
    reload_successful: Gauge,
    reload_timestamp: Gauge,
}

impl Metrics {
    /// All families, without any target's series.
    pub(crate) fn new(options: &config::Metrics) -> prometheus::Result<Self> {
        let families = Families::default();
        families.register(ProcessCollector::for_self())?;
        families
            .gauge("build_info", "Version of this agent.", &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        let endpoint = ["registry", "endpoint", "role"];
        let stage = ["registry", "endpoint", "role", "stage"];
        let nameserver = ["registry", "endpoint", "nameserver"];
        let histogram = |name, help, labels: &[&str]| {
            let wanted = options.histograms.then_some(&options.buckets);
            wanted
                .map(|buckets| families.histogram(name, help, labels, buckets))
                .transpose()
        };
        Ok(Self {
            attempts: families.counter(
                "stage_attempts_total",
                "Attempts at a stage: one a nameserver, an address or a request.",
                &stage,
            )?,
            failures: families.counter(
                "stage_failures_total",
                "Failed attempts at a stage by reason.",
                &["registry", "endpoint", "role", "stage", "reason"],
            )?,
            durations: histogram(
                "stage_duration_seconds",
                "Time that a successful attempt at a stage took, without the stages before it.",
                &stage,
            )?,
            up: families.gauge(
                "endpoint_up",
                "Whether a pull from this node would get through at this endpoint.",
                &endpoint,
            )?,
            last_success: families.gauge(
                "endpoint_last_success_timestamp_seconds",
                "Start of the last round in which the endpoint was up.",
                &endpoint,
            )?,
            verdict: families.gauge(
                "registry_verdict",
                "Verdict of a registry: 0 ok, 1 degraded, 2 failing.",
                &["registry"],
            )?,
            lookups: families.counter(
                "dns_lookups_total",
                "Lookups of an endpoint at a nameserver by result.",
                &["registry", "endpoint", "nameserver", "result"],
            )?,
            lookup_durations: histogram(
                "dns_lookup_duration_seconds",
                "Time to an answer of a nameserver for both address families.",
                &nameserver,
            )?,
            answer_private: families.gauge(
                "dns_answer_private",
                "Whether every address in the answer is in a range that is not globally reachable.",
                &nameserver,
            )?,
            answer_expected: families.gauge(
                "dns_answer_expected",
                "Whether every address in the answer is where it is expected.",
                &nameserver,
            )?,
            answer_ttl: families.gauge(
                "dns_answer_ttl_seconds",
                "Lowest TTL in the answer.",
                &nameserver,
            )?,
            answer_changes: families.counter(
                "dns_answer_changes_total",
                "Changes of the set of addresses that a nameserver answers.",
                &nameserver,
            )?,
            answer_info: families.gauge(
                "dns_answer_info",
                "Addresses that a nameserver answers, sorted.",
                &["registry", "endpoint", "nameserver", "addresses"],
            )?,
            certificate_not_after: families.gauge(
                "tls_certificate_not_after_timestamp_seconds",
                "End of the validity of the first certificate in the chain to expire.",
                &["registry", "endpoint"],
            )?,
            tls_info: families.gauge(
                "tls_info",
                "What the last TLS handshake settled.",
                &[
                    "registry", "endpoint", "version", "cipher", "group", "issuer",
                ],
            )?,
            tcp_rtt: families.gauge(
                "tcp_rtt_seconds",
                "Round-trip time of the last connection, as the kernel measured it.",
                &["registry", "endpoint"],
            )?,
            tcp_retransmits: families.counter(
                "tcp_retransmits_total",
                "Segments that the kernel had to send again while connecting.",
                &["registry", "endpoint"],
            )?,
            clock_skew: families.gauge(
                "clock_skew_seconds",
                "Clock of this node minus the Date of the registry.",
                &["registry"],
            )?,
            lag: families.histogram(
                "schedule_lag_seconds",
                "Time by which a round started late.",
                &[],
                &LAG_BUCKETS,
            )?,
            skipped: families.counter(
                "rounds_skipped_total",
                "Rounds that did not take place.",
                &["why"],
            )?,
            effective_interval: families.gauge(
                "effective_interval_seconds",
                "Interval at which rounds of a kind take place.",
                &["registry", "kind"],
            )?,
            reload_successful: families.single(
                "config_last_reload_successful",
                "Whether the last attempt to load the configuration was successful.",
            )?,
            reload_timestamp: families.single(
                "config_last_reload_success_timestamp_seconds",
                "Time of the last successful load of the configuration.",
            )?,
            registry: families.into_registry(),
        }
        .with_process_wide_series())
    }

    /// The text exposition format 0.0.4.
    pub(crate) fn encode(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(64 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// The media type of [`Self::encode`].
    pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// Brings every series of a planned registry into being, counters at 0.
    pub(crate) fn expect(&self, planned: &PlannedRegistry, nameservers: &[Arc<Nameserver>]) {
        let target = &planned.target;
        for depth in [Depth::Network, Depth::Request, Depth::Token] {
            let seconds = planned.intervals.of(depth).as_secs_f64();
            self.effective_interval
                .with_label_values(&[&*planned.name, kind(depth)])
                .set(seconds);
        }
        for endpoint in std::iter::once(&target.login).chain(&target.data) {
            self.of(planned, endpoint).expect(nameservers);
        }
    }

    /// Takes away every series of a registry.
    pub(crate) fn forget(&self, registry: &str) {
        self.forget_all(&[("registry", registry)]);
    }

    /// Takes away every series with these labels.
    fn forget_all(&self, theirs: &[(&str, &str)]) {
        for family in [&self.attempts, &self.failures, &self.lookups] {
            forget(family, theirs);
        }
        for family in [&self.answer_changes, &self.tcp_retransmits] {
            forget(family, theirs);
        }
        for family in [&self.durations, &self.lookup_durations]
            .into_iter()
            .flatten()
        {
            forget(family, theirs);
        }
        for family in [
            &self.up,
            &self.last_success,
            &self.verdict,
            &self.answer_private,
            &self.answer_expected,
            &self.answer_ttl,
            &self.answer_info,
            &self.certificate_not_after,
            &self.tls_info,
            &self.tcp_rtt,
            &self.clock_skew,
            &self.effective_interval,
        ] {
            forget(family, theirs);
        }
    }

    /// Counts what one round saw.
    pub(crate) fn count(&self, planned: &PlannedRegistry, outcome: &Outcome) {
        for seen in &outcome.endpoints {
            let series = self.of(planned, &seen.endpoint);
            // What the plan could not know of: the token endpoint, and a nameserver of today.
            let nameservers: Vec<_> = seen
                .lookups_of_host()
                .map(|lookup| lookup.nameserver.clone())
                .collect();
            series.expect(&nameservers);
            series.count_lookups(seen);
            let mut retransmits = 0;
            for stage in seen.addresses.iter().flat_map(|address| &address.stages) {
                let reason = stage.result.as_ref().err().map(|fault| fault.reason());
                series.count(stage.stage, stage.took, reason);
                if let Ok(Evidence::Connect(connected)) = &stage.result {
                    retransmits += connected.retransmits;
                }
            }
            self.tcp_retransmits
                .with_label_values(&series.endpoint())
                .inc_by(retransmits.into());
        }
    }

    /// Shows the state of a registry after a round, and takes away what `before` showed and is no
    /// more.
    pub(crate) fn show(&self, before: Option<&Outcome>, state: &RegistryState) {
        let (planned, Some(round)) = (&state.planned, &state.round) else {
            return;
        };
        self.verdict
            .with_label_values(&[&*planned.name])
            .set(match round.verdict {
                Verdict::Ok => 0.0,
                Verdict::Degraded => 1.0,
                Verdict::Failing => 2.0,
            });
        let skew = round.outcome.endpoints.iter().find_map(|seen| {
            match seen.evidence(Stage::Challenge)? {
                Evidence::Challenge(challenge) => challenge.clock_skew,
                _ => None,
            }
        });
        put(&self.clock_skew, &[&planned.name], skew);
        let gone = |seen: &&EndpointOutcome| round.outcome.of(&seen.endpoint).is_none();
        let earlier = before.iter().flat_map(|before| &before.endpoints);
        for gone in earlier.filter(gone) {
            let endpoint = gone.endpoint.to_string();
            self.forget_all(&[("registry", &planned.name), ("endpoint", &endpoint)]);
        }
        for seen in &round.outcome.endpoints {
            let series = self.of(planned, &seen.endpoint);
            self.up
                .with_label_values(&series.with_role())
                .set(seen.is_up().into());
            if seen.is_up() {
                let now = round.at.as_second() as f64;
                self.last_success
                    .with_label_values(&series.with_role())
                    .set(now);
            }
            let before = before.and_then(|outcome| {
                outcome
                    .endpoints
                    .iter()
                    .find(|before| before.endpoint == seen.endpoint)
            });
            series.show_connection(before, seen);
            series.show_answers(before, seen, &planned.expectation);
        }
    }

    /// A nameserver answers another set of addresses than before.
    pub(crate) fn answer_changed(
        &self,
        planned: &PlannedRegistry,
        endpoint: &Endpoint,
        of: &Nameserver,
    ) {
        let series = self.of(planned, endpoint);
        self.answer_changes
            .with_label_values(&series.with(&of.to_string()))
            .inc();
    }

    /// A round started this late.
    pub(crate) fn lagged(&self, lag: Duration) {
        self.lag
            .with_label_values::<&str>(&[])
            .observe(lag.as_secs_f64());
    }

    /// Rounds did not take place.
    pub(crate) fn skipped(&self, why: Skip, rounds: u32) {
        self.skipped
            .with_label_values(&[why.as_str()])
            .inc_by(rounds.into());
    }

    /// The configuration was loaded, or could not be.
    pub(crate) fn reloaded(&self, successful: bool, now: f64) {
        self.reload_successful.set(successful.into());
        if successful {
            self.reload_timestamp.set(now);
        }
    }

    fn with_process_wide_series(self) -> Self {
        Skip::ALL.iter().for_each(|why| self.skipped(*why, 0));
        self.lag.with_label_values::<&str>(&[]);
        self
    }

    fn of<'a>(&'a self, planned: &'a PlannedRegistry, endpoint: &'a Endpoint) -> Series<'a> {
        Series {
            metrics: self,
            registry: &planned.name,
            endpoint,
            label: endpoint.to_string(),
        }
    }
}

/// The series of one endpoint.
struct Series<'a> {
    metrics: &'a Metrics,
    registry: &'a str,
    endpoint: &'a Endpoint,
    label: String,
}

impl Series<'_> {
    fn endpoint(&self) -> [&str; 2] {
        [self.registry, &self.label]
    }

    fn with_role(&self) -> [&str; 3] {
        [self.registry, &self.label, self.endpoint.role.as_str()]
    }

    fn with<'a>(&'a self, nameserver: &'a str) -> [&'a str; 3] {
        [self.registry, &self.label, nameserver]
    }

    fn with_stage(&self, stage: Stage) -> [&str; 4] {
        [
            self.registry,
            &self.label,
            self.endpoint.role.as_str(),
            stage.as_str(),
        ]
    }

    /// Brings every series of the endpoint into being that does not wait for an answer.
    fn expect(&self, nameservers: &[Arc<Nameserver>]) {
        for stage in self.endpoint.stages() {
            self.expect_stage(stage);
        }
        if self.endpoint.literal().is_none() {
            for nameserver in nameservers {
                self.expect_nameserver(nameserver);
            }
        }
        self.metrics
            .tcp_retransmits
            .with_label_values(&self.endpoint());
    }

    fn expect_stage(&self, stage: Stage) {
        self.metrics
            .attempts
            .with_label_values(&self.with_stage(stage));
        if let Some(durations) = &self.metrics.durations {
            durations.with_label_values(&self.with_stage(stage));
        }
    }

    fn expect_nameserver(&self, nameserver: &Nameserver) {
        let nameserver = nameserver.to_string();
        self.lookup_result(&nameserver, NO_ERROR, 0);
        self.metrics
            .answer_changes
            .with_label_values(&self.with(&nameserver));
        if let Some(durations) = &self.metrics.lookup_durations {
            durations.with_label_values(&self.with(&nameserver));
        }
    }

    /// One attempt at a stage. With the first failure every reason of the stage appears, at 0.
    fn count(&self, stage: Stage, took: Duration, failed: Option<Reason>) {
        self.metrics
            .attempts
            .with_label_values(&self.with_stage(stage))
            .inc();
        match failed {
            None => {
                if let Some(durations) = &self.metrics.durations {
                    durations
                        .with_label_values(&self.with_stage(stage))
                        .observe(took.as_secs_f64());
                }
            }
            Some(failed) => {
                for reason in stage.reasons() {
                    let [registry, endpoint, role, stage] = self.with_stage(stage);
                    self.metrics
                        .failures
                        .with_label_values(&[registry, endpoint, role, stage, reason.as_str()])
                        .inc_by((reason == failed).into());
                }
            }
        }
    }

    fn count_lookups(&self, seen: &EndpointOutcome) {
        if let Some(fault) = seen.no_lookup() {
            self.count(Stage::Resolve, Duration::ZERO, Some(fault.reason()));
        }
        for lookup in seen.lookups_of_host() {
            let nameserver = lookup.nameserver.to_string();
            let reason = lookup.fault().map(|fault| fault.reason());
            self.count(Stage::Resolve, lookup.took, reason);
            self.lookup_result(&nameserver, reason.map_or(NO_ERROR, Reason::as_str), 1);
            if let (None, Some(durations)) = (reason, &self.metrics.lookup_durations) {
                let seconds = lookup.took.as_secs_f64();
                durations
                    .with_label_values(&self.with(&nameserver))
                    .observe(seconds);
            }
        }
    }

    fn lookup_result(&self, nameserver: &str, result: &str, count: u64) {
        let [registry, endpoint, nameserver] = self.with(nameserver);
        let labels = [registry, endpoint, nameserver, result];
        self.metrics
            .lookups
            .with_label_values(&labels)
            .inc_by(count);
    }

    fn show_connection(&self, before: Option<&EndpointOutcome>, seen: &EndpointOutcome) {
        let rtt = match seen.evidence(Stage::Connect) {
            Some(Evidence::Connect(connected)) => connected.rtt,
            _ => None,
        };
        put(
            &self.metrics.tcp_rtt,
            &self.endpoint(),
            rtt.map(|rtt| rtt.as_secs_f64()),
        );
        let not_after = seen.handshake().and_then(|handshake| {
            let ends = handshake
                .chain
                .certificates
                .iter()
                .map(|certificate| certificate.not_after);
            ends.min().map(|end| end.as_second() as f64)
        });
        put(
            &self.metrics.certificate_not_after,
            &self.endpoint(),
            not_after,
        );
        let info = |seen: &EndpointOutcome| {
            let handshake = seen.handshake()?;
            let issuer = handshake.chain.leaf().map_or("", |leaf| &leaf.issuer);
            let labels = [
                handshake.version,
                &handshake.cipher,
                &handshake.group,
                issuer,
            ];
            Some(
                [&self.endpoint()[..], &labels[..]]
                    .concat()
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            )
        };
        replace(&self.metrics.tls_info, before.and_then(info), info(seen));
    }

    fn show_answers(
        &self,
        before: Option<&EndpointOutcome>,
        seen: &EndpointOutcome,
        expectation: &Expectation,
    ) {
        let metrics = self.metrics;
        let asked: Vec<_> = seen
            .lookups_of_host()
            .map(|lookup| lookup.nameserver.to_string())
            .collect();
        let earlier = before.iter().flat_map(|before| before.lookups_of_host());
        let earlier = earlier.map(|lookup| lookup.nameserver.to_string());
        for gone in earlier.filter(|nameserver| !asked.contains(nameserver)) {
            let [registry, endpoint, nameserver] = self.with(&gone);
            metrics.forget_all(&[
                ("registry", registry),
                ("endpoint", endpoint),
                ("nameserver", nameserver),
            ]);
        }
        for lookup in seen.lookups_of_host() {
            let nameserver = lookup.nameserver.to_string();
            let labels = self.with(&nameserver);
            let all = |holds: &dyn Fn(IpAddr) -> bool| {
                let found = lookup.addresses().next().is_some();
                found.then(|| f64::from(lookup.addresses().all(holds)))
            };
            put(
                &metrics.answer_private,
                &labels,
                all(&|a| Scope::of(a).is_private()),
            );
            put(
                &metrics.answer_expected,
                &labels,
                all(&|a| expectation.allows(a)),
            );
            put(&metrics.answer_ttl, &labels, lookup.ttl().map(f64::from));
            let info = |lookup: &Lookup| {
                let addresses = joined(lookup)?;
                Some(
                    [&labels[..], &[&addresses]]
                        .concat()
                        .iter()
                        .map(ToString::to_string)
                        .collect(),
                )
            };
            let same_server = |before: &&Lookup| before.nameserver == lookup.nameserver;
            let before = before.and_then(|before| before.lookups_of_host().find(same_server));
            replace(&metrics.answer_info, before.and_then(info), info(lookup));
        }
    }
}

const NO_ERROR: &str = "noerror";

/// Sets a gauge; what is not measured is absent.
fn put(family: &GaugeVec, labels: &[&str], value: Option<f64>) {
    match value {
        Some(value) => family.with_label_values(labels).set(value),
        // It is no error that there was nothing to remove.
        None => drop(family.remove_label_values(labels)),
    }
}

/// One series of an info family takes the place of another.
fn replace(family: &GaugeVec, before: Option<Vec<String>>, now: Option<Vec<String>>) {
    if let Some(labels) = before.filter(|before| now.as_ref() != Some(before)) {
        drop(family.remove_label_values(&labels));
    }
    if let Some(labels) = now {
        family.with_label_values(&labels).set(1.0);
    }
}

fn joined(lookup: &Lookup) -> Option<String> {
    let mut addresses: Vec<_> = lookup.addresses().collect();
    addresses.sort_unstable();
    addresses.dedup();
    let texts: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

/// The label `kind`.
fn kind(depth: Depth) -> &'static str {
    match depth {
        Depth::Network => "network",
        Depth::Request => "request",
        Depth::Token => "token",
    }
}
