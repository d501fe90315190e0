//! regprobe as a contender: it probes on its own schedule and is scraped once a second, so that every
//! result is reported once, as with the exporter.

use std::{
    env,
    fmt::Write as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use regprobe_lab::wait;

use crate::{
    cost::{Cost, Running, Scrape},
    ground::{Ground, host, web},
    keep_alive::KeepAlive,
};

/// The first agent's port; agents that run at the same time use the following ports.
const PORT: u16 = 9200;
const START: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_secs(1);

/// The binary in the container image.
pub(crate) fn binary() -> Result<PathBuf> {
    let path =
        env::var_os("REGPROBE_STATIC_BINARY").context("REGPROBE_STATIC_BINARY is not set")?;
    Ok(path.into())
}

pub(crate) struct Agent {
    process: Running,
    client: KeepAlive,
}

impl Agent {
    /// Probes `registries`, given as YAML, every second; returns after its first rounds. Agents that run at
    /// the same time must have different `place`s.
    pub(crate) fn start(ground: &Ground, place: u16, registries: &str) -> Result<Self> {
        let at = ground.folder().display();
        let config = format!(
            "registries:\n{registries}\
             node: {{resolv_conf: {at}/resolv.conf, hosts: {at}/hosts, certs_d: {at}/certs.d, containerd: 1.7}}\n\
             schedule: {{network_interval: 1s, request_interval: 1s, token_interval: 24h}}\n\
             tls: {{ca_file: {}}}\n",
            ground.ca_file().display(),
        );
        let config = ground.write(&format!("regprobe-{place}.yaml"), &config)?;
        let addr = web(PORT + place);
        let mut command = ground.namespace.command(binary()?);
        command
            .arg("run")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.listen-address={addr}"))
            .arg("--log.level=error");
        let process = Running::start(&mut command)?;
        let client = wait::until("the agent's first rounds", START, || {
            let mut client = KeepAlive::to(addr)?;
            client.get("/-/ready")?;
            Ok(client)
        })?;
        Ok(Self { process, client })
    }

    pub(crate) fn get(&mut self, target: &str) -> Result<Vec<u8>> {
        self.client.get(target)
    }

    fn probes(&mut self) -> Result<(u32, Scrape)> {
        let start = Instant::now();
        let metrics = self.get("/metrics")?;
        let scrape = Scrape {
            took: start.elapsed(),
            bytes: metrics.len(),
        };
        let metrics = String::from_utf8(metrics)?;
        let counters = metrics.lines().filter_map(|line| {
            let labels = line.strip_prefix("regprobe_stage_attempts_total{")?;
            let (labels, count) = labels.split_once("} ")?;
            labels.contains("stage=\"challenge\"").then_some(count)
        });
        let probes = counters.map(str::parse::<u32>).sum::<Result<u32, _>>()?;
        Ok((probes, scrape))
    }
}

/// The cost of `count` probes of `registries` registries.
pub(crate) fn measure(ground: &Ground, place: u16, registries: u16, count: u32) -> Result<Cost> {
    let mut config = String::new();
    for number in 0..registries {
        writeln!(config, "- {{server: {}}}", host(number))?;
    }
    let mut agent = Agent::start(ground, place, &config)?;
    let (before, _) = agent.probes()?;
    let cpu = agent.process.cpu()?;
    let mut next = Instant::now();
    loop {
        next += EVERY;
        wait::pause(next.saturating_duration_since(Instant::now()));
        let (probes, scrape) = agent.probes()?;
        if probes - before >= count {
            let cpu = agent.process.cpu()? - cpu;
            return Ok(Cost {
                cpu: cpu / (probes - before),
                rss: agent.process.rss()?,
                scrape: Some(scrape),
            });
        }
    }
}
