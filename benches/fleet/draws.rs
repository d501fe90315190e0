//! Peaks of small fleets in many draws of clocks and moments: there, one request is a large part of a mean.

use crate::{
    figures::{FLAT, Figures},
    simulation::{Draw, simulate},
    story::{Seconds, Story},
};

pub(crate) const SIZES: [u32; 11] = [10, 20, 30, 40, 60, 80, 100, 120, 150, 200, 300];
const DRAWS: u64 = 40;
/// What clocks are apart at most, as in the tests and where nodes keep them well by NTP.
const CLOCKS: [Seconds; 2] = [1.0, 0.1];

/// A table of the highest ratios of peak to mean, and of how many draws had one above [`FLAT`].
pub(crate) fn show(sizes: &[u32]) {
    let [far, near] = CLOCKS;
    println!("{DRAWS} draws of each story, with clocks up to {far} s apart, or {near} s.\n");
    println!("| nodes | all but growth | growth | growth, {near} s |");
    println!("|---|---|---|---|");
    let (growing, others) = Story::ALL
        .into_iter()
        .partition::<Vec<_>, _>(|story| *story == Story::Growth);
    for &size in sizes {
        let others = cell(&others, size, far);
        let [growth, near] = CLOCKS.map(|clocks| cell(&growing, size, clocks));
        println!("| {size} | {others} | {growth} | {near} |");
    }
}

fn cell(stories: &[Story], size: u32, clocks: Seconds) -> String {
    let draws = (0..DRAWS).map(|number| Draw { number, clocks });
    let ratios = draws.map(|draw| {
        let ratios = stories
            .iter()
            .map(|story| Figures::of(&simulate(*story, size, draw)).ratio());
        ratios.fold(0.0, f64::max)
    });
    let ratios: Vec<_> = ratios.collect();
    let highest = ratios.iter().copied().fold(0.0, f64::max);
    let above = ratios.iter().filter(|ratio| **ratio > FLAT).count();
    format!("{highest:.2}, {above}")
}
