//! Everything under `/metrics`. Fed by the board, read by the web server. Label sets are closed: names
//! of the plan and values of the probes' enums; no text of a stranger ever becomes a label, the sorted
//! addresses of `dns_answer_info` aside.

use std::{collections::HashSet, sync::Arc, time::Duration};

use prometheus::{Encoder, TextEncoder, core::Collector, process_collector::ProcessCollector};
use regprobe_probes::{
    Depth, Endpoint, EndpointOutcome, Evidence, Finding, Nameserver, Outcome, PullPath, Role,
    Stage, Verdict,
};

use tokio::runtime::Handle;

use self::{
    families::{Families, Family, PIECE, Place},
    series::Series,
    values::{Counter, Gauge, Histogram},
};
use crate::{
    changes::Change,
    config,
    plan::PlannedRegistry,
    schedule::{
        Skip,
        fleet::{Fleet, Source},
        timetable::Pace,
    },
    state::{LastAnswer, RegistryState, Round},
};

mod families;
mod series;
mod values;

/// How late rounds start is known to the scheduler alone, whatever buckets the stages have.
const LAG_BUCKETS: [f64; 6] = [0.001, 0.01, 0.1, 1.0, 5.0, 15.0];

/// The text exposition format 0.0.4, in pieces: one text of a thousand endpoints would be megabytes,
/// and no probe would go on while it is written.
pub(crate) struct Scrape {
    metrics: Arc<Metrics>,
    /// `None` where all is told.
    place: Option<Place>,
}

impl Scrape {
    /// Its media type.
    pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
}

impl Iterator for Scrape {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let place = self.place.as_mut()?;
        let mut text = Vec::with_capacity(PIECE + PIECE / 8);
        if self.metrics.families.encode(&mut text, place) {
            self.place = None;
            // Memory takes all that is written.
            let _ = TextEncoder::new().encode(&self.metrics.process.collect(), &mut text);
        }
        Some(text)
    }
}

/// The metrics of one agent.
pub(crate) struct Metrics {
    families: Families,
    process: ProcessCollector,
    tasks: Family<Gauge>,
    attempts: Family<Counter>,
    failures: Family<Counter>,
    durations: Option<Family<Histogram>>,
    up: Family<Gauge>,
    last_success: Family<Gauge>,
    verdict: Family<Gauge>,
    predicted_delay: Family<Gauge>,
    findings: Family<Gauge>,
    lookups: Family<Counter>,
    lookup_durations: Option<Family<Histogram>>,
    answer_private: Family<Gauge>,
    answer_expected: Family<Gauge>,
    answer_ttl: Family<Gauge>,
    answer_changes: Family<Counter>,
    answer_info: Family<Gauge>,
    certificate_not_after: Family<Gauge>,
    tls_info: Family<Gauge>,
    tcp_rtt: Family<Gauge>,
    tcp_retransmits: Family<Counter>,
    clock_skew: Family<Gauge>,
    lag: Family<Histogram>,
    skipped: Family<Counter>,
    effective_interval: Family<Gauge>,
    fleet_size: Family<Gauge>,
    fleet_size_source: Family<Gauge>,
    reload_successful: Family<Gauge>,
    reload_timestamp: Family<Gauge>,
}

