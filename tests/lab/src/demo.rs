//! What the demo shows: an Azure Container Registry with private link, an agent that watches it, and
//! a DNS that drifts to the public addresses and is repaired. Everything is on loopback addresses
//! and high ports, in one temporary folder, and ends with this process.

use std::ffi::OsString;
use std::fs::{self, File};
use std::future;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{self, Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use regprobe_lab::acr::Acr;
use regprobe_lab::addresses::{free_addr, free_port};
use regprobe_lab::client;
use regprobe_lab::dns::Dns;
use regprobe_lab::pki::Pki;
use serde_json::Value;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use crate::AGENT;

const USAGE: &str = "usage: regprobe-lab [--drift-after SECONDS] [--seconds SECONDS]";

/// Where the names of the login server and of the data endpoints lead with private link in place.
const PRIVATE: [Ipv4Addr; 3] = [
    Ipv4Addr::new(127, 10, 0, 4),
    Ipv4Addr::new(127, 10, 0, 5),
    Ipv4Addr::new(127, 10, 0, 6),
];
/// The part of the public internet here.
const PUBLIC: [Ipv4Addr; 3] = [
    Ipv4Addr::new(127, 20, 0, 1),
    Ipv4Addr::new(127, 20, 0, 2),
    Ipv4Addr::new(127, 20, 0, 3),
];
const REGIONS: [&str; 2] = ["westeurope", "northeurope"];

/// Between two looks at the agent.
const GLANCE: Duration = Duration::from_millis(50);
/// For the agent to show what it must.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was typed.
#[derive(Debug)]
pub(crate) struct Options {
    /// When the DNS drifts.
    drift_after: Duration,
    /// When the demo ends by itself.
    end_after: Option<Duration>,
}

impl Options {
    pub(crate) fn parse(arguments: &[OsString]) -> Result<Self, &'static str> {
        let mut options = Self {
            drift_after: Duration::from_secs(20),
            end_after: None,
        };
        let mut arguments = arguments.iter().map(|argument| argument.to_str());
        while let Some(flag) = arguments.next() {
            let mut seconds = || arguments.next().flatten()?.parse().ok();
            match (flag, seconds().map(Duration::from_secs)) {
                (Some("--drift-after"), Some(after)) => options.drift_after = after,
                (Some("--seconds"), after @ Some(_)) => options.end_after = after,
                _ => return Err(USAGE),
            }
        }
        Ok(options)
    }
}

/// Shows everything, until it is told to end.
pub(crate) fn run(options: Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let end_after = options.end_after;
        let ended = async move {
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut terminate = signal(SignalKind::terminate())?;
            // The terminal was closed.
            let mut hangup = signal(SignalKind::hangup())?;
            let over = async {
                match end_after {
                    Some(after) => sleep(after).await,
                    None => future::pending().await,
                }
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
                () = over => {}
            }
            Ok::<_, io::Error>(())
        };
        tokio::select! {
            biased;
            ended = ended => ended?,
            shown = show(options.drift_after) => shown?,
        }
        // The terminal may be gone; that is a good end, too.
        let _ = say("\nEnded, and everything with it.");
        Ok(())
    })
}

