//! The place for attacks: a network namespace with an agent, a registry that is attacked, one that is
//! attacked through the node's proxy, and bystanders, which are not attacked. One attack at a time, with
//! quiet before and after it.

mod readings;
mod registries;

use std::collections::BTreeSet;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener, UdpSocket};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use regprobe_harness::agent::Agent;
use regprobe_harness::program::regprobe;
use regprobe_lab::addresses::loopback;
use regprobe_lab::fakes::acr::Acr;
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::fakes::proxy::Proxy;
use regprobe_lab::netns::Namespace;
use regprobe_lab::pki::Pki;
use regprobe_lab::wait;
use rustls::ServerConfig;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{self, Handle};
use tokio::task::JoinSet;

use self::readings::{Failures, seconds};
use self::registries::{Bystander, canaries, config_in, servers};
use super::attack::{Attack, By};
use super::nameserver::Nameserver;
use super::toll::Rounds;
use super::{listener, lock, site};

/// A stage's timeout.
const LIMIT: Duration = Duration::from_secs(2);
/// How long a walk waits for an answer, and what its round may take in addition.
const ANSWER: Duration = Duration::from_secs(6);
const GRACE: Duration = Duration::from_secs(3);
/// From one round to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// Extra time on a busy machine.
const SLACK: Duration = Duration::from_secs(3);
/// How long an attack lasts, and the quiet between two attacks.
const WINDOW: Duration = Duration::from_millis(3200);
/// Time between two scrapes.
const LOOK: Duration = Duration::from_millis(500);
/// Timeout for the agent to recover.
const RECOVERY: Duration = Duration::from_secs(15);
/// How much memory an attack may leave allocated.
const GROWTH: i64 = 2 << 20;

const NAMESERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 53);
const REGISTRY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const BEHIND: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const PROXY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 3);
const BYSTANDER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 4);
const ATTACKER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 66);
/// Addresses that no registry may redirect a probe to.
const OFF_LIMITS: [Ipv4Addr; 2] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(168, 63, 129, 16),
];

const HTTPS: u16 = 443;
const PROXY_PORT: u16 = 3128;
const PROXY_NAME: &str = "proxy.lab.example";
/// The attacked registries, by registry and host name.
const ATTACKED: (&str, &str) = ("attacked", "attacked.registry.example");
const PROXIED: (&str, &str) = ("proxied", "proxied.lab.example");

/// The observations during one attack.
pub(crate) struct Seen {
    /// Until the first result.
    pub(crate) took: Duration,
    /// In bytes.
    pub(crate) growth: i64,
    pub(crate) rounds: Rounds,
}

impl Seen {
    /// Adds a repetition of the same attack.
    pub(crate) fn extend(&mut self, more: Self) {
        self.took = self.took.max(more.took);
        self.growth = self.growth.max(more.growth);
        self.rounds.extend(more.rounds);
    }
}

pub(crate) struct Arena {
    agent: Agent,
    bystanders: Vec<Bystander>,
    nameserver: Nameserver,
    dns: Dns,
    tls: Arc<ServerConfig>,
    canaries: Vec<StdListener>,
    quiet_since: Mutex<Timestamp>,
    hostile: Handle,
    _servers: (Vec<Acr>, Proxy, TempDir),
    namespace: Namespace,
}

impl Arena {
    pub(crate) fn new(bystanders: u16) -> Result<Self> {
        let bystanders: Vec<_> = (0..bystanders).map(Bystander::new).collect();
        let namespace = Namespace::new("attacks")?;
        let own = [NAMESERVER, REGISTRY, BEHIND, PROXY, BYSTANDER, ATTACKER];
        for address in own.iter().chain(&OFF_LIMITS) {
            namespace.address(&format!("{address}/32"))?;
        }
        let (pki, dns) = (Pki::new()?, Dns::start((loopback(), 0))?);
        for zone in ["registry.example", "lab.example"] {
            dns.zone(zone);
        }
        dns.address(PROXY_NAME, [PROXY], 1);
        let folder = tempfile::tempdir()?;
        let servers = namespace.enter(|| servers(&pki, &dns, &bystanders))?;
        let (acrs, proxy) = servers;
        let (sound, hostile) = (event_loop()?, event_loop()?);
        let (udp, elsewhere, tcp) = namespace.enter(|| {
            Ok((
                UdpSocket::bind((NAMESERVER, 53))?,
                UdpSocket::bind((NAMESERVER, 0))?,
                StdListener::bind((NAMESERVER, 53))?,
            ))
        })?;
        let truth = dns.addr();
        let nameserver = {
            let _runtime = sound.enter();
            Nameserver::start(udp, elsewhere, tcp, truth)?
        };
        let canaries = namespace.enter(canaries)?;
        let config = folder.path().join("regprobe.yaml");
        fs::write(folder.path().join("ca.crt"), pki.ca_pem())?;
        fs::write(
            folder.path().join("resolv.conf"),
            format!("nameserver {NAMESERVER}\n"),
        )?;
        fs::write(folder.path().join("hosts"), "")?;
        fs::write(&config, config_in(folder.path(), &bystanders))?;
        let agent = namespace.enter(|| {
            let mut command = regprobe(["run"]);
            command
                .env("HTTPS_PROXY", format!("http://{PROXY_NAME}:{PROXY_PORT}"))
                .env("NO_PROXY", ".registry.example")
                .env("SSL_CERT_FILE", folder.path().join("ca.crt"));
            Agent::start_by(command, &config, &[])
        })?;
        let tls = pki.leaf([ATTACKED.1]).issue()?.server_config()?;
        let arena = Self {
            agent,
            bystanders,
            nameserver,
            dns,
            tls,
            canaries,
            quiet_since: Mutex::new(Timestamp::now()),
            hostile,
            _servers: (acrs, proxy, folder),
            namespace,
        };
        arena.until_sound(ATTACKED.0)?;
        arena.until_sound(PROXIED.0)?;
        arena.quiet()?;
        Ok(arena)
    }

