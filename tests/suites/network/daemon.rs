//! The agent as it runs on: each fault of the lab comes and goes while it watches. Its status has to show the verdict
//! and the cause within one interval of their kind and the time-outs, and on the way there and back nothing that is
//! true of neither world. `REGPROBE_DAEMON=all` plays every scenario with a fault, `REGPROBE_DAEMON_SECONDS=5,60` at
//! these intervals. A table of the seconds is printed.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use regprobe_harness::need::Need;
use regprobe_harness::program::{REGPROBE, repository};
use regprobe_harness::suite::{Suite, Test, test};
use regprobe_lab::scenario::{Scenario, Verdict};
use regprobe_lab::wait;
use regprobe_lab::world::{Running, Scene};
use serde_json::{Value, json};

use super::pool::{Pool, lock};

/// A run of all tests plays these, at this interval.
const CHOSEN: [&str; 14] = [
    "data-no-answer",
    "dns-only-nameserver-silent",
    "drift-data-record-missing",
    "drift-zone-not-linked-public-access-off",
    "drift-zone-not-linked-public-access-on",
    "http-captive-portal",
    "http-firewall",
    "image-locked",
    "image-blob-refused-by-storage",
    "mirror-in-error",
    "tcp-private-endpoint-silent",
    "tls-certificate-expired",
    "tls-large-packets-lost",
    "token-server-error",
];
const SECONDS: u64 = 5;

/// What is wrong here is in what the agent is told when it starts, so there is no healthy world for the same agent.
const FROM_THE_START: [&str; 19] = [
    "dns-suffix-misspelt",
    "http-other-registry-forbids-ping",
    "http-other-registry-says-true",
    "http-other-registry-without-ping",
    "http-portal-at-another-registry",
    "image-not-found",
    "image-private-where-anonymous-pull-is-expected",
    "node-proxy-of-another-scheme",
    "node-proxy-of-unknown-scheme",
    "node-proxy-with-raw-percent",
    "node-proxy-without-port",
    "proxy-socks-asks-for-credentials",
    "proxy-socks-closed",
    "tcp-docker-io-refused",
    "tcp-localhost-refused",
    "tls-privatelink-name-in-the-reference",
    "token-denied-in-its-own-words",
    "token-denied-where-anonymous-pull-is-expected",
    "token-throttled",
];

/// Here the client itself waits for half a minute before it gives up, and so does a round, which ends then.
const UNTIL_A_ROUND_ENDS: [&str; 2] = ["image-manifest-no-answer", "mirror-gives-no-answer"];
const ROUND: Duration = Duration::from_secs(33);

/// A round here waits for longer than the shortest interval, so this one is the shortest.
const LONG_ROUNDS: [&str; 3] = [
    "dns-late-nameserver",
    "dns-late-nameserver-with-a-long-timeout",
    "mirror-gives-no-answer",
];
const LONG_INTERVAL: Duration = Duration::from_secs(15);

/// What the agent has not seen where an answer takes longer than a round has.
const NO_TIME_LEFT: &str = "the round had no time left";

/// How long a registry of the lab asks to wait when it is throttled; nobody looks again before.
const THROTTLED: Duration = Duration::from_secs(30);

/// How many worlds there are at the same time; all of them mostly wait.
const AT_A_TIME: usize = 14;

/// Requests of a fault that changes the way to the registry must not wait for their own intervals, which are this many
/// times longer.
const LONGER: u32 = 10;

/// What a busy machine needs to run a round and to show it.
const BUSY: Duration = Duration::from_secs(4);

/// So long it has to stay what it says: another round follows at the shortest interval.
const STAYS: Duration = Duration::from_secs(6);

/// A walk, which has a time-out for each of its requests: it begins at once.
const TIMEOUTS: u32 = 3;

/// Where a request waits for its answer in vain, so much longer than its time-outs, or than a round, the interval has
/// to be: the world turns between two rounds.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(4);

pub(crate) fn suite() -> Suite {
    match chosen() {
        Ok(tests) => tests,
        Err(error) => Suite::of([test("the scenarios can be read", || Err(error))]),
    }
}

