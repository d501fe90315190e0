//! The agent for a long time with registries that fail at random, in every way of the lab. It skips no
//! round, and uses no more resources at the end than at the beginning.
//!
//! This suite only runs by name: `tests/run --soak`.

use std::env;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::Ground;
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::addresses::{free_port, loopback};
use regprobe_lab::fakes::acr::{Acr, Answer, Challenge, Route};
use regprobe_lab::fakes::dns::{Dns, Fault, OverTcp};
use regprobe_lab::fakes::sockets::{self, Trap};
use regprobe_lab::pki::{Pki, self_signed};
use regprobe_lab::wait;

const REGISTRIES: usize = 6;
const REGION: &str = "westeurope";
/// The interval is longer than a round may take: the timeouts of three stages and 3 s.
const SETTINGS: &str = "schedule: {network_interval: 7s, request_interval: 7s, token_interval: 14s, \
                        image_interval: 14s, timeout: 1s}\n";
/// Time for everything to recover.
const RECOVERY: Duration = Duration::from_secs(60);
/// Between two faults.
const PACE: Duration = Duration::from_millis(700);

/// Runs for as many seconds as `REGPROBE_SOAK` says.
pub(crate) fn suite() -> Suite {
    let seconds = env::var("REGPROBE_SOAK")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    let length = Duration::from_secs(seconds.unwrap_or(1800));
    Suite::of([
        test("long trouble leaves nothing behind", move || soak(length))
            .within(length + Duration::from_secs(300)),
    ])
}

fn soak(length: Duration) -> Result<()> {
    let ground = Ground::new()?;
    let registries = Registries::start(&ground)?;
    let config = registries.config(&ground)?;
    let agent = Agent::ready(&config, &["--history.limit=0"])?;
    let seed = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);

    // Warm up: every reason gets its series, every buffer its size.
    registries.trouble(&ground.dns, &mut random, length / 5)?;
    let before = Holdings::at_rest(&agent, &registries, &ground.dns)?;
    registries.trouble(&ground.dns, &mut random, length * 4 / 5)?;
    let after = Holdings::at_rest(&agent, &registries, &ground.dns)?;
    eprintln!("{before:?}\n{after:?}");

    let scrape = agent.scrape()?;
    ensure!(
        scrape.sum("regprobe_rounds_skipped_total", &[]) == 0.0,
        "rounds were skipped"
    );
    ensure!(after.fds <= before.fds + 2.0, "{before:?} {after:?}");
    ensure!(after.tasks <= before.tasks + 2.0, "{before:?} {after:?}");
    ensure!(after.memory <= before.memory * 1.05, "{before:?} {after:?}");
    let panicked = agent
        .log()
        .iter()
        .any(|line| line.contains("please report"));
    ensure!(!panicked, "a round panicked");
    Ok(())
}

/// What the agent uses while nothing fails.
#[derive(Debug)]
struct Holdings {
    fds: f64,
    tasks: f64,
    memory: f64,
    _rounds: f64,
}

impl Holdings {
    fn at_rest(agent: &Agent, registries: &Registries, dns: &Dns) -> Result<Self> {
        registries.fix(dns)?;
        wait::until("all registries are healthy", RECOVERY, || {
            let scrape = agent.scrape()?;
            let verdicts = scrape.of("regprobe_registry_verdict", &[]);
            let well = verdicts.filter(|verdict| verdict.value < 2.0).count();
            ensure!(well == REGISTRIES, "{well} of {REGISTRIES}");
            Ok(())
        })?;
        // The least of several samples: files that are only open during a round do not count.
        let mut least = Self::now(agent)?;
        let end = Instant::now() + Duration::from_secs(8);
        while Instant::now() < end {
            let now = Self::now(agent)?;
            least.fds = least.fds.min(now.fds);
            least.tasks = least.tasks.min(now.tasks);
            least = Self {
                memory: now.memory,
                _rounds: now._rounds,
                ..least
            };
            wait::pause(Duration::from_millis(100));
        }
        Ok(least)
    }

