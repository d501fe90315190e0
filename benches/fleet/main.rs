//! A whole fleet in virtual time: the agent's own timetable and census, on 10 to 20,000 nodes, while
//! they start, restart, come and go, and while the nameserver is late, wrong or silent. What one
//! registry gets of it is counted, compared with the bound of `agent/src/schedule/timetable.rs`, and
//! shown as a table.
//!
//! `cargo run --release -p regprobe-benches --bin fleet -- [--draws=N] [--folder=FOLDER] [NODES…]`
//! shows the worst of N fleets, which differ by chance, and writes the rate over time of one of them
//! to FOLDER, as tables and as plots.

mod figures;
mod rate;
mod simulation;
mod story;

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result};

use self::{
    figures::Figures,
    rate::Rate,
    simulation::{Fleet, simulate},
    story::Story,
};

const SIZES: [u32; 6] = [10, 100, 500, 1000, 4000, 20_000];

fn main() -> Result<()> {
    let (mut draws, mut folder, mut sizes) = (1, None, Vec::new());
    for argument in env::args().skip(1) {
        if let Some(number) = argument.strip_prefix("--draws=") {
            draws = number.parse().context("--draws")?;
        } else if let Some(path) = argument.strip_prefix("--folder=") {
            folder = Some(PathBuf::from(path));
        } else {
            sizes.push(argument.parse().context("a number of nodes")?);
        }
    }
    if sizes.is_empty() {
        sizes.extend(SIZES);
    }
    println!(
        "The worst of {draws} draws; rates are requests in 10 s.\n\n{}",
        Figures::HEAD
    );
    for size in sizes {
        let (mut all, mut all_hold) = (Figures::default(), true);
        for story in Story::ALL {
            let figures = worst(story, size, draws);
            let holds = figures.hold(story, size);
            println!("{}", figures.row(story.as_str(), size, holds));
            (all, all_hold) = (all.worst(figures), all_hold && holds);
            if let Some(folder) = &folder {
                fs::create_dir_all(folder)?;
                let rate = Rate::of(&simulate(story, Fleet::of(size)));
                let file = folder.join(format!("{}-{size}", story.as_str().replace(' ', "-")));
                fs::write(file.with_extension("csv"), rate.csv())?;
                fs::write(file.with_extension("svg"), rate.svg(story, size))?;
            }
        }
        println!("{}", all.row("all stories", size, all_hold));
    }
    Ok(())
}

/// Each figure is the worst of this many fleets.
fn worst(story: Story, size: u32, draws: u64) -> Figures {
    let fleets = (0..draws).map(|draw| Fleet {
        draw,
        ..Fleet::of(size)
    });
    let figures = fleets.map(|fleet| Figures::of(&simulate(story, fleet)));
    figures.reduce(Figures::worst).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_all_hold(figures: impl Iterator<Item = (Story, u32, Figures)>) {
        let broken = figures.filter(|(story, size, figures)| !figures.hold(*story, *size));
        let broken: Vec<_> = broken
            .map(|(story, size, figures)| figures.row(story.as_str(), size, false))
            .collect();
        assert!(broken.is_empty(), "{broken:#?}");
    }

    fn all_stories(sizes: &[u32], draws: u64) -> impl Iterator<Item = (Story, u32, Figures)> {
        let all = sizes
            .iter()
            .flat_map(|size| Story::ALL.map(|story| (story, *size)));
        all.map(move |(story, size)| (story, size, worst(story, size, draws)))
    }

    #[test]
    fn no_fleet_exceeds_its_budget_is_uneven_or_leaves_a_node_unprobed() {
        assert_all_hold(all_stories(&[700], 1));
    }

    /// There, chance matters most.
    #[test]
    fn no_small_fleet_does_so_in_another_draw() {
        assert_all_hold(all_stories(&[10, 100], 2));
    }

    #[test]
    fn a_fleet_that_grows_far_beyond_its_budget_does_not_exceed_it() {
        assert_all_hold(
            [Story::Growth]
                .into_iter()
                .map(|story| (story, 1500, worst(story, 1500, 1))),
        );
    }

    #[test]
    fn a_fleet_far_below_its_budget_keeps_its_intervals() {
        let figures = worst(Story::Steady, 100, 1);
        assert!((figures.mean - 20.0).abs() < 1.0, "{figures:?}");
    }

    #[test]
    fn a_change_is_walked_as_soon_as_the_budget_allows() {
        for (size, images, seconds) in [
            (10, 1, 31.0),
            (100, 0, 61.0),
            (300, 1, 361.0),
            (700, 1, 1201.0),
        ] {
            let fleet = Fleet {
                images,
                ..Fleet::of(size)
            };
            for story in [Story::Drift, Story::Flapping] {
                let figures = Figures::of(&simulate(story, fleet));
                assert!(figures.hold(story, size), "{fleet:?}: {figures:?}");
                let is_late = story == Story::Drift && figures.unwalked > seconds;
                assert!(!is_late, "{fleet:?}: {figures:?}");
            }
        }
    }

    #[test]
    fn a_small_budget_holds_and_so_it_does_with_images() {
        for (budget, images) in [(100, 0), (1000, 10)] {
            let fleet = Fleet {
                budget,
                images,
                ..Fleet::of(300)
            };
            for story in [Story::Steady, Story::Growth, Story::Drift, Story::Flapping] {
                let figures = Figures::of(&simulate(story, fleet));
                let good = figures.busiest_minute <= budget && figures.longest_gap <= 2.0001;
                assert!(good, "{fleet:?}: {figures:?}");
            }
        }
    }

    #[test]
    fn layers_that_a_walk_finds_are_asked_for_within_the_budget() {
        for (size, images, layers) in [(100, 1, 8), (300, 3, 20), (700, 1, 40), (1500, 3, 20)] {
            let fleet = Fleet {
                images,
                layers,
                ..Fleet::of(size)
            };
            for story in [Story::Start, Story::Rollout, Story::Drift] {
                let figures = Figures::of(&simulate(story, fleet));
                // Places still move while the first walks find the layers.
                let good = figures.busiest_minute <= fleet.budget && figures.longest_gap <= 2.05;
                assert!(good, "{story:?} {fleet:?}: {figures:?}");
            }
        }
    }
}