fn chosen() -> Result<Suite> {
    let all = env::var("REGPROBE_DAEMON").is_ok_and(|which| which == "all");
    let seconds = env::var("REGPROBE_DAEMON_SECONDS").unwrap_or_else(|_| SECONDS.to_string());
    let seconds = seconds.split(',').map(str::parse::<u64>);
    let seconds = seconds.collect::<Result<Vec<_>, _>>()?;
    let pool = Arc::<Pool>::default();
    let table = Arc::<Mutex<Table>>::default();
    lock(&table).seconds.clone_from(&seconds);
    let mut tests: Vec<Test> = Vec::new();
    for seconds in seconds {
        for scenario in Scenario::read_all(&repository("tests/scenarios"))? {
            let is_chosen = CHOSEN.contains(&&*scenario.name);
            let has_fault = scenario.verdict != Verdict::Ok
                && !FROM_THE_START.contains(&&*scenario.name)
                // The agent is told of these when it starts, and asks for an identity's token at most four times an hour.
                && scenario.agent.pull_secret.is_none()
                && scenario.agent.managed_identity.is_none();
            if !(has_fault && (all || is_chosen)) {
                continue;
            }
            let (pool, table) = (Arc::clone(&pool), Arc::clone(&table));
            let name = format!("{} every {seconds} s", scenario.name);
            let play = move || {
                let interval = Duration::from_secs(seconds);
                let played = pool.with_world(|world| {
                    let healthy = scenario.healthy()?;
                    let scene = world.set(&healthy)?;
                    Play::start(scene, &healthy, &scenario, interval)?.play()
                });
                lock(&table)
                    .rows
                    .push((scenario.name, seconds, played.as_ref().ok().copied()));
                played.map(drop)
            };
            let test = test(name, play).needs(Need::WORLD);
            tests.push(test.within(Duration::from_secs(240 + 6 * seconds)));
        }
    }
    Ok(Suite::of(tests).at_a_time(AT_A_TIME).and_then(move || {
        pool.close();
        print!("{}", lock(&table).text());
        Ok(())
    }))
}

/// Seconds until the status showed a fault, and its end.
#[derive(Clone, Copy)]
struct Shown {
    fault: f64,
    end: f64,
}

#[derive(Default)]
struct Table {
    seconds: Vec<u64>,
    rows: Vec<(String, u64, Option<Shown>)>,
}

impl Table {
    fn text(&self) -> String {
        let mut text = format!(
            "seconds until a fault is shown / until its end is, at intervals of {:?} s\n",
            self.seconds
        );
        let names: BTreeSet<_> = self.rows.iter().map(|(name, ..)| name).collect();
        for name in names {
            let cells = self.seconds.iter().map(|seconds| {
                let mut rows = self.rows.iter();
                match rows.find(|row| row.0 == *name && row.1 == *seconds) {
                    Some((_, _, Some(shown))) => format!("{:5.1} /{:5.1}", shown.fault, shown.end),
                    Some((_, _, None)) => "    wrong   ".to_owned(),
                    None => "            ".to_owned(),
                }
            });
            let _ = writeln!(text, "{name:56} {}", cells.collect::<Vec<_>>().join("  "));
        }
        text
    }
}

/// What a status says: the verdict, and the codes of the loud findings.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    verdict: String,
    loud: BTreeSet<String>,
}

impl Said {
    fn of(registry: &Value) -> Self {
        let findings = registry["findings"].as_array().into_iter().flatten();
        let loud = findings.filter(|finding| finding["severity"] != "info");
        let codes = loud.filter_map(|finding| finding["code"].as_str().map(str::to_owned));
        Self {
            verdict: registry["verdict"].as_str().unwrap_or_default().to_owned(),
            loud: codes.collect(),
        }
    }

    /// How bad it is; nothing between two worlds is worse than both or better than both.
    fn rank(&self) -> Option<usize> {
        ["ok", "degraded", "failing"]
            .iter()
            .position(|verdict| *verdict == self.verdict)
    }

    /// Whether it can be said on the way from one world to another: no cause that neither has, and no verdict beyond
    /// both. Who does not know yet may say so only if one of both does.
    fn is_between(&self, one: &Self, other: &Self) -> bool {
        let is_known = self
            .loud
            .iter()
            .all(|code| one.loud.contains(code) || other.loud.contains(code));
        let ranks = [one.rank(), other.rank()];
        let verdict = match self.rank() {
            None => ranks.contains(&None),
            Some(rank) => {
                let known = || ranks.into_iter().flatten();
                ranks.contains(&None) || known().min() <= Some(rank) && Some(rank) <= known().max()
            }
        };
        is_known && verdict
    }
}

