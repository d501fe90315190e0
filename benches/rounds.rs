//! What the agent costs its node: processor time for 1,000 full rounds, memory, and whether either
//! memory or the number of series grows.
//!
//! `cargo bench -p regprobe --bench rounds -- 600` runs it for 600 seconds. Five fake Azure
//! registries, each a login server and two data endpoints with TLS, are probed to the full depth
//! every second, so a full round is 6 queries to a nameserver, 3 TCP dials and TLS handshakes, and
//! 4 HTTP requests. Processor time is the kernel's count, user and system, in hundredths of a second;
//! memory is the agent's own `process_resident_memory_bytes`. It fails if a round is skipped.
//!
//! The second number is the number of registries, the third the seconds between rounds:
//! `-- 120 334 15` has 1,000 endpoints, `-- 2000 50` runs 100,000 rounds.
//! `REGPROBE_STATIC_BINARY` selects another binary than the one just built.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use regprobe_lab::addresses::{free_addr, free_port, loopback};
use regprobe_lab::client;
use regprobe_lab::fakes::acr::Acr;
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::pki::Pki;
use regprobe_lab::wait;

const REGIONS: [&str; 2] = ["westeurope", "northeurope"];
/// After this many rounds, memory use is stable.
const WARM: f64 = 1000.0;
/// The interval between two lines of the report.
const STEP: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    let mut numbers = env::args().filter_map(|argument| argument.parse::<u64>().ok());
    let length = Duration::from_secs(numbers.next().unwrap_or(60));
    let count = numbers.next().unwrap_or(5);
    let interval = numbers.next().unwrap_or(1);
    let folder = tempfile::tempdir()?;
    let pki = Pki::new()?;
    let ca_file = folder.path().join("ca.crt");
    pki.write_ca(&ca_file)?;
    let dns = Dns::start((loopback(), 0))?;
    let mut config = String::from("registries:\n");
    let mut registries = Vec::new();
    for number in 1..=count {
        let acr = registry(&dns, &pki, &format!("myregistry{number}"))?;
        config += &format!(
            "- {{server: \"{}\", regions: [{}], private: [127.0.0.0/8]}}\n",
            acr.server(),
            REGIONS.join(", ")
        );
        registries.push(acr);
    }
    let at = folder.path().display();
    let nameserver = dns.addr();
    fs::write(
        folder.path().join("resolv.conf"),
        format!("nameserver [{}]:{}\n", nameserver.ip(), nameserver.port()),
    )?;
    config += &format!(
        "node: {{resolv_conf: {at}/resolv.conf, hosts: {at}/hosts, certs_d: {at}/certs.d, containerd: 1.7}}\n\
         schedule: {{network_interval: {interval}s, request_interval: {interval}s, \
                     token_interval: {interval}s}}\n\
         tls: {{ca_file: {}}}\n",
        ca_file.display()
    );
    fs::write(folder.path().join("regprobe.yaml"), config)?;

    let agent = Agent::start(&format!("{at}/regprobe.yaml"))?;
    let first = wait::until("the first rounds", Duration::from_secs(20), || {
        client::get(agent.addr, "/-/ready")
            .send()?
            .expect_status(200)?;
        agent.sample()
    })?;
    println!("seconds  rounds  cpu_seconds  rss_bytes  series");
    let start = Instant::now();
    let mut last = first;
    let mut warm = None;
    first.print(start);
    while start.elapsed() < length {
        wait::pause(STEP.min(length.saturating_sub(start.elapsed())));
        last = agent.sample()?;
        last.print(start);
        ensure!(last.series == first.series, "the number of series changed");
        ensure!(last.skipped == 0.0, "{} rounds were skipped", last.skipped);
        if last.rounds >= WARM {
            warm.get_or_insert(last.rss);
        }
        for registry in &registries {
            registry.forget();
        }
    }
    let rounds = last.rounds - first.rounds;
    println!(
        "{:.2} CPU seconds for 1,000 full rounds, over {rounds} of them; RSS {:.1} MB at the end",
        (last.cpu - first.cpu) / rounds * 1000.0,
        last.rss / 1e6
    );
    println!(
        "{:.4} seconds late at most at the 99th percentile",
        last.lag
    );
    if let Some(warm) = warm {
        println!(
            "RSS {:.3} of what it was after {WARM} rounds",
            last.rss / warm
        );
    }
    Ok(())
}