async fn show(drift_after: Duration) -> Result<()> {
    let start = Instant::now();
    let said = |text: &str| {
        say(&format!(
            "\n[{:4.1} s] {text}",
            start.elapsed().as_secs_f64()
        ))
    };
    let ground = Ground::new().context("failed to start the servers")?;
    let mut agent = Agent::start(&ground).context("failed to start the agent")?;
    say(&format!(
        "Started, all on loopback addresses of this machine:\n  \
           nameserver  {dns}\n  \
           registry    {server} at {login}, data endpoints in {regions}\n  \
           agent       regprobe run, a round every second; its log is {log}\n\n\
         Look at it while it runs:\n  \
           http://{agent}/metrics\n  \
           http://{agent}/api/v1/status",
        dns = ground.dns.addr(),
        server = ground.private.server(),
        login = PRIVATE[0],
        regions = REGIONS.join(" and "),
        log = ground.folder.path().join("agent.log").display(),
        agent = agent.addr,
    ))?;

    agent
        .until("gets ready", |agent| {
            Ok(client::get(agent.addr, "/-/ready").send()?.status == 200)
        })
        .await?;
    said(&format!(
        "The first round is over. In {} s the DNS will drift.",
        drift_after.saturating_sub(start.elapsed()).as_secs()
    ))?;
    agent.tell_state()?;

    sleep_until(start + drift_after).await;
    let drifted = Instant::now();
    ground.drift();
    said(
        "THE DNS DRIFTS: this node's network has lost its link to the zone\n         \
         privatelink.azurecr.io, and all three names lead to public addresses. Pulls work as\n         \
         before, by another way than they should; nothing fails that would tell anybody.",
    )?;
    agent.until_answers_are_expected(false).await?;
    let noticed = drifted.elapsed();
    said(&format!(
        "Noticed after {:.1} s: regprobe_dns_answer_expected is 0.",
        noticed.as_secs_f64()
    ))?;
    agent.tell_state()?;

    sleep(drift_after / 2).await;
    let repaired = Instant::now();
    ground.repair();
    said("The DNS is repaired: the zone is linked again.")?;
    agent.until_answers_are_expected(true).await?;
    said(&format!(
        "Noticed after {:.1} s: regprobe_dns_answer_expected is 1 again, and\n         \
         regprobe_dns_answer_changes_total has counted both.",
        repaired.elapsed().as_secs_f64()
    ))?;
    agent.tell_state()?;
    say("\nIt goes on so; Ctrl-C ends it.")?;
    loop {
        sleep(Duration::from_secs(1)).await;
        agent.check_alive()?;
    }
}

/// What the agent is to watch, and what it is told of it.
struct Ground {
    dns: Dns,
    private: Acr,
    _public: Acr,
    folder: TempDir,
}

impl Ground {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let pki = Pki::new()?;
        pki.write_ca(folder.path().join("ca.crt"))?;
        let dns = Dns::start((Ipv4Addr::LOCALHOST, 0))?;
        // All endpoints of a registry have one port, here one that is free at six addresses.
        let mut tries = 0..5;
        let (private, public) = loop {
            let port = free_port(PRIVATE[0])?;
            let both = registry(&dns, &pki, PRIVATE, port)
                .and_then(|private| Ok((private, registry(&dns, &pki, PUBLIC, port)?)));
            match (both, tries.next()) {
                (Ok(both), _) => break both,
                (Err(_), Some(_)) => {}
                (Err(error), None) => return Err(error),
            }
        };
        let ground = Self {
            dns,
            private,
            _public: public,
            folder,
        };
        ground.repair();
        ground.write_config()?;
        Ok(ground)
    }

    fn write_config(&self) -> Result<()> {
        let path = |name| self.folder.path().join(name);
        let (server, dns) = (self.private.server(), self.dns.addr());
        let [resolv_conf, hosts, certs_d, ca_file] = ["resolv.conf", "hosts", "certs.d", "ca.crt"]
            .map(|name| path(name).display().to_string());
        fs::write(
            path("resolv.conf"),
            format!("nameserver [{}]:{}\n", dns.ip(), dns.port()),
        )?;
        fs::write(path("hosts"), "")?;
        fs::write(
            path("regprobe.yaml"),
            format!(
                "registries:\n\
                 - server: {server}\n  \
                   name: contoso\n  \
                   regions: [{regions}]\n  \
                   private: [127.10.0.0/16]\n\
                 node: {{resolv_conf: {resolv_conf}, hosts: {hosts}, certs_d: {certs_d}, proxy: none}}\n\
                 schedule: {{network_interval: 1s, request_interval: 2s, token_interval: 4s, timeout: 3s}}\n\
                 tls: {{ca_file: {ca_file}}}\n",
                regions = REGIONS.join(", ")
            ),
        )?;
        Ok(())
    }

    fn repair(&self) {
        for (name, address) in names(&self.dns).into_iter().zip(PRIVATE) {
            name.linked([address]);
        }
    }

    fn drift(&self) {
        for (name, address) in names(&self.dns).into_iter().zip(PUBLIC) {
            name.unlinked([address]);
        }
    }
}