    /// Quiet, the attack, and quiet again.
    pub(crate) fn suffer(&self, attack: &Attack) -> Result<Seen> {
        let (registry, _) = match attack.by {
            By::Proxy(_) => PROXIED,
            _ => ATTACKED,
        };
        let before = *lock(&self.quiet_since);
        let held = self.holdings()?;
        let failures = self.failures(registry)?;
        let rounds = self.rounds_of(registry)?;

        let (start, started) = (Timestamp::now(), Instant::now());
        let attacker = self.begin(attack)?;
        let rounds_watched = if attack.expected.is_some() { 1 } else { 3 };
        let limit = rounds_watched * (INTERVAL + ANSWER) + GRACE + SLACK;
        let result = self.watch(limit, || {
            let now = self.failures(registry)?;
            match attack.expected {
                Some(_) => ensure!(now != failures, "nothing failed"),
                // The current round may have started before.
                None => ensure!(self.rounds_of(registry)? > rounds + 2.0, "no round ended"),
            }
            if let Some(code) = attack.finding {
                ensure!(self.finds(registry, code)?, "{code} is not found");
            }
            Ok(started.elapsed())
        });
        let end = Timestamp::now();
        let failed = self.failures_since(&failures, registry)?;
        drop(attacker);
        self.end();
        let took = result?;

        self.until_sound(registry)?;
        let after = self.quiet()?;
        self.expect(attack, &failed)?;
        let settled = wait::until("descriptors stay open", RECOVERY, || {
            let now = self.holdings()?;
            ensure!(now.files <= held.files, "{} of {}", now.files, held.files);
            Ok(now)
        })?;
        self.nobody_was_led_astray()?;
        self.nothing_panicked()?;
        let growth = settled.memory - held.memory;
        ensure!(growth < GROWTH, "{growth} bytes are left in memory");
        Ok(Seen {
            took,
            growth,
            rounds: self.rounds(before, start..end, after)?,
        })
    }

    /// Rounds of bystanders, during the attack and in the quiet from `before` and from `after`.
    fn rounds(
        &self,
        before: Timestamp,
        attacked: Range<Timestamp>,
        after: Timestamp,
    ) -> Result<Rounds> {
        let rounds = self.bystanders(before)?;
        let is_quiet = |at: &Timestamp| *at < attacked.start || *at >= after;
        let of = |wanted: &dyn Fn(&Timestamp) -> bool| {
            let rounds = rounds.iter().copied();
            rounds.filter(|(at, _)| wanted(at)).collect::<Vec<_>>()
        };
        Ok(Rounds {
            quiet: of(&is_quiet),
            attacked: of(&|at| attacked.contains(at)),
        })
    }

    /// Quiet, repeated attacks on the listener, and quiet again.
    pub(crate) fn besieged(&self, attack: listener::Run) -> Result<Seen> {
        let (before, start) = (*lock(&self.quiet_since), Timestamp::now());
        let (held, started) = (self.holdings()?, Instant::now());
        let mut took = None;
        while started.elapsed() < WINDOW {
            self.namespace.enter(|| attack(&self.agent))?;
            took.get_or_insert_with(|| started.elapsed());
        }
        let end = Timestamp::now();
        let after = self.quiet()?;
        Ok(Seen {
            took: took.unwrap_or_default(),
            growth: self.holdings()?.memory - held.memory,
            rounds: self.rounds(before, start..end, after)?,
        })
    }

    /// Lets some time pass, with the same scrapes as during an attack; returns its start.
    fn quiet(&self) -> Result<Timestamp> {
        let since = Timestamp::now();
        *lock(&self.quiet_since) = since;
        self.watch(WINDOW, || self.failures(ATTACKED.0))?;
        Ok(since)
    }

