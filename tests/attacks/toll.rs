//! What attacks cost, side by side: rounds of bystanders that nobody attacks, in the quiet before and
//! after an attack and meanwhile.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::arena::Seen;
use crate::attack::{Attack, By};

/// By how much the median of a bystander's rounds may grow, of all attacks together.
const SHIFT: f64 = 0.10;

/// From so many attacks on their median is worth something.
const ENOUGH: usize = 100;

/// Of all attacks so far.
#[derive(Default)]
pub(crate) struct Toll {
    paid: Vec<Paid>,
    on_listener: usize,
}

struct Paid {
    name: String,
    is_attack: bool,
    seen: Seen,
}

impl Toll {
    pub(crate) fn add(&mut self, attack: &Attack, seen: Seen) {
        self.paid.push(Paid {
            name: attack.name.clone(),
            is_attack: !matches!(attack.by, By::Nobody),
            seen,
        });
    }

    /// One that the listener bore; what it costs is looked at there.
    pub(crate) fn add_on_listener(&mut self) {
        self.on_listener += 1;
    }

    /// Prints what each attack cost, and complains where it was too much.
    pub(crate) fn settle(&mut self) -> Result<()> {
        self.paid.sort_by(|a, b| b.shift().total_cmp(&a.shift()));
        println!(
            "\nattack                                                  result    memory   bystanders"
        );
        for paid in &self.paid {
            let Seen { took, growth, .. } = paid.seen;
            println!(
                "{:<54} {:>7.2} s {:>+6} KiB  {:>5.2} -> {:>5.2} ms {:>+6.1} %",
                paid.name.chars().take(54).collect::<String>(),
                took.as_secs_f64(),
                growth / 1024,
                median(&paid.seen.quiet) * 1e3,
                median(&paid.seen.attacked) * 1e3,
                paid.shift() * 100.0,
            );
        }
        let (attacks, nothing): (Vec<_>, Vec<_>) =
            self.paid.iter().partition(|paid| paid.is_attack);
        let shift = |of: &[&Paid]| median(&of.iter().map(|paid| paid.shift()).collect::<Vec<_>>());
        let (shift, chance) = (shift(&attacks), shift(&nothing));
        let slowest = attacks.iter().map(|paid| paid.seen.took).max();
        println!(
            "{} attacks on clients, {} on the listener; the slowest result after {:.2} s; rounds of \
             bystanders take {:+.1} % under attack, and {:+.1} % where nobody attacks (medians)",
            attacks.len(),
            self.on_listener,
            slowest.unwrap_or(Duration::ZERO).as_secs_f64(),
            shift * 100.0,
            chance * 100.0,
        );
        // A few tell nothing.
        let is_borne = attacks.len() < ENOUGH || shift < SHIFT + chance.max(0.0);
        ensure!(is_borne, "attacks make bystanders slow");
        Ok(())
    }
}

impl Paid {
    fn shift(&self) -> f64 {
        median(&self.seen.attacked) / median(&self.seen.quiet) - 1.0
    }
}

fn median(samples: &[f64]) -> f64 {
    let mut samples = samples.to_vec();
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}
