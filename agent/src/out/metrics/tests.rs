//! What a scrape shows of registries as rounds left them, and that nothing outlives its owner.

use regprobe_probes::{Diagnosis, Role};

use super::*;
use crate::{
    schedule::pace::Pace,
    state::changes::between,
    state::{RegistryState, Round, story},
};

fn exporter() -> Exporter {
    Exporter::new(&config::MetricsConfig::default())
}

/// A registry of which nothing was expected.
fn registry(exporter: &Exporter, state: &RegistryState) -> RegistryMetrics {
    exporter.registry(&state.planned, &[])
}

fn show(metrics: &mut RegistryMetrics, before: Option<&Round>, state: &RegistryState) {
    let changes = between(before, state.round.as_ref().unwrap());
    metrics.show(state, &changes);
}

fn text(exporter: &Exporter) -> String {
    String::from_utf8(exporter.scrape().collect::<Vec<_>>().concat()).unwrap()
}

/// The series of `family`, without their prefix.
fn series(exporter: &Exporter, family: &str) -> Vec<String> {
    let text = text(exporter);
    let prefix = format!("regprobe_{family}{{");
    let series = text.lines().filter_map(|line| line.strip_prefix(&prefix));
    series.map(str::to_owned).collect()
}

#[test]
fn a_finding_is_a_series_while_it_holds() {
    let exporter = exporter();
    let mut state = RegistryState::clone(&story::failing());
    let mut metrics = registry(&exporter, &state);
    let round = state.round_mut();
    let twice = round.diagnosis.findings[0].clone();
    round.diagnosis.findings.push(twice);
    show(&mut metrics, None, &state);
    assert_eq!(
        series(&exporter, "finding"),
        [
            "registry=\"contoso\",endpoint=\"contoso.azurecr.io:443\",role=\"login\",\
             code=\"CertificateExpiringSoon\",severity=\"warning\"} 1",
            "registry=\"contoso\",endpoint=\"contoso.westeurope.data.azurecr.io:443\",\
             role=\"data\",code=\"PrivateLinkRecordMissing\",severity=\"critical\"} 1",
        ]
    );
    let delays = series(&exporter, "predicted_pull_delay_seconds");
    assert_eq!(delays, ["registry=\"contoso\"} 0"]);
    let verdicts = series(&exporter, "registry_verdict");
    assert_eq!(verdicts, ["registry=\"contoso\"} 2"]);

    let before = state.round.clone();
    state.round_mut().diagnosis = Diagnosis::default();
    show(&mut metrics, before.as_deref(), &state);
    assert!(series(&exporter, "finding").is_empty());
    assert!(series(&exporter, "predicted_pull_delay_seconds").is_empty());
}

#[test]
fn a_registry_takes_its_series_along() {
    let exporter = exporter();
    let states = [story::failing(), story::drift()];
    let [contoso, drift] = states.each_ref().map(|state| {
        let mut metrics = registry(&exporter, state);
        metrics.count(&state.round.as_ref().unwrap().outcome);
        show(&mut metrics, None, state);
        metrics
    });
    drop(contoso);
    assert_eq!(series(&exporter, "finding").len(), 2);
    let text = text(&exporter);
    assert!(text.contains("registry=\"drift\"") && !text.contains("registry=\"contoso\""));
    drop(drift);
    assert!(!self::text(&exporter).contains("registry="));
}

#[test]
fn a_role_that_goes_leaves_what_belongs_to_another_role_at_the_same_place() {
    let exporter = exporter();
    let mut state = RegistryState::clone(&story::healthy());
    let mut metrics = registry(&exporter, &state);
    let mut storage = state.round_mut().outcome.endpoints[0].clone();
    storage.endpoint.role = Role::Storage;
    state.round_mut().outcome.endpoints.push(storage);
    let round = state.round.clone().unwrap();
    metrics.count(&round.outcome);
    show(&mut metrics, None, &state);
    let of_storage = |family: &str| {
        let series = series(&exporter, family);
        let theirs = series.iter().filter(|one| one.contains("role=\"storage\""));
        (theirs.count(), series.len())
    };
    let (theirs, attempts) = of_storage("stage_attempts_total");
    let infos = || ["tls_info", "dns_answer_info"].map(|family| series(&exporter, family));
    let before = infos();
    assert!(theirs > 0 && before.iter().all(|infos| !infos.is_empty()));
    state.round_mut().outcome.endpoints.pop();
    show(&mut metrics, Some(&round), &state);
    assert_eq!(of_storage("stage_attempts_total"), (0, attempts - theirs));
    assert_eq!(infos(), before);
}

#[test]
fn a_nameserver_that_is_no_longer_asked_takes_its_series_along() {
    let exporter = exporter();
    let mut state = RegistryState::clone(&story::drift());
    let mut metrics = registry(&exporter, &state);
    let round = state.round.clone().unwrap();
    metrics.count(&round.outcome);
    show(&mut metrics, None, &state);
    let asked = || series(&exporter, "dns_lookups_total");
    assert_eq!(asked().len(), 2);
    state.round_mut().outcome.endpoints[0].lookups.pop();
    show(&mut metrics, Some(&round), &state);
    let [left] = &asked()[..] else {
        panic!("{:?}", asked());
    };
    assert!(left.contains("nameserver=\"10.0.0.10:53\""), "{left}");
}