    /// Scrapes for at least one window, and until `look` succeeds or the limit has passed. The agent answers
    /// a scrape on the thread that also probes.
    fn watch<T>(&self, limit: Duration, look: impl Fn() -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let mut seen = None;
        loop {
            wait::pause(LOOK);
            let looked = look();
            let over = start.elapsed();
            match (looked, over >= limit) {
                (Ok(what), _) => seen = seen.or(Some(what)),
                (Err(error), true) if seen.is_none() => return Err(error),
                _ => {}
            }
            if over >= WINDOW
                && let Some(seen) = seen
            {
                return Ok(seen);
            }
        }
    }

    fn expect(&self, attack: &Attack, failed: &Failures) -> Result<()> {
        let failure = |(stage, reason): (&str, &str)| (stage.to_owned(), reason.to_owned());
        let mut expected: BTreeSet<_> = attack.expected.map(failure).into_iter().collect();
        // Who breaks every session breaks the pull as well.
        if let (By::Session(..), Some(("challenge", reason))) = (&attack.by, attack.expected) {
            expected.insert(failure(("manifest", reason)));
        }
        ensure!(
            failed.0 == expected,
            "{failed:?} in place of {expected:?}; the log:\n{}",
            self.agent.log().join("\n")
        );
        Ok(())
    }

    /// The attack lasts until what is returned is dropped.
    fn begin(&self, attack: &Attack) -> Result<JoinSet<()>> {
        let mut tasks = JoinSet::new();
        let (port, name, talk) = match &attack.by {
            By::Nameserver(lie) => {
                let lie = Some((ATTACKED.1.to_owned(), lie.clone()));
                self.nameserver.tell(lie);
                return Ok(tasks);
            }
            By::Server(talk) => (HTTPS, ATTACKED.1, talk.clone()),
            By::Proxy(talk) => (PROXY_PORT, PROXY_NAME, talk.clone()),
            By::Nobody => return Ok(tasks),
            By::Session(tickets, turn) => {
                let mut tls = ServerConfig::clone(&self.tls);
                tls.send_tls13_tickets = *tickets;
                (HTTPS, ATTACKED.1, site::session(turn, tls))
            }
            By::Registry(site) => (HTTPS, ATTACKED.1, site::talk(site, self.tls.clone())),
        };
        let listener = self
            .namespace
            .enter(|| listen(SocketAddr::from((ATTACKER, port))))?;
        let _runtime = self.hostile.enter();
        let listener = TcpListener::from_std(listener)?;
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                connections.spawn(talk(stream));
            }
        });
        self.dns.address(name, [ATTACKER], 1);
        Ok(tasks)
    }

    fn end(&self) {
        self.nameserver.tell(None);
        self.dns.address(ATTACKED.1, [REGISTRY], 1);
        self.dns.address(PROXY_NAME, [PROXY], 1);
    }

    /// Waits until a round that starts after now finds the registry healthy.
    fn until_sound(&self, registry: &str) -> Result<()> {
        let now = Timestamp::now();
        wait::until("the registry does not recover", RECOVERY, || {
            wait::pause(LOOK / 2);
            let rounds = self.get(&format!("/api/v1/history?registry={registry}&from={now}"))?;
            let rounds = rounds["rounds"].as_array().context("no rounds")?;
            let last = rounds.last().context("no round")?;
            ensure!(last["condition"] == "ok", "{last}");
            Ok(())
        })
        .with_context(|| self.agent.log().join("\n"))
    }

    /// When rounds of bystanders started, and how long their stages took together.
    fn bystanders(&self, from: Timestamp) -> Result<Vec<(Timestamp, f64)>> {
        let mut seen = Vec::new();
        for Bystander { name, .. } in &self.bystanders {
            let page = format!("/api/v1/history?registry={name}&from={from}&limit=1000");
            let page = self.get(&page)?;
            for round in page["rounds"].as_array().context("no rounds")? {
                let id = round["id"].as_str().context("no id")?;
                let document = self.get(&format!("/api/v1/history/{id}"))?;
                ensure!(
                    round["condition"] == "ok",
                    "a bystander suffers: {document}"
                );
                let at: Timestamp = round["at"].as_str().context("no time")?.parse()?;
                seen.push((at, seconds(&document["registries"][0])));
            }
        }
        Ok(seen)
    }

    fn nobody_was_led_astray(&self) -> Result<()> {
        for canary in &self.canaries {
            ensure!(
                canary.accept().is_err(),
                "the agent was led to {}",
                canary.local_addr()?
            );
        }
        Ok(())
    }

    fn nothing_panicked(&self) -> Result<()> {
        let log = self.agent.log();
        let panicked = log.iter().find(|line| line.contains("panicked"));
        ensure!(panicked.is_none(), "{panicked:?}");
        Ok(())
    }
}

/// A runtime on its own thread, until the process ends.
fn event_loop() -> Result<Handle> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().spawn(move || runtime.block_on(pending::<()>()))?;
    Ok(handle)
}

fn listen(at: SocketAddr) -> Result<StdListener> {
    let listener = StdListener::bind(at)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
