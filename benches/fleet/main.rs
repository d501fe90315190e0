//! A whole fleet in virtual time: the scheduler's own timetable and the census that it goes by, on 10
//! to 20,000 nodes, while they start, restart, come and go, and while the nameserver is late, wrong or
//! silent. What one registry gets of it is counted, and shown as a table.
//!
//! `cargo run --release -p regprobe-benches --bin fleet -- [FOLDER [NODES…]]` writes the rate over time
//! to FOLDER as well, as tables and as plots. With `--draws [NODES…]` it shows how the peaks of small fleets
//! depend on chance.

mod draws;
mod figures;
mod rate;
mod simulation;
mod story;

use std::{env, fs, path::PathBuf};

use anyhow::Result;

use self::{
    figures::Figures,
    rate::Rate,
    simulation::{BUDGET, Draw, simulate},
    story::Story,
};

const SIZES: [u32; 6] = [10, 100, 500, 1000, 4000, 20_000];

fn main() -> Result<()> {
    let first = env::args().nth(1);
    let sizes = env::args().skip(2).map(|size| size.parse());
    let sizes = sizes.collect::<Result<Vec<u32>, _>>()?;
    if first.as_deref() == Some("--draws") {
        draws::show(&or(sizes, &draws::SIZES));
        return Ok(());
    }
    show(first.map(PathBuf::from), &or(sizes, &SIZES))
}

/// `given`, if any were.
fn or(given: Vec<u32>, default: &[u32]) -> Vec<u32> {
    match given.is_empty() {
        true => default.to_vec(),
        false => given,
    }
}

/// The figures of all stories.
fn show(folder: Option<PathBuf>, sizes: &[u32]) -> Result<()> {
    println!("A budget of {BUDGET} requests a minute; rates are requests in 10 s.\n");
    println!("{}", Figures::HEAD);
    for story in Story::ALL {
        for &size in sizes {
            let seen = simulate(story, size, Draw::default());
            let figures = Figures::of(&seen);
            println!("{}", figures.row(story, size));
            if let Some(folder) = &folder {
                fs::create_dir_all(folder)?;
                let rate = Rate::of(&seen);
                let file = folder.join(format!("{}-{size}", story.as_str().replace(' ', "-")));
                fs::write(file.with_extension("csv"), rate.csv())?;
                fs::write(file.with_extension("svg"), rate.svg(story, size))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many as a test has time for.
    const SIZES: [u32; 5] = [10, 60, 300, 1000, 2500];

    #[test]
    fn no_fleet_exceeds_its_budget_is_uneven_or_leaves_a_node_unprobed() {
        let all = Story::ALL
            .into_iter()
            .flat_map(|story| SIZES.map(|size| (story, size)));
        let bad = all.filter_map(|(story, size)| {
            let figures = Figures::of(&simulate(story, size, Draw::default()));
            let good = figures.busiest_minute <= BUDGET
                && figures.is_flat()
                && figures.longest_gap <= 2.0
                && figures.shortest_gap >= 0.5;
            (!good).then(|| format!("{} with {size} nodes: {figures:?}", story.as_str()))
        });
        let bad: Vec<_> = bad.collect();
        assert!(bad.is_empty(), "{bad:#?}");
    }

    #[test]
    fn a_fleet_far_below_its_budget_keeps_its_intervals() {
        let figures = Figures::of(&simulate(Story::Steady, 100, Draw::default()));
        assert!((figures.mean - 20.0).abs() < 1.0, "{figures:?}");
    }
}