impl Metrics {
    /// All families, without any target's series.
    pub(crate) fn new(options: &config::MetricsConfig) -> Self {
        let mut families = Families::default();
        families
            .gauge("build_info", "Version of this agent.", &["version"])
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        const ENDPOINT: &[&str] = &["registry", "endpoint", "role"];
        const STAGE: &[&str] = &["registry", "endpoint", "role", "stage"];
        const NAMESERVER: &[&str] = &["registry", "endpoint", "nameserver"];
        let buckets = options.histograms.then_some(&options.buckets);
        Self {
            attempts: families.counter(
                "stage_attempts_total",
                "Attempts at a stage: one a nameserver, an address or a request.",
                STAGE,
            ),
            failures: families.counter(
                "stage_failures_total",
                "Failed attempts at a stage by reason.",
                &["registry", "endpoint", "role", "stage", "reason"],
            ),
            durations: buckets.map(|buckets| {
                families.histogram(
                    "stage_duration_seconds",
                    "Time that a successful attempt at a stage took, without the stages before it.",
                    STAGE,
                    buckets,
                )
            }),
            up: families.gauge(
                "endpoint_up",
                "Whether a pull from this node would get through at this endpoint.",
                ENDPOINT,
            ),
            last_success: families.gauge(
                "endpoint_last_success_timestamp_seconds",
                "Start of the last round in which the endpoint was up.",
                ENDPOINT,
            ),
            verdict: families.gauge(
                "registry_verdict",
                "Verdict of a registry: 0 ok, 1 degraded, 2 failing.",
                &["registry"],
            ),
            predicted_delay: families.gauge(
                "predicted_pull_delay_seconds",
                "Time that a pull would wait for what does not answer.",
                &["registry"],
            ),
            findings: families.gauge(
                "finding",
                "1 while the finding holds.",
                &["registry", "endpoint", "role", "code", "severity"],
            ),
            lookups: families.counter(
                "dns_lookups_total",
                "Lookups of an endpoint at a nameserver by result.",
                &["registry", "endpoint", "nameserver", "result"],
            ),
            lookup_durations: buckets.map(|buckets| {
                families.histogram(
                    "dns_lookup_duration_seconds",
                    "Time to an answer of a nameserver for both address families.",
                    NAMESERVER,
                    buckets,
                )
            }),
            answer_private: families.gauge(
                "dns_answer_private",
                "Whether every address in the answer is in a range that is not globally reachable.",
                NAMESERVER,
            ),
            answer_expected: families.gauge(
                "dns_answer_expected",
                "Whether every address in the answer is where it is expected.",
                NAMESERVER,
            ),
            answer_ttl: families.gauge(
                "dns_answer_ttl_seconds",
                "Lowest TTL in the answer.",
                NAMESERVER,
            ),
            answer_changes: families.counter(
                "dns_answer_changes_total",
                "Changes of the set of addresses that a nameserver answers.",
                NAMESERVER,
            ),
            answer_info: families.gauge(
                "dns_answer_info",
                "Addresses that a nameserver answers, sorted.",
                &["registry", "endpoint", "nameserver", "addresses"],
            ),
            certificate_not_after: families.gauge(
                "tls_certificate_not_after_timestamp_seconds",
                "End of the validity of the first certificate in the chain to expire.",
                &["registry", "endpoint"],
            ),
            tls_info: families.gauge(
                "tls_info",
                "What the last TLS handshake settled.",
                &[
                    "registry", "endpoint", "version", "cipher", "group", "issuer",
                ],
            ),
            tcp_rtt: families.gauge(
                "tcp_rtt_seconds",
                "Round-trip time of the last connection, as the kernel measured it.",
                &["registry", "endpoint"],
            ),
            tcp_retransmits: families.counter(
                "tcp_retransmits_total",
                "Segments that the kernel had to send again while connecting.",
                &["registry", "endpoint"],
            ),
            clock_skew: families.gauge(
                "clock_skew_seconds",
                "Clock of this node minus the Date of the registry.",
                &["registry"],
            ),
            lag: families.histogram(
                "schedule_lag_seconds",
                "Time by which a round started late.",
                &[],
                &LAG_BUCKETS,
            ),
            skipped: families.counter(
                "rounds_skipped_total",
                "Rounds that did not take place.",
                &["why"],
            ),
            effective_interval: families.gauge(
                "effective_interval_seconds",
                "Interval at which rounds of a kind take place.",
                &["registry", "kind"],
            ),
            fleet_size: families.gauge(
                "fleet_size",
                "Number of agents that share the request budget.",
                &[],
            ),
            fleet_size_source: families.gauge(
                "fleet_size_source",
                "1 for where the size of the fleet is from, 0 for the others.",
                &["source"],
            ),
            reload_successful: families.gauge(
                "config_last_reload_successful",
                "Whether the last attempt to load the configuration was successful.",
                &[],
            ),
            reload_timestamp: families.gauge(
                "config_last_reload_success_timestamp_seconds",
                "Time of the last successful load of the configuration.",
                &[],
            ),
            tasks: families.gauge("tasks", "Tasks of the agent.", &[]),
            process: ProcessCollector::for_self(),
            families,
        }
        .with_process_wide_series()
    }

    /// All that is known, for one scrape.
    pub(crate) fn scrape(self: &Arc<Self>) -> Scrape {
        if let Ok(runtime) = Handle::try_current() {
            let tasks = runtime.metrics().num_alive_tasks() as f64;
            put(&self.tasks, &[], Some(tasks));
        }
        Scrape {
            metrics: self.clone(),
            place: Some(Place::default()),
        }
    }

