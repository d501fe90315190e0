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

use std::{
    env, fs,
    num::ParseIntError,
    str::FromStr,
    thread::{self, ScopedJoinHandle},
};

use anyhow::Result;

use self::{cost::Cost, ground::Ground, table::Run};

/// In each run, by each contender.
const PROBES: u32 = 10_000;
/// As many registries as a node may have, and so many probes of them.
const FEW: (u16, u32) = (20, 10_000);

fn main() -> Result<()> {
    let runs = number("RUNS")?.unwrap_or(5);
    let probes = number("PROBES")?.unwrap_or(PROBES);
    let ground = Ground::new()?;
    let mut seen = Vec::new();
    let few = ground.namespace.enter(|| {
        for number in 1..=runs {
            eprintln!("run {number} of {runs}");
            seen.push(Run {
                unpaced: floor::measure_unpaced(&ground, probes)?,
                floor: floor::measure(&ground, ground::REGISTRIES, probes)?,
                regprobe: agent::measure(&ground, 0, ground::REGISTRIES, probes)?,
                blackbox: blackbox::measure(&ground, 0, ground::REGISTRIES, probes)?,
                regprobe_errors: accuracy::of_regprobe(&ground)?,
                blackbox_errors: accuracy::of_blackbox(&ground)?,
            });
            eprintln!("{}", seen[seen.len() - 1]);
        }
        few(&ground, runs)
    })?;
    let sizes = [
        fs::metadata(agent::binary()?)?.len(),
        fs::metadata(blackbox::PROGRAM)?.len(),
    ];
    println!("{}", table::markdown(&seen, &few, sizes));
    Ok(())
}

/// Resident memory of regprobe and blackbox_exporter with as many registries as a node has, `runs` times.
/// Memory alone, so all may be at work at the same time.
fn few(ground: &Ground, runs: u16) -> Result<Vec<[u64; 2]>> {
    let (registries, probes) = FEW;
    thread::scope(|scope| {
        let spawn = |place| {
            let regprobe = scope.spawn(move || agent::measure(ground, place, registries, probes));
            let blackbox =
                scope.spawn(move || blackbox::measure(ground, place, registries, probes));
            [regprobe, blackbox]
        };
        let pairs: Vec<_> = (0..runs).map(spawn).collect();
        let rss = |measured: ScopedJoinHandle<'_, Result<Cost>>| -> Result<u64> {
            Ok(measured.join().expect("no measurement panics")?.rss)
        };
        pairs
            .into_iter()
            .map(|[regprobe, blackbox]| Ok([rss(regprobe)?, rss(blackbox)?]))
            .collect()
    })
}

/// A variable of the environment that makes a run shorter.
fn number<N: FromStr<Err = ParseIntError>>(name: &str) -> Result<Option<N>> {
    Ok(env::var(name).ok().map(|text| text.parse()).transpose()?)
}
