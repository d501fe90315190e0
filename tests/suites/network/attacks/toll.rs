//! What attacks cost: rounds of bystanders, in the quiet before and after an attack compared with those
//! during it.

use std::env;
use std::fmt;
use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::Timestamp;

use super::arena::Seen;

/// How much the median of bystanders' rounds may grow.
const SHIFT: f64 = 0.10;

/// How many attacks are needed for a meaningful median.
const ENOUGH: usize = 100;

/// How the cost for bystanders is measured.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Care {
    /// Many attacks at the same time, because they mostly wait: on a busy machine only all of them together
    /// give a result.
    Together,
    /// One at a time, each for itself.
    Apart,
}

/// How long bystanders' rounds took on the wire and when they started, without and during an attack.
pub(crate) struct Rounds {
    pub(crate) quiet: Vec<(Timestamp, f64)>,
    pub(crate) attacked: Vec<(Timestamp, f64)>,
}

/// The cost of all attacks so far.
pub(crate) struct Toll {
    care: Care,
    paid: Vec<Paid>,
    /// The memory that attacks on the listener left allocated, in KiB.
    on_listener: Vec<i64>,
}

struct Paid {
    name: String,
    is_attack: bool,
    seen: Seen,
}

impl Care {
    pub(crate) fn asked_for() -> Self {
        match env::var("REGPROBE_ATTACKS").as_deref() {
            Ok("apart") => Self::Apart,
            Ok(other) => panic!("REGPROBE_ATTACKS is apart or nothing, not {other}"),
            Err(_) => Self::Together,
        }
    }

    pub(crate) fn arenas(self) -> usize {
        match self {
            Self::Together => 10,
            Self::Apart => 1,
        }
    }

    pub(crate) fn bystanders(self) -> u16 {
        match self {
            Self::Together => 3,
            Self::Apart => 16,
        }
    }

    /// How often an attack is repeated before it counts as too expensive for others.
    pub(crate) fn tries(self) -> usize {
        match self {
            Self::Together => 1,
            Self::Apart => 6,
        }
    }
}

impl Rounds {
    /// The quiet between two tries belongs to both, but counts once.
    pub(crate) fn extend(&mut self, more: Self) {
        let known = self.quiet.iter().map(|(at, _)| *at).max();
        let later = |(at, _): &(Timestamp, f64)| Some(*at) > known;
        self.quiet.extend(more.quiet.into_iter().filter(later));
        self.attacked.extend(more.attacked);
    }

    pub(crate) fn are_as_quick(&self) -> bool {
        self.shift() < SHIFT
    }

    fn shift(&self) -> f64 {
        median_of(&self.attacked) / median_of(&self.quiet) - 1.0
    }
}

impl Toll {
    pub(crate) fn new(care: Care) -> Self {
        Self {
            care,
            paid: Vec::new(),
            on_listener: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, name: &str, is_attack: bool, seen: Seen) {
        self.paid.push(Paid {
            name: name.to_owned(),
            is_attack,
            seen,
        });
    }

    /// Adds an attack on the listener, which measures the cost itself.
    pub(crate) fn add_on_listener(&mut self, growth: i64) {
        self.on_listener.push(growth);
    }

    /// Prints the cost of each attack, and fails if one was too high.
    pub(crate) fn settle(&mut self) -> Result<()> {
        self.paid.sort_by(|a, b| b.shift().total_cmp(&a.shift()));
        println!(
            "\nattack                                                  result    memory   bystanders"
        );
        for paid in &self.paid {
            let Seen { took, growth, .. } = paid.seen;
            let Rounds { quiet, attacked } = &paid.seen.rounds;
            println!(
                "{:<54} {:>7.2} s {:>+6} KiB  {:>5.2} -> {:>5.2} ms {:>+6.1} % ({} and {} rounds)",
                paid.name.chars().take(54).collect::<String>(),
                took.as_secs_f64(),
                growth / 1024,
                median_of(quiet) * 1e3,
                median_of(attacked) * 1e3,
                paid.shift() * 100.0,
                quiet.len(),
                attacked.len(),
            );
        }
        let (attacks, nothing): (Vec<_>, Vec<_>) =
            self.paid.iter().partition(|paid| paid.is_attack);
        let (under_attack, in_quiet) = (Spread::of(&attacks), Spread::of(&nothing));
        let slowest = attacks.iter().map(|paid| paid.seen.took).max();
        println!(
            "{} attacks looked at for what they cost others; {} on the listener leave {} KiB at most; the \
             slowest result after {:.2} s; rounds of bystanders take {under_attack} under attack, and {in_quiet} \
             where nobody attacks",
            attacks.len(),
            self.on_listener.len(),
            self.on_listener.iter().max().unwrap_or(&0),
            slowest.unwrap_or(Duration::ZERO).as_secs_f64(),
        );
        match self.care {
            Care::Together => {
                let limit = SHIFT + in_quiet.median.max(0.0);
                let is_borne = attacks.len() < ENOUGH || under_attack.median < limit;
                ensure!(is_borne, "attacks make bystanders slow");
            }
            Care::Apart => {
                // Missing rounds are worse than slow ones.
                let enough = 2 * usize::from(self.care.bystanders());
                let slow = self.paid.iter().filter(|paid| {
                    let rounds = &paid.seen.rounds;
                    !rounds.are_as_quick() || rounds.attacked.len() < enough
                });
                let names: Vec<_> = slow.map(|paid| paid.name.as_str()).collect();
                ensure!(names.is_empty(), "bystanders are slow under {names:?}");
            }
        }
        Ok(())
    }
}

impl Paid {
    fn shift(&self) -> f64 {
        self.seen.rounds.shift()
    }
}

/// The spread of several shifts.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(paid: &[&Paid]) -> Self {
        let shifts: Vec<_> = paid.iter().map(|paid| paid.shift()).collect();
        Self {
            median: median(&shifts),
            least: shifts.iter().copied().fold(f64::NAN, f64::min),
            most: shifts.into_iter().fold(f64::NAN, f64::max),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            median,
            least,
            most,
        } = self;
        let [median, least, most] = [median, least, most].map(|share| share * 100.0);
        write!(
            f,
            "{median:+.1} % (median, of {least:+.1} % to {most:+.1} %)"
        )
    }
}

fn median_of(rounds: &[(Timestamp, f64)]) -> f64 {
    median(&rounds.iter().map(|(_, took)| *took).collect::<Vec<_>>())
}

fn median(samples: &[f64]) -> f64 {
    let mut samples = samples.to_vec();
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}
