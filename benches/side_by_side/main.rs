//! Compares regprobe with Debian's `prometheus-blackbox-exporter` and with the minimum cost of a probe,
//! in one run, on the loopback of one network namespace, against the same nginx and the same BIND.
//! `benches/compare` builds what this needs and starts it; `benches/README.md` describes how it measures.

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

/// Probes in each run by each contender.
const PROBES: u32 = 10_000;
/// Few enough that two processors can serve all contenders and the servers at the same time.
const REGISTRIES: u16 = 100;
/// As many registries as a node may have, and the number of their probes.
const FEW: (u16, u32) = (20, 10_000);

fn main() -> Result<()> {
    let runs = number("RUNS")?.unwrap_or(5);
    let probes = number("PROBES")?.unwrap_or(PROBES);
    let ground = Ground::new()?;
    let mut seen = Vec::new();
    let few = ground.namespace.enter(|| {
        for number in 1..=runs {
            eprintln!("run {number} of {runs}");
            let unpaced = floor::measure_unpaced(&ground, probes)?;
            let [floor, regprobe, blackbox] = side_by_side(&ground, probes)?;
            seen.push(Run {
                unpaced,
                floor,
                regprobe,
                blackbox,
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

/// The cost of the same number of probes for the floor, regprobe and blackbox_exporter, which run at the same
/// time so that a slow machine affects all of them.
fn side_by_side(ground: &Ground, probes: u32) -> Result<[Cost; 3]> {
    thread::scope(|scope| {
        let floor = scope.spawn(|| floor::measure(ground, REGISTRIES, probes));
        let regprobe = scope.spawn(|| agent::measure(ground, 0, REGISTRIES, probes));
        let blackbox = blackbox::measure(ground, 0, REGISTRIES, probes)?;
        Ok([joined(floor)?, joined(regprobe)?, blackbox])
    })
}

fn joined(measured: ScopedJoinHandle<'_, Result<Cost>>) -> Result<Cost> {
    measured.join().expect("no measurement panics")
}

/// Resident memory of regprobe and blackbox_exporter with as many registries as a node has, `runs` times. It
/// only measures memory, so all of them can run at the same time.
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
        pairs
            .into_iter()
            .map(|[regprobe, blackbox]| Ok([joined(regprobe)?.rss, joined(blackbox)?.rss]))
            .collect()
    })
}

/// An environment variable that shortens a run.
fn number<N: FromStr<Err = ParseIntError>>(name: &str) -> Result<Option<N>> {
    Ok(env::var(name).ok().map(|text| text.parse()).transpose()?)
}
