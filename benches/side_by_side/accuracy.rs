//! The error of the stage times that a contender reports, compared with the wire, with many probes in
//! flight at the same time.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use regprobe_lab::wait;
use serde_json::Value;

use crate::{
    agent::Agent,
    blackbox::{self, Blackbox},
    capture::{Capture, Wire},
    ground::{Ground, address, host},
    keep_alive::KeepAlive,
};

/// Probes in flight.
const IN_FLIGHT: u16 = 200;
const ROUNDS: usize = 10;
const EVERY: Duration = Duration::from_secs(1);

/// By stage, the difference between reported and captured times.
pub(crate) type Errors = BTreeMap<&'static str, Vec<Duration>>;

/// What a contender reported for one probe.
struct Reported {
    number: u16,
    /// The earliest and latest time of the probe on the wire, since the epoch.
    within: (Duration, Duration),
    stages: Vec<(&'static str, Duration)>,
}

/// One registry with this many endpoints, which a round probes all at once.
pub(crate) fn of_regprobe(ground: &Ground) -> Result<Errors> {
    let mut config = format!("- server: {}\n  data_endpoints: [", host(0));
    for number in 1..IN_FLIGHT {
        write!(config, "{}, ", host(number))?;
    }
    config += "]\n";
    let mut agent = Agent::start(ground, 0, &config)?;
    let capture = Capture::start(ground)?;
    let mut rounds = BTreeMap::new();
    while rounds.len() < ROUNDS + 3 {
        wait::pause(EVERY / 5);
        let status: Value = serde_json::from_slice(&agent.get("/api/v1/status")?)?;
        let registry = &status["registries"][0];
        rounds.insert(
            registry["at"].as_str().context("no time")?.to_owned(),
            registry["endpoints"].clone(),
        );
    }
    let wire = capture.end()?;
    let rounds = rounds.into_iter().map(|(at, endpoints)| {
        let at: Timestamp = at.parse()?;
        anyhow::Ok((at.as_duration().unsigned_abs(), endpoints))
    });
    let rounds: Vec<_> = rounds.collect::<Result<_>>()?;
    let mut reported = Vec::new();
    // The first two may have started before the capture, and the last one may not have finished.
    for round in rounds[2..].windows(2) {
        let within = (round[0].0, round[1].0);
        for endpoint in round[0].1.as_array().context("no endpoints")? {
            reported.push(Reported {
                number: number_of(endpoint["host"].as_str().context("no host")?)?,
                within,
                stages: stages_of(endpoint)?,
            });
        }
    }
    errors(&reported, &wire, |first, second| {
        // Each query is timed separately.
        Some(first.1?.checked_sub(first.0)?.max(second.1? - second.0))
    })
}

fn stages_of(endpoint: &Value) -> Result<Vec<(&'static str, Duration)>> {
    let seconds = |value: &Value| -> Result<Duration> {
        Ok(Duration::from_secs_f64(
            value["seconds"].as_f64().context("no time")?,
        ))
    };
    let mut stages = vec![("resolve", seconds(&endpoint["lookups"][0])?)];
    let named = endpoint["addresses"][0]["stages"].as_array();
    for stage in named.context("no stages")? {
        ensure!(stage["ok"] == true, "{stage}");
        let name = match stage["stage"].as_str() {
            Some("connect") => "connect",
            Some("tls") => "tls",
            Some("challenge" | "http") => "http",
            _ => continue,
        };
        stages.push((name, seconds(stage)?));
    }
    Ok(stages)
}

/// This many scrapes at the same time.
pub(crate) fn of_blackbox(ground: &Ground) -> Result<Errors> {
    let exporter = Blackbox::start(ground, 0)?;
    let capture = Capture::start(ground)?;
    let work = |number: u16| -> Result<Vec<Reported>> {
        let mut client = KeepAlive::to(exporter.addr)?;
        let mut reported = Vec::new();
        for _ in 0..=ROUNDS {
            let start = now()?;
            let metrics = blackbox::probe(&mut client, number, "/v2/")?;
            let end = now()?;
            reported.push(Reported {
                number,
                within: (start, end),
                stages: phases_of(&metrics)?,
            });
            wait::pause(EVERY.saturating_sub(end - start));
        }
        // Like the agent's first round, the first probe does not count.
        Ok(reported.split_off(1))
    };
    let reported = thread::scope(|scope| {
        let workers: Vec<_> = (0..IN_FLIGHT)
            .map(|n| scope.spawn(move || work(n)))
            .collect();
        let reported = workers
            .into_iter()
            .map(|worker| worker.join().expect("no worker panics"));
        reported.collect::<Result<Vec<_>>>()
    })?;
    let reported: Vec<_> = reported.into_iter().flatten().collect();
    let wire = capture.end()?;
    errors(&reported, &wire, |first, second| {
        // Both queries are timed together.
        Some(first.1?.max(second.1?) - first.0.min(second.0))
    })
}

fn phases_of(metrics: &str) -> Result<Vec<(&'static str, Duration)>> {
    let names = [
        ("resolve", "resolve"),
        ("connect", "connect"),
        ("tls", "tls"),
        ("http", "processing"),
    ];
    let phase = |(name, phase)| {
        let series = format!("probe_http_duration_seconds{{phase=\"{phase}\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&series));
        let seconds: f64 = value.with_context(|| format!("no {series}"))?.parse()?;
        Ok((name, Duration::from_secs_f64(seconds)))
    };
    names.into_iter().map(phase).collect()
}

type Asked = (Duration, Option<Duration>);

/// `resolve` combines two queries and their answers into the duration of a lookup.
fn errors(
    reported: &[Reported],
    wire: &Wire,
    resolve: impl Fn(Asked, Asked) -> Option<Duration>,
) -> Result<Errors> {
    let mut errors = Errors::new();
    let mut unseen = BTreeMap::<_, usize>::new();
    for reported in reported {
        let within = |at: Duration| reported.within.0 <= at && at <= reported.within.1;
        let name = wire_name(reported.number);
        let mut questions = wire
            .questions
            .iter()
            .filter(|question| within(question.at) && question.asked.starts_with(&name))
            .map(|question| (question.at, question.answered));
        let asked = questions.next().zip(questions.next());
        let connection = wire
            .connections
            .iter()
            .find(|c| c.server == address(reported.number) && within(c.at()));
        for (stage, took) in &reported.stages {
            let seen = match (*stage, connection) {
                ("resolve", _) => asked.and_then(|(first, second)| resolve(first, second)),
                ("connect", Some(connection)) => connection.connect(),
                ("tls", Some(connection)) => connection.tls(),
                ("http", Some(connection)) => connection.http(),
                _ => None,
            };
            match seen {
                Some(seen) => errors.entry(stage).or_default().push(took.abs_diff(seen)),
                None => *unseen.entry(stage).or_default() += 1,
            }
        }
    }
    let few = unseen.values().sum::<usize>() * 100 <= reported.len();
    ensure!(
        few,
        "of {} probes these are not in the capture: {unseen:?}",
        reported.len()
    );
    Ok(errors)
}

fn number_of(host: &str) -> Result<u16> {
    let number = host.strip_prefix('r').and_then(|rest| rest.get(..3));
    Ok(number.context("another host")?.parse()?)
}

/// The name in DNS wire format.
fn wire_name(number: u16) -> Vec<u8> {
    let mut name = Vec::new();
    for label in host(number).split('.') {
        name.push(u8::try_from(label.len()).expect("a short label"));
        name.extend(label.as_bytes());
    }
    name.push(0);
    name
}

fn now() -> Result<Duration> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?)
}