    #[cfg(test)]
    fn encode(self: &Arc<Self>) -> Vec<u8> {
        self.scrape().collect::<Vec<_>>().concat()
    }

    /// Brings every series of a planned registry into being, counters at 0.
    pub(crate) fn expect(&self, planned: &PlannedRegistry, nameservers: &[Arc<Nameserver>]) {
        let target = &planned.target;
        for endpoint in std::iter::once(&target.login).chain(&target.data) {
            let series = self.of(planned, endpoint);
            series.expect(nameservers);
            if !target.images.is_empty() && endpoint.role == Role::Login {
                series.expect_stage(Stage::Manifest);
                series.expect_stage(Stage::Blob);
            }
        }
    }

    /// Takes away every series of a registry.
    pub(crate) fn forget(&self, registry: &str) {
        self.forget_all(&[("registry", registry)]);
    }

    /// Takes away every series with these labels.
    fn forget_all(&self, theirs: &[(&str, &str)]) {
        for family in [&self.attempts, &self.failures, &self.lookups] {
            family.forget(theirs);
        }
        for family in [&self.answer_changes, &self.tcp_retransmits] {
            family.forget(theirs);
        }
        for family in [&self.durations, &self.lookup_durations]
            .into_iter()
            .flatten()
        {
            family.forget(theirs);
        }
        for family in [
            &self.up,
            &self.last_success,
            &self.verdict,
            &self.predicted_delay,
            &self.findings,
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
            family.forget(theirs);
        }
    }