/// With one nameserver and without failures, of a healthy registry.
fn series_per_endpoint(histograms: bool) -> usize {
    let exporter = Exporter::new(&config::MetricsConfig {
        histograms,
        ..config::MetricsConfig::default()
    });
    let state = RegistryState::clone(&story::healthy());
    let mut metrics = registry(&exporter, &state);
    let round = state.round.as_ref().unwrap();
    metrics.count(&round.outcome);
    show(&mut metrics, None, &state);
    metrics.show_pace(&Pace::of(&state.planned.intervals));
    let text = text(&exporter);
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
    let exporter = exporter();
    let state = RegistryState::clone(&story::healthy());
    let mut metrics = registry(&exporter, &state);
    let round = state.round.as_deref();
    let mut scrape = |before| {
        metrics.count(&round.unwrap().outcome);
        show(&mut metrics, before, &state);
        let text = text(&exporter);
        (text.lines().count(), text.len())
    };
    let (lines, first) = scrape(None);
    let (later_lines, later) = (0..1000).fold((0, 0), |_, _| scrape(round));
    assert_eq!(lines, later_lines);
    // Numbers have more digits.
    assert!(later < first + first / 10, "{first} {later}");
}

/// The pieces of a scrape, without the metrics of the process.
fn pieces(exporter: &Exporter) -> Vec<String> {
    let pieces = exporter
        .scrape()
        .map(|piece| String::from_utf8(piece).unwrap());
    let ours = pieces.map(|piece| piece.split("# HELP process_").next().unwrap().to_owned());
    ours.collect()
}

#[test]
fn what_is_too_long_comes_in_pieces_and_nothing_is_lost_between_them() {
    // Around as many series as fill a piece, and two.
    for count in (2080..2130).chain(4200..4230) {
        let exporter = exporter();
        let (mut expected, mut all) = (String::new(), Vec::new());
        for (name, count) in [("one_total", count), ("other_total", 3)] {
            expected += &format!("# HELP regprobe_{name} Things.\n");
            expected += &format!("# TYPE regprobe_{name} counter\n");
            for number in 1000..1000 + count {
                let owner = exporter.agent.and("a", &number.to_string());
                all.push(Counter::of(owner.slot(name, "Things.", Counter::KIND)));
                expected += &format!("regprobe_{name}{{a=\"{number}\"}} 0\n");
            }
        }
        let pieces = pieces(&exporter);
        assert!(pieces.iter().all(|piece| piece.len() < PIECE + 200));
        let text = pieces.concat();
        let (ours, tasks) = text.split_once("# HELP regprobe_tasks").unwrap();
        assert!(ours == expected, "{count}");
        assert!(tasks.ends_with("regprobe_tasks 0\n"), "{tasks}");
    }
}

#[test]
fn series_are_written_as_prometheus_reads_them() {
    let agent = Owner::root(Some(&[0.5, 10.0]));
    let text = || {
        let mut text = Vec::new();
        for family in agent.all_families() {
            assert!(family.write(&mut text, None, PIECE).is_none());
        }
        String::from_utf8(text).unwrap()
    };
    let mut gauge = Gauge::of(agent.slot("level", "A level.", Gauge::KIND));
    assert_eq!(text(), "", "a family without series is not there");
    let part = agent.and("a", "x");
    let tries = |b: &str| {
        let slot = part.slot("tries_total", "Tries.", Counter::KIND);
        Counter::of(slot.and("b", b))
    };
    let (plain, escaped) = (tries("y"), tries("q\"\\\n"));
    plain.inc_by(12);
    escaped.inc_by(1);
    escaped.inc_by(1);
    gauge.show(-0.25);
    let histogram = Histogram::of(part.slot("time_seconds", "Time.", Histogram::KIND));
    for time in [0.5, 0.6, 11.0] {
        histogram.observe(time);
    }
    assert_eq!(
        text(),
        r#"# HELP regprobe_level A level.
# TYPE regprobe_level gauge
regprobe_level -0.25
# HELP regprobe_time_seconds Time.
# TYPE regprobe_time_seconds histogram
regprobe_time_seconds_bucket{a="x",le="0.5"} 1
regprobe_time_seconds_bucket{a="x",le="10"} 2
regprobe_time_seconds_bucket{a="x",le="+Inf"} 3
regprobe_time_seconds_sum{a="x"} 12.1
regprobe_time_seconds_count{a="x"} 3
# HELP regprobe_tries_total Tries.
# TYPE regprobe_tries_total counter
regprobe_tries_total{a="x",b="q\"\\\n"} 2
regprobe_tries_total{a="x",b="y"} 12
"#
    );
    gauge.show(None);
    drop((plain, escaped, histogram));
    assert_eq!(text(), "");
}