/// An agent on its node, and the two worlds that it sees.
struct Play<'w> {
    scene: Scene<'w>,
    agent: Running<'w>,
    healthy: &'w Scenario,
    fault: &'w Scenario,
    limit: Duration,
}

impl<'w> Play<'w> {
    fn start(
        scene: Scene<'w>,
        healthy: &'w Scenario,
        fault: &'w Scenario,
        interval: Duration,
    ) -> Result<Self> {
        // What changes the way sets off a walk; of what happens behind it only its own interval tells. With TLS 1.3, a
        // server refuses a client without a certificate when that has begun to ask.
        let kind = fault.name.split('-').next().unwrap_or_default();
        let is_behind = matches!(kind, "http" | "token" | "image" | "data" | "mirror")
            || fault.name == "tls-client-certificate-required";
        let is_loud = |code: &str| fault.loud.iter().any(|loud| loud == code);
        let is_throttled = is_loud("Throttled");
        let timeout = Duration::from_secs(fault.agent.timeout_seconds);
        let waits = timeout * TIMEOUTS;
        let whole_round = fault.agent.check_limit();
        let ends_with_its_round = fault.unseen.as_deref() == Some(NO_TIME_LEFT);
        let interval = if ends_with_its_round {
            interval.max(whole_round + BETWEEN_ROUNDS)
        } else if LONG_ROUNDS.contains(&&*fault.name) {
            interval.max(LONG_INTERVAL)
        } else if is_loud("NoResponse") {
            interval.max(waits + BETWEEN_ROUNDS)
        } else {
            interval
        };
        let round = if UNTIL_A_ROUND_ENDS.contains(&&*fault.name) {
            ROUND
        } else if ends_with_its_round {
            whole_round
        } else {
            waits
        };
        let deep = if is_behind {
            interval
        } else {
            interval * LONGER
        };
        let schedule = json!({
            "timeout": format!("{}s", timeout.as_secs()),
            "network_interval": format!("{}s", interval.as_secs()),
            "request_interval": format!("{}s", deep.as_secs()),
            "token_interval": format!("{}s", deep.as_secs()),
            "image_interval": format!("{}s", deep.as_secs()),
        });
        let agent = scene.run(&REGPROBE, &schedule)?;
        Ok(Self {
            scene,
            agent,
            healthy,
            fault,
            limit: interval
                + round
                + BUSY
                + if is_throttled {
                    THROTTLED
                } else {
                    Duration::ZERO
                },
        })
    }

    fn play(mut self) -> Result<Shown> {
        let before = Said::of(&self.agent.registry()?);
        ensure!(
            before.rank() == Some(0),
            "it is not healthy before: {before:?}"
        );
        let expected = Said {
            verdict: self.fault.verdict.as_str().to_owned(),
            loud: self.fault.loud.clone(),
        };
        let fault = self
            .turn(self.fault, &before, &expected)
            .context("the fault")?;
        let end = self
            .turn(self.healthy, &expected, &before)
            .context("its end")?;
        Ok(Shown { fault, end })
    }

    /// Turns the world into another one, and waits until the status says what is true of it.
    fn turn(&mut self, world: &'w Scenario, from: &Said, to: &Said) -> Result<f64> {
        // Between both worlds there is a moment without servers, which is none of both.
        self.agent.pause()?;
        self.scene.turn(world)?;
        self.agent.go_on()?;
        let began = Instant::now();
        let (mut said, mut shown) = (Vec::new(), None);
        while began.elapsed() < self.limit + STAYS {
            let registry = self.agent.registry()?;
            let now = Said::of(&registry);
            let seconds = began.elapsed().as_secs_f64();
            if said.last().is_none_or(|(_, last)| *last != now) {
                said.push((seconds, now.clone()));
            }
            if !now.is_between(from, to) {
                bail!(
                    "neither {from:?} nor {to:?}: {said:?}\n{registry:#}\n{}",
                    self.agent.log()
                );
            }
            match shown {
                Some(first) if now == *to && seconds > first + STAYS.as_secs_f64() => {
                    return Ok(first);
                }
                None if now == *to && began.elapsed() < self.limit => shown = Some(seconds),
                Some(_) if now != *to => bail!("it does not stay so: {said:?}\n{registry:#}"),
                _ => {}
            }
            wait::pause(Duration::from_millis(50));
        }
        let registry = self.agent.registry()?;
        bail!(
            "not {to:?} within {:?}: {said:?}\n{registry:#}\n{}",
            self.limit,
            self.agent.log()
        )
    }
}