    /// Counts what one round saw after `before`.
    pub(crate) fn count(
        &self,
        before: Option<&Round>,
        planned: &PlannedRegistry,
        outcome: &Outcome,
    ) {
        for seen in &outcome.endpoints {
            let series = self.of(planned, &seen.endpoint);
            let before = before.and_then(|before| before.outcome.of(&seen.endpoint));
            // What the plan could not know of: the token endpoint, and a nameserver of today. What was asked
            // alike in the round before has all its series.
            if before.is_none_or(|before| !asked(before).eq(asked(seen))) {
                series.expect(&asked(seen).cloned().collect::<Vec<_>>());
            }
            series.count_lookups(seen);
            if let PullPath::Blocked { stage, fault } = &seen.path {
                series.count(*stage, Duration::ZERO, Some(fault.reason()));
            }
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
    pub(crate) fn show(
        &self,
        before: Option<&Round>,
        state: &RegistryState,
        changes: &[Change<'_>],
    ) {
        let (planned, Some(round)) = (&state.planned, &state.round) else {
            return;
        };
        self.verdict
            .with_label_values(&[&*planned.name])
            .set(match round.diagnosis.verdict() {
                Verdict::Ok => 0.0,
                Verdict::Degraded => 1.0,
                Verdict::Failing => 2.0,
            });
        let delay = round.diagnosis.predicted_pull_delay;
        let delay = delay.map(|delay| delay.as_secs_f64());
        put(&self.predicted_delay, &[&planned.name], delay);
        self.show_findings(changes, round, &planned.name);
        for change in changes {
            if let Change::Addresses(LastAnswer {
                endpoint,
                nameserver,
                ..
            }) = change
            {
                let series = self.of(planned, endpoint);
                self.answer_changes
                    .with_label_values(&series.with(&nameserver.to_string()))
                    .inc();
            }
        }
        let skew = round.outcome.endpoints.iter().find_map(|seen| {
            match seen.evidence(Stage::Challenge)? {
                Evidence::Challenge(challenge) => challenge.clock_skew,
                _ => None,
            }
        });
        put(&self.clock_skew, &[&planned.name], skew);
        let left = changes.iter().filter_map(|change| match change {
            Change::Left(endpoint) => Some(endpoint),
            _ => None,
        });
        for left in left {
            let endpoint = left.to_string();
            let labels = [
                ("registry", &*planned.name),
                ("endpoint", &endpoint),
                ("role", left.role.as_str()),
            ];
            // What has no role belongs to whoever else is there.
            let mut stay = round.outcome.endpoints.iter();
            match stay.any(|seen| seen.endpoint.to_string() == endpoint) {
                true => self.forget_all(&labels),
                false => self.forget_all(&labels[..2]),
            }
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
            let before = before.and_then(|round| round.outcome.of(&seen.endpoint));
            series.show_connection(before, seen);
            series.show_answers(before, seen, seen.expectation(&planned.expectation));
        }
    }

    /// Several findings with the same labels are one series.
    fn show_findings(&self, changes: &[Change<'_>], now: &Round, registry: &str) {
        let findings = now.diagnosis.findings.iter();
        let now: HashSet<_> = findings.map(|one| finding_labels(one, registry)).collect();
        for change in changes {
            let (finding, value) = match change {
                Change::Found(finding) => (finding, Some(1.0)),
                Change::Cleared(finding) => (finding, None),
                _ => continue,
            };
            let labels = finding_labels(finding, registry);
            if value.is_some() || !now.contains(&labels) {
                put(
                    &self.findings,
                    &labels.each_ref().map(String::as_str),
                    value,
                );
            }
        }
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
        put(&self.reload_successful, &[], Some(successful.into()));
        if successful {
            put(&self.reload_timestamp, &[], Some(now));
        }
    }

    /// The fleet was counted.
    pub(crate) fn show_fleet(&self, fleet: &Fleet) {
        put(&self.fleet_size, &[], Some(fleet.size.into()));
        for source in Source::ALL {
            self.fleet_size_source
                .with_label_values(&[source.as_str()])
                .set((source == fleet.source).into());
        }
    }

    /// A registry is probed at this pace.
    pub(crate) fn show_pace(&self, registry: &str, pace: &Pace) {
        for depth in Depth::ALL {
            self.effective_interval
                .with_label_values(&[registry, depth.as_str()])
                .set(pace.interval(depth).as_secs_f64());
        }
    }

    fn with_process_wide_series(self) -> Self {
        Skip::ALL.iter().for_each(|why| self.skipped(*why, 0));
        self.lag.with_label_values::<&str>(&[]);
        for source in Source::ALL {
            self.fleet_size_source.with_label_values(&[source.as_str()]);
        }
        self
    }

    fn of<'a>(&'a self, planned: &'a PlannedRegistry, endpoint: &'a Endpoint) -> Series<'a> {
        Series::new(self, &planned.name, endpoint)
    }
}

fn asked(seen: &EndpointOutcome) -> impl Iterator<Item = &Arc<Nameserver>> {
    seen.lookups_of_host().map(|lookup| &lookup.nameserver)
}

fn finding_labels(finding: &Finding, registry: &str) -> [String; 5] {
    [
        registry.to_owned(),
        finding.endpoint.to_string(),
        finding.endpoint.role.as_str().to_owned(),
        finding.code.to_string(),
        finding.severity.as_str().to_owned(),
    ]
}

/// Sets a gauge; what is not measured is absent.
fn put(family: &Family<Gauge>, labels: &[&str], value: Option<f64>) {
    match value {
        Some(value) => family.with_label_values(labels).set(value),
        None => family.remove(labels),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use regprobe_probes::Diagnosis;

    use super::*;
    use crate::{changes::between, state::story};

    fn show(metrics: &Metrics, before: Option<&Round>, state: &RegistryState) {
        let changes = between(before, state.round.as_ref().unwrap());
        metrics.show(before, state, &changes);
    }

    /// The series of `family`, without their prefix.
    fn series(metrics: &Arc<Metrics>, family: &str) -> Vec<String> {
        let text = String::from_utf8(metrics.encode()).unwrap();
        let prefix = format!("regprobe_{family}{{");
        let series = text.lines().filter_map(|line| line.strip_prefix(&prefix));
        series.map(str::to_owned).collect()
    }

    #[test]
    fn a_finding_is_a_series_while_it_holds() {
        let metrics = Arc::new(Metrics::new(&config::MetricsConfig::default()));
        let mut state = RegistryState::clone(&story::failing());
        let round = state.round_mut();
        let twice = round.diagnosis.findings[0].clone();
        round.diagnosis.findings.push(twice);
        show(&metrics, None, &state);
        assert_eq!(
            series(&metrics, "finding"),
            [
                "registry=\"contoso\",endpoint=\"contoso.azurecr.io:443\",role=\"login\",\
                 code=\"CertificateExpiringSoon\",severity=\"warning\"} 1",
                "registry=\"contoso\",endpoint=\"contoso.westeurope.data.azurecr.io:443\",\
                 role=\"data\",code=\"PrivateLinkRecordMissing\",severity=\"critical\"} 1",
            ]
        );
        let delays = series(&metrics, "predicted_pull_delay_seconds");
        assert_eq!(delays, ["registry=\"contoso\"} 0"]);
        let verdicts = series(&metrics, "registry_verdict");
        assert_eq!(verdicts, ["registry=\"contoso\"} 2"]);

        let before = state.round.clone();
        state.round_mut().diagnosis = Diagnosis::default();
        show(&metrics, before.as_deref(), &state);
        assert!(series(&metrics, "finding").is_empty());
        assert!(series(&metrics, "predicted_pull_delay_seconds").is_empty());
    }

    #[test]
    fn a_registry_takes_its_findings_along() {
        let metrics = Arc::new(Metrics::new(&config::MetricsConfig::default()));
        for state in [story::failing(), story::drift()] {
            show(&metrics, None, &Arc::unwrap_or_clone(state));
        }
        metrics.forget("contoso");
        let left = series(&metrics, "finding");
        assert_eq!(left.len(), 2);
        assert!(
            left.iter()
                .all(|series| series.contains("registry=\"drift\""))
        );
    }

    #[test]
    fn who_goes_leaves_what_belongs_to_another_role_at_the_same_place() {
        let metrics = Arc::new(Metrics::new(&config::MetricsConfig::default()));
        let mut state = RegistryState::clone(&story::healthy());
        let mut storage = state.round_mut().outcome.endpoints[0].clone();
        storage.endpoint.role = Role::Storage;
        state.round_mut().outcome.endpoints.push(storage);
        let round = state.round.clone().unwrap();
        metrics.count(None, &state.planned, &round.outcome);
        show(&metrics, None, &state);
        let of_storage = |family: &str| {
            let series = series(&metrics, family);
            let theirs = series.iter().filter(|one| one.contains("role=\"storage\""));
            (theirs.count(), series.len())
        };
        let (theirs, attempts) = of_storage("stage_attempts_total");
        let infos = [
            series(&metrics, "tls_info"),
            series(&metrics, "dns_answer_info"),
        ];
        assert!(theirs > 0 && infos.iter().all(|infos| !infos.is_empty()));
        state.round_mut().outcome.endpoints.pop();
        show(&metrics, Some(&round), &state);
        assert_eq!(of_storage("stage_attempts_total"), (0, attempts - theirs));
        let left = [
            series(&metrics, "tls_info"),
            series(&metrics, "dns_answer_info"),
        ];
        assert_eq!(left, infos);
    }

    /// With one nameserver and without failures, of a healthy registry.
    fn series_per_endpoint(histograms: bool) -> usize {
        let options = config::MetricsConfig {
            histograms,
            ..config::MetricsConfig::default()
        };
        let metrics = Arc::new(Metrics::new(&options));
        let state = RegistryState::clone(&story::healthy());
        let round = state.round.as_ref().unwrap();
        metrics.expect(&state.planned, &[]);
        metrics.count(None, &state.planned, &round.outcome);
        show(&metrics, None, &state);
        metrics.show_pace("contoso", &Pace::of(&state.planned.intervals));
        let text = String::from_utf8(metrics.encode()).unwrap();
        let of_registry = |line: &&str| line.contains("registry=\"");
        text.lines().filter(of_registry).count() / round.outcome.endpoints.len()
    }

    #[test]
    fn an_endpoint_costs_this_many_series() {
        assert_eq!(series_per_endpoint(true), 107);
        assert_eq!(series_per_endpoint(false), 19);
    }

    #[test]
    fn a_scrape_grows_with_what_is_shown_and_with_nothing_else() {
        let metrics = Arc::new(Metrics::new(&config::MetricsConfig::default()));
        let state = RegistryState::clone(&story::healthy());
        let round = state.round.as_ref().unwrap();
        let scrape = || {
            metrics.count(Some(round), &state.planned, &round.outcome);
            show(&metrics, state.round.as_deref(), &state);
            let text = metrics.encode();
            let size = text.len();
            (String::from_utf8(text).unwrap().lines().count(), size)
        };
        let (lines, first) = scrape();
        let (later_lines, later) = (0..1000).fold((0, 0), |_, _| scrape());
        assert_eq!(lines, later_lines);
        // Numbers have more digits.
        assert!(later < first + first / 10, "{first} {later}");
    }
}