fn registry(dns: &Dns, pki: &Pki, name: &str) -> Result<Acr> {
    let at = [loopback(), loopback(), loopback()];
    let port = free_port()?;
    let names = dns.acr(name);
    let names = [
        names.login(),
        names.data(REGIONS[0]),
        names.data(REGIONS[1]),
    ];
    for (name, at) in names.iter().zip(at) {
        name.linked([at]);
    }
    let [login, west, north] = names;
    Acr::at(login.host(), (at[0], port))
        .data(west.host(), (at[1], port))
        .data(north.host(), (at[2], port))
        .tls(pki)
        .start()
}

struct Agent {
    addr: SocketAddr,
    child: Child,
}

/// The agent's own metrics from one scrape.
#[derive(Clone, Copy)]
struct Sample {
    rounds: f64,
    cpu: f64,
    rss: f64,
    series: usize,
    skipped: f64,
    /// The bound of the bucket with the 99th percentile.
    lag: f64,
}

impl Agent {
    fn start(config: &str) -> Result<Self> {
        let binary = env::var_os("REGPROBE_STATIC_BINARY")
            .unwrap_or_else(|| env!("CARGO_BIN_EXE_regprobe").into());
        let addr = free_addr(loopback())?;
        let child = Command::new(binary)
            .arg("run")
            .arg(format!("--config.file={config}"))
            .arg(format!("--web.listen-address={addr}"))
            .arg("--log.level=warn")
            .stdin(Stdio::null())
            .spawn()?;
        Ok(Self { addr, child })
    }

    fn sample(&self) -> Result<Sample> {
        let metrics = client::get(self.addr, "/metrics").send()?.text();
        let value = |name: &str| -> Result<f64> {
            let mut lines = metrics.lines().filter_map(|line| line.strip_prefix(name));
            let value = lines.find_map(|rest| rest.strip_prefix(' '));
            Ok(value.with_context(|| format!("no {name}"))?.parse()?)
        };
        let rounds = value("regprobe_schedule_lag_seconds_count")?;
        let skipped = metrics.lines().filter_map(|line| {
            let line = line.strip_prefix("regprobe_rounds_skipped_total{")?;
            line.rsplit_once(' ')?.1.parse::<f64>().ok()
        });
        let mut buckets = metrics.lines().filter_map(|line| {
            let line = line.strip_prefix("regprobe_schedule_lag_seconds_bucket{le=\"")?;
            let (bound, count) = line.split_once("\"} ")?;
            Some((bound.parse::<f64>().ok()?, count.parse::<f64>().ok()?))
        });
        let lag = buckets.find(|(_, count)| *count >= 0.99 * rounds);
        Ok(Sample {
            skipped: skipped.sum(),
            lag: lag.map_or(f64::INFINITY, |(bound, _)| bound),
            rounds,
            cpu: self.cpu_seconds()?,
            rss: value("process_resident_memory_bytes")?,
            series: metrics
                .lines()
                .filter(|line| !line.starts_with('#'))
                .count(),
        })
    }

    /// `utime` and `stime` from proc(5); the metric only has whole seconds.
    fn cpu_seconds(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("not a stat line")?;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks = ticks.map(str::parse::<u32>).sum::<Result<u32, _>>()?;
        Ok(f64::from(ticks) / 100.0)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sample {
    fn print(&self, start: Instant) {
        println!(
            "{:7.0}  {:6}  {:11.2}  {:9}  {:6}",
            start.elapsed().as_secs_f64(),
            self.rounds,
            self.cpu,
            self.rss,
            self.series
        );
    }
}
