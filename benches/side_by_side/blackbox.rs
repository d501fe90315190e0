//! Debian's `prometheus-blackbox-exporter` as a contender: it probes when it is scraped, so it is
//! scraped at the rate at which the agent probes by itself.

use std::{
    net::SocketAddr,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use regprobe_lab::wait;

use crate::{
    cost::{Cost, Running, Scrape},
    ground::{Ground, host, web},
    keep_alive::KeepAlive,
};

pub(crate) const PROGRAM: &str = "/usr/bin/prometheus-blackbox-exporter";
/// The first exporter's port; see the agents'.
const PORT: u16 = 9100;
const START: Duration = Duration::from_secs(20);
/// The interval between two probes of one target.
const EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Blackbox {
    process: Running,
    pub(crate) addr: SocketAddr,
}

impl Blackbox {
    pub(crate) fn start(ground: &Ground, place: u16) -> Result<Self> {
        let config = ground.write(
            &format!("blackbox-{place}.yml"),
            &format!(
                "modules:\n  registry:\n    prober: http\n    timeout: 10s\n    http:\n      \
                 preferred_ip_protocol: ip4\n      valid_status_codes: [200, 401]\n      \
                 tls_config: {{ca_file: {}}}\n",
                ground.ca_file().display()
            ),
        )?;
        let addr = web(PORT + place);
        let mut command = ground.namespace.command(PROGRAM);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.listen-address={addr}"))
            .arg("--log.level=error");
        let process = Running::start(&mut command)?;
        wait::until("the exporter listens", START, || {
            KeepAlive::to(addr)?.get("/-/healthy")
        })?;
        Ok(Self { process, addr })
    }
}

/// One probe, as a scraper requests it.
pub(crate) fn probe(client: &mut KeepAlive, number: u16, path: &str) -> Result<String> {
    let target = format!(
        "/probe?module=registry&target=https://{}{path}",
        host(number)
    );
    let body = String::from_utf8(client.get(&target)?)?;
    ensure!(body.contains("\nprobe_success 1\n"), "{body}");
    Ok(body)
}

/// The cost of `count` probes of `registries` registries.
pub(crate) fn measure(ground: &Ground, place: u16, registries: u16, count: u32) -> Result<Cost> {
    let blackbox = Blackbox::start(ground, place)?;
    // Like the agent's first rounds, these do not count.
    scrape_all(&blackbox, registries, 1)?;
    let cpu = blackbox.process.cpu()?;
    let rounds = count.div_ceil(registries.into());
    let scrape = scrape_all(&blackbox, registries, rounds)?;
    let cpu = blackbox.process.cpu()? - cpu;
    Ok(Cost {
        cpu: cpu / (rounds * u32::from(registries)),
        rss: blackbox.process.rss()?,
        scrape: Some(scrape),
    })
}

/// Scrapes each target once a second, evenly spread; returns the mean duration of a scrape, and the bytes
/// of all targets together.
fn scrape_all(blackbox: &Blackbox, registries: u16, rounds: u32) -> Result<Scrape> {
    const WORKERS: u16 = 16;
    let (start, seen) = (Instant::now(), Mutex::new(Vec::new()));
    let work = |worker: u16| -> Result<()> {
        let mut client = KeepAlive::to(blackbox.addr)?;
        for round in 0..rounds {
            for number in (worker..registries).step_by(WORKERS.into()) {
                let phase = EVERY.mul_f64(f64::from(number) / f64::from(registries));
                let due = start + EVERY * round + phase;
                wait::pause(due.saturating_duration_since(Instant::now()));
                let asked = Instant::now();
                let bytes = probe(&mut client, number, "/v2/")?.len();
                let seen = &mut *seen.lock().expect("no worker panics");
                seen.push((asked.elapsed(), bytes));
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| scope.spawn(move || work(worker)))
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    let seen = seen.into_inner().expect("no worker panics");
    let count = u32::try_from(seen.len())?;
    let took: Duration = seen.iter().map(|(took, _)| took).sum();
    let bytes: usize = seen.iter().map(|(_, bytes)| bytes).sum();
    Ok(Scrape {
        took: took.checked_div(count).context("no scrape")?,
        bytes: bytes / usize::try_from(rounds)?,
    })
}