    fn now(agent: &Agent) -> Result<Self> {
        ensure!(agent.get("/-/healthy")?.status == 200);
        let scrape = agent.scrape()?;
        let value = |name: &str| scrape.value(name, &[]);
        Ok(Self {
            fds: value("process_open_fds")?,
            tasks: value("regprobe_tasks")?,
            memory: value("process_resident_memory_bytes")?,
            _rounds: value("regprobe_schedule_lag_seconds_count")?,
        })
    }
}

/// Starts something that misbehaves at an address.
type Start = fn((Ipv4Addr, u16)) -> Result<Trap>;

/// Azure registries, and the traps that may take their place.
struct Registries {
    registries: Vec<(String, Acr, [Ipv4Addr; 2])>,
    traps: Vec<(Ipv4Addr, Trap)>,
    pki: Pki,
}

impl Registries {
    fn start(ground: &Ground) -> Result<Self> {
        let pki = Pki::new()?;
        pki.write_ca(ground.folder.path().join("soak-ca.crt"))?;
        let port = free_port()?;
        let mut registries = Vec::new();
        for number in 1..=REGISTRIES {
            let name = format!("myregistry{number}");
            let at = [loopback(), loopback()];
            let names = ground.dns.acr(&name);
            let acr = Acr::at(names.login().host(), (at[0], port))
                .data(names.data(REGION).host(), (at[1], port))
                .tls(&pki)
                .start()?;
            registries.push((name, acr, at));
        }
        let starts: [Start; 10] = [
            |at| sockets::closed(at),
            |at| sockets::unanswered(at),
            |at| sockets::resets(at),
            |at| sockets::closes(at),
            |at| sockets::stalls(at),
            |at| sockets::plain_http(at),
            |at| sockets::tls_stalls(at),
            |at| sockets::tls_closes(at),
            |at| sockets::tls_resets(at),
            |at| sockets::tls11_only(at),
        ];
        let traps = starts.map(|start| {
            let at = loopback();
            Ok((at, start((at, port))?))
        });
        Ok(Self {
            registries,
            traps: traps.into_iter().collect::<Result<_>>()?,
            pki,
        })
    }

    fn config(&self, ground: &Ground) -> Result<std::path::PathBuf> {
        // Also writes the node's files.
        ground.config(&[&ground.contoso_entry()])?;
        let at = ground.folder.path().display();
        let entries = self.registries.iter().map(|(_, acr, _)| {
            let server = acr.server();
            format!("- {{server: \"{server}\", regions: [{REGION}], private: [127.0.0.0/8]}}\n")
        });
        let entries: String = entries.collect();
        ground.write_config(&format!(
            "registries:\n{entries}{SETTINGS}\
             node: {{resolv_conf: {at}/resolv.conf, hosts: {at}/hosts, certs_d: {at}/certs.d, containerd: 2.4}}\n\
             tls: {{ca_file: {at}/soak-ca.crt}}\n"
        ))
    }

