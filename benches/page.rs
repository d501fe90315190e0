//! What the status page costs the agent: two agents probe the same fifty endpoints at the default
//! intervals, and five viewers load the page of one of them, as its script does.
//!
//! `cargo bench -p regprobe --bench page -- 60` runs for 60 seconds. Processor time is the kernel
//! scheduler's count, in nanoseconds; for the alternating scrapes, it shows medians.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result};
use regprobe_harness::agent::Agent;
use regprobe_lab::fakes::acr::Acr;
use regprobe_lab::{client, wait};

const ENDPOINTS: u8 = 50;
const VIEWERS: u32 = 5;
/// The interval of the page's script.
const PACE: Duration = Duration::from_secs(5);
const FILES: [&str; 4] = [
    "/",
    "/static/page.css",
    "/static/page.js",
    "/static/icon.svg",
];

fn main() -> Result<()> {
    let seconds = env::args().find_map(|argument| argument.parse().ok());
    let length = Duration::from_secs(seconds.unwrap_or(60));
    let folder = tempfile::tempdir()?;
    let server = Acr::at("127.0.0.1", (Ipv4Addr::UNSPECIFIED, 0)).start()?;
    // All names are addresses, so the nameserver gets no queries.
    let config = folder.path().join("regprobe.yaml");
    fs::write(&config, registries(server.addr().port()))?;
    let [watched, alone] = [
        Agent::ready(&config, &[])?,
        Agent::ready(&config, &["--log.level=warn"])?,
    ];

    let bytes = FILES.map(|file| Ok::<_, anyhow::Error>(watched.get(file)?.text().len()));
    let bytes: usize = bytes.into_iter().sum::<Result<usize>>()?;
    println!("one load of the page: {bytes} bytes, for {ENDPOINTS} endpoints");

    let over = AtomicBool::new(false);
    let mut scrapes = [Vec::new(), Vec::new()];
    let mut used = [Duration::ZERO; 2];
    let start = Instant::now();
    thread::scope(|scope| {
        for viewer in 0..VIEWERS {
            let (over, agent) = (&over, watched.addr);
            scope.spawn(move || {
                wait::pause(PACE / VIEWERS * viewer);
                view(agent, over)
            });
        }
        let agents = [&watched, &alone];
        let before = agents.map(Agent::processor_time);
        wait::pause(length);
        for (used, (agent, before)) in used.iter_mut().zip(agents.into_iter().zip(before)) {
            *used = agent.processor_time()? - before?;
        }
        for _ in 0..100 {
            for (took, agent) in scrapes.iter_mut().zip(agents) {
                let begun = Instant::now();
                agent.get("/metrics")?;
                took.push(begun.elapsed());
            }
        }
        over.store(true, Ordering::Relaxed);
        Ok::<_, anyhow::Error>(())
    })?;
    let per_second = |used: Duration| used.as_secs_f64() * 1000.0 / length.as_secs_f64();
    let [watched, alone] = used.map(per_second);
    println!(
        "processor time: {watched:.2} ms a second with {VIEWERS} viewers, {alone:.2} without: \
         {:.2} for the page",
        watched - alone
    );
    let [watched, alone] = scrapes.map(|mut took| {
        took.sort_unstable();
        took[took.len() / 2].as_secs_f64() * 1000.0
    });
    println!("a scrape: {watched:.2} ms with viewers, {alone:.2} without");
    println!("over {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Ten of them with four data endpoints each.
fn registries(port: u16) -> String {
    let at = |registry: u8, n: u8| format!("\"http://127.30.{registry}.{n}:{port}\"");
    let entry = |registry| {
        let data: Vec<_> = (2..=5).map(|n| at(registry, n)).collect();
        format!(
            "- server: {}\n  name: myregistry{registry}\n  data_endpoints: [{}]\n",
            at(registry, 1),
            data.join(", ")
        )
    };
    let entries: String = (1..=ENDPOINTS / 5).map(entry).collect();
    format!("registries:\n{entries}node: {{proxy: none}}\nfleet: {{size: 1}}\n")
}

/// Requests the page repeatedly, and downloads it only if it has changed.
fn view(agent: SocketAddr, over: &AtomicBool) -> Result<()> {
    let mut known = String::new();
    while !over.load(Ordering::Relaxed) {
        let page = client::get(agent, "/")
            .header("If-None-Match", &known)
            .send()?;
        known = page.header("ETag").context("no ETag")?.to_owned();
        let next = Instant::now() + PACE;
        while Instant::now() < next && !over.load(Ordering::Relaxed) {
            wait::pause(Duration::from_millis(50));
        }
    }
    Ok(())
}
