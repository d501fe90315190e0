//! regprobe beside Debian's `prometheus-blackbox-exporter` and beside the least that a probe can
//! cost, in one run, on one network namespace's loopback, against the same nginx and the same
//! BIND. `benches/compare` builds what this needs and starts it; `benches/README.md` says how
//! it measures.

mod accuracy;
mod agent;
mod blackbox;
mod capture;
mod cost;
mod floor;
mod ground;
mod keep_alive;
mod table;

use std::{env, fs, thread};

use anyhow::Result;

use self::{ground::Ground, table::Run};

/// In each run, by each contender.
const PROBES: u32 = 10_000;
/// As many registries as a node may have, and so many probes of them.
const FEW: (u16, u32) = (20, 10_000);

fn main() -> Result<()> {
    let runs = number("RUNS")?.unwrap_or(5);
    let probes = number("PROBES")?.unwrap_or(PROBES);
    let ground = Ground::new()?;
    let mut seen = Vec::new();
    ground.namespace.enter(|| {
        for number in 1..=runs {
            eprintln!("run {number} of {runs}");
            seen.push(Run {
                floor: floor::measure(&ground, probes.min(2000))?,
                regprobe: agent::measure(&ground, ground::REGISTRIES, probes)?,
                blackbox: blackbox::measure(&ground, ground::REGISTRIES, probes)?,
                few: few(&ground)?,
                regprobe_errors: accuracy::of_regprobe(&ground)?,
                blackbox_errors: accuracy::of_blackbox(&ground)?,
            });
            eprintln!("{}", seen[seen.len() - 1]);
        }
        Ok(())
    })?;
    let sizes = [
        fs::metadata(agent::binary()?)?.len(),
        fs::metadata(blackbox::PROGRAM)?.len(),
    ];
    println!("{}", table::markdown(&seen, sizes));
    Ok(())
}

/// Memory alone, so both may be at work at the same time.
fn few(ground: &Ground) -> Result<[u64; 2]> {
    let (registries, probes) = FEW;
    thread::scope(|scope| {
        let blackbox = scope.spawn(|| blackbox::measure(ground, registries, probes));
        let regprobe = agent::measure(ground, registries, probes)?;
        let blackbox = blackbox.join().expect("no measurement panics")?;
        Ok([regprobe.rss, blackbox.rss])
    })
}

/// A variable of the environment that makes a run shorter.
fn number(name: &str) -> Result<Option<u32>> {
    Ok(env::var(name).ok().map(|text| text.parse()).transpose()?)
}