/// The login server's name and those of the data endpoints.
fn names(dns: &Dns) -> [regprobe_lab::private_link::Endpoint<'_>; 3] {
    let contoso = dns.acr("contoso");
    [
        contoso.login(),
        contoso.data(REGIONS[0]),
        contoso.data(REGIONS[1]),
    ]
}

fn registry(dns: &Dns, pki: &Pki, at: [Ipv4Addr; 3], port: u16) -> Result<Acr> {
    let [login, west, north] = names(dns);
    Acr::at(login.host(), (at[0], port))
        .data(west.host(), (at[1], port))
        .data(north.host(), (at[2], port))
        .tls(pki)
        .start()
}

/// The real agent, as a child of this process.
struct Agent {
    addr: SocketAddr,
    child: Child,
    log: PathBuf,
}

impl Agent {
    fn start(ground: &Ground) -> Result<Self> {
        let addr = free_addr(Ipv4Addr::LOCALHOST)?;
        let folder = ground.folder.path();
        let log = folder.join("agent.log");
        let child = Command::new(std::env::current_exe()?)
            .args([AGENT, &process::id().to_string(), "run"])
            .arg(format!(
                "--config.file={}",
                folder.join("regprobe.yaml").display()
            ))
            .arg(format!("--web.listen-address={addr}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        Ok(Self { addr, child, log })
    }

    /// Prints findings and endpoints as the agent's status document has them.
    fn tell_state(&self) -> Result<()> {
        let status = client::get(self.addr, "/api/v1/status").send()?.json()?;
        let registry = &status["registries"][0];
        say(&format!(
            "  {}: {}",
            text(&registry["name"]),
            text(&registry["verdict"])
        ))?;
        for finding in items(&registry["findings"]) {
            // What is only for information holds of most registries.
            if finding["severity"] != "info" {
                say(&format!(
                    "    {}: {}",
                    text(&finding["code"]),
                    text(&finding["message"])
                ))?;
            }
        }
        for endpoint in items(&registry["endpoints"]) {
            let lookup = &endpoint["lookups"][0];
            let addresses: Vec<_> = items(&lookup["addresses"]).map(text).collect();
            let stages: Vec<_> = items(&endpoint["addresses"][0]["stages"])
                .map(|stage| {
                    let took = stage["seconds"].as_f64().unwrap_or_default() * 1000.0;
                    format!("{} {took:.1} ms", text(&stage["stage"]))
                })
                .collect();
            say(&format!(
                "    {:<5} {}\n          {} at {}, {}; {}",
                text(&endpoint["role"]),
                text(&endpoint["host"]),
                if endpoint["up"] == true { "up" } else { "DOWN" },
                addresses.join(" "),
                if lookup["expected"] == true {
                    "as expected"
                } else {
                    "NOT AS EXPECTED"
                },
                stages.join(", ")
            ))?;
        }
        Ok(())
    }

    async fn until_answers_are_expected(&mut self, expected: bool) -> Result<()> {
        let value = if expected { " 1" } else { " 0" };
        self.until("shows it", |agent| {
            let metrics = client::get(agent.addr, "/metrics").send()?.text();
            let mut answers = metrics
                .lines()
                .filter(|line| line.starts_with("regprobe_dns_answer_expected{"));
            Ok(answers.clone().count() == PRIVATE.len()
                && answers.all(|line| line.ends_with(value)))
        })
        .await
    }

    async fn until(&mut self, what: &str, done: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // It does not listen yet at first.
            if done(self).unwrap_or(false) {
                return Ok(());
            }
            self.check_alive()?;
            ensure!(
                Instant::now() < deadline,
                "{PATIENCE:?} are over before the agent {what}; its log:\n{}",
                fs::read_to_string(&self.log)?
            );
            sleep(GLANCE).await;
        }
    }

    fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = fs::read_to_string(&self.log)?;
            bail!("the agent ended with {status}; its log:\n{log}");
        }
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn say(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{text}")?)
}