    /// Breaks one thing after another, and fixes some of them.
    fn trouble(&self, dns: &Dns, random: &mut StdRng, length: Duration) -> Result<()> {
        let end = Instant::now() + length;
        while Instant::now() < end {
            let at = random.random_range(0..REGISTRIES);
            let (name, acr, own) = &self.registries[at];
            let names = dns.acr(name);
            let (which, endpoint) = match random.random_bool(0.7) {
                true => (0, names.login()),
                false => (1, names.data(REGION)),
            };
            let host = endpoint.host().to_owned();
            match random.random_range(0..6) {
                0 => drop(dns.break_name(&host, pick(random, &dns_faults())?)),
                1 => match random.random_range(0..5) {
                    0 => endpoint.record_missing(),
                    1 => endpoint.unknown(),
                    2 => endpoint.unlinked([own[which]]),
                    3 => endpoint.public([own[which]]),
                    _ => drop(dns.address::<Ipv4Addr>(&host, [], 10)),
                },
                2 => endpoint.linked([pick(random, &self.traps_at())?]),
                3 => {
                    let route = pick(random, &[Route::Ping, Route::Token, Route::Data])?;
                    acr.answer(route, pick(random, &answers())?);
                }
                4 => {
                    let identity = match random.random_range(0..6) {
                        0 => self.pki.leaf([host.as_str()]).expired(),
                        1 => self.pki.leaf([host.as_str()]).not_yet_valid(),
                        2 => self.pki.leaf(["elsewhere.example"]),
                        3 => self_signed([host.as_str()]),
                        4 => self.pki.leaf([host.as_str()]).via_unsent_intermediate(),
                        _ => self.pki.leaf([host.as_str()]).without_san(),
                    };
                    acr.present(&host, &identity.issue()?)?;
                }
                _ => self.fix_one(at, dns)?,
            }
            // Recorded requests are not needed here, and would make this process grow.
            acr.forget();
            wait::pause(PACE);
        }
        Ok(())
    }

    fn traps_at(&self) -> Vec<Ipv4Addr> {
        self.traps.iter().map(|(at, _)| *at).collect()
    }

    fn fix(&self, dns: &Dns) -> Result<()> {
        dns.fix();
        (0..REGISTRIES).try_for_each(|at| self.fix_one(at, dns))
    }

    fn fix_one(&self, at: usize, dns: &Dns) -> Result<()> {
        let (name, acr, own) = &self.registries[at];
        let names = dns.acr(name);
        for (endpoint, at) in [names.login(), names.data(REGION)].into_iter().zip(own) {
            dns.break_name(endpoint.host(), Fault::Rotate);
            endpoint.linked([*at]);
            acr.present(endpoint.host(), &self.pki.leaf([endpoint.host()]).issue()?)?;
        }
        acr.fix().challenge(None);
        Ok(())
    }
}

fn pick<T: Clone>(random: &mut StdRng, from: &[T]) -> Result<T> {
    from.choose(random).cloned().context("nothing to pick from")
}

fn dns_faults() -> Vec<Fault> {
    let over_tcp = [
        OverTcp::Answers,
        OverTcp::Closes,
        OverTcp::Resets,
        OverTcp::Hangs,
    ];
    let mut faults: Vec<_> = over_tcp.map(Fault::Truncated).into();
    faults.extend([
        Fault::Silent,
        Fault::ServFail,
        Fault::Refused,
        Fault::WrongId,
        Fault::WrongQuestion,
        Fault::Garbage,
        Fault::GarbageThenTruth,
        Fault::Delay(Duration::from_millis(300)),
        Fault::CnameLoop,
    ]);
    faults
}

fn answers() -> Vec<Answer> {
    let mut answers: Vec<_> = [401, 403, 404, 418, 500, 503].map(Answer::Status).into();
    answers.extend([
        Answer::Firewall(Ipv4Addr::new(203, 0, 113, 7).into()),
        Answer::Throttled(Some(Duration::from_secs(5))),
        Answer::Challenge(Challenge::BasicOnly),
        Answer::Challenge(Challenge::Realm("https://169.254.169.254/token".to_owned())),
        Answer::Mcr,
        Answer::EmptyJson,
        Answer::NotJson,
        Answer::HugeJson,
        Answer::CaptivePortal,
        Answer::RedirectTo("https://elsewhere.example/".to_owned()),
        Answer::RedirectLoop,
        Answer::HangBeforeHeaders,
        Answer::HangInBody,
        Answer::EndlessBody,
        Answer::HugeHeaders,
        Answer::EndlessHeaders,
        Answer::Eof,
        Answer::Reset,
        Answer::Garbage,
        Answer::Http10,
        Answer::Chunked,
    ]);
    answers
}
