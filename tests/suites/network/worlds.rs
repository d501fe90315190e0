//! Random worlds: two to four faults at once, drawn by a seed, in which the verdict and the predicted delay are
//! compared with what 1.7 and the newest containerd do. `REGPROBE_WORLDS=1000` draws that many, from
//! `REGPROBE_SEED` on; the same seed makes the same world again.

mod drawn;

use std::env;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::need::Need;
use regprobe_harness::suite::{Suite, Test, test};
use regprobe_lab::scenario::Scenario;
use regprobe_lab::servers::{Pull, Release};
use regprobe_lab::wait;
use regprobe_lab::world::Checked;

use super::faultlab::{delay_is_off, look};
use super::pool::{Pool, lock};

/// How many worlds a run of all tests draws, from this seed on.
const WORLDS: u64 = 40;
const FIRST: u64 = 1;

/// A world that seems to be judged wrongly is made again, each time after so many seconds.
const AGAIN: [u64; 4] = [2, 5, 10, 20];

/// How many worlds there are at the same time; most only wait.
const AT_A_TIME: usize = 8;

/// A pull that is not done by then counts as failed.
const PATIENCE: f64 = 170.0;

pub(crate) fn suite() -> Suite {
    let (first, worlds) = match (
        of_environment("REGPROBE_SEED", FIRST),
        of_environment("REGPROBE_WORLDS", WORLDS),
    ) {
        (Ok(first), Ok(worlds)) => (first, worlds),
        (Err(error), _) | (_, Err(error)) => {
            return Suite::of([test("the environment can be read", || Err(error))]);
        }
    };
    let (pool, again) = (Arc::<Pool>::default(), Arc::<Mutex<()>>::default());
    let totals = Arc::<Mutex<Totals>>::default();
    let tests: Vec<_> = (first..first + worlds)
        .map(|seed| world(seed, &pool, &again, &totals))
        .collect();
    Suite::of(tests).at_a_time(AT_A_TIME).and_then(move || {
        pool.close();
        lock(&totals).print();
        Ok(())
    })
}

fn of_environment<T: FromStr<Err: Display>>(name: &str, default: T) -> Result<T> {
    match env::var(name) {
        Err(_) => Ok(default),
        Ok(text) => text
            .parse()
            .map_err(|error| anyhow::anyhow!("{name}={text}: {error}")),
    }
}

fn world(seed: u64, pool: &Arc<Pool>, again: &Arc<Mutex<()>>, totals: &Arc<Mutex<Totals>>) -> Test {
    let (pool, again, totals) = (Arc::clone(pool), Arc::clone(again), Arc::clone(totals));
    test(format!("world {seed}"), move || {
        let drawn = drawn::world(seed, PATIENCE);
        let told = || format!("world {seed}: {drawn:#}");
        let scenario = Scenario::parse(&drawn.to_string()).with_context(told)?;
        let mut compared = compare(&pool, &scenario).with_context(told)?;
        // On a busy machine a packet or a process can be late: what is wrong once must be wrong each time.
        for pause in AGAIN {
            if compared.iter().all(|seen| !seen.is_wrong()) {
                break;
            }
            wait::pause(Duration::from_secs(pause));
            // What made one world late can make another one late, so no two of those are made again at once.
            let is_late = |seen: &Compared| seen.judgement() == Judgement::DelayOff;
            let alone = compared.iter().any(is_late).then(|| lock(&again));
            let repeated = compare(&pool, &scenario).with_context(told)?;
            drop(alone);
            for (seen, again) in compared.iter_mut().zip(repeated) {
                if seen.is_wrong() {
                    *seen = again;
                }
            }
        }
        lock(&totals).add(&compared);
        let wrong: Vec<_> = compared.iter().filter_map(Compared::wrong).collect();
        ensure!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), told());
        Ok(())
    })
    .needs(Need::WORLD)
    .needs([
        Need::Oracle(Release::V1_7.as_str()),
        Need::Oracle(Release::NEWEST.as_str()),
    ])
    .within(Duration::from_secs(900))
}

fn compare(pool: &Pool, scenario: &Scenario) -> Result<Vec<Compared>> {
    let releases = [Release::V1_7, Release::NEWEST];
    let seen = pool.with_world(|world| look(&world.set(scenario)?, &releases))?;
    let compared = seen.into_iter().filter_map(|(release, pull, checked)| {
        Some(Compared {
            release,
            pull,
            checked: checked?,
        })
    });
    Ok(compared.collect())
}

/// What a containerd did, and what the agent on its node said.
struct Compared {
    release: Release,
    pull: Pull,
    checked: Checked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judgement {
    Right,
    /// The agent says that it cannot tell.
    Unknown,
    FalseFailing,
    FalseOk,
    DelayOff,
}

impl Compared {
    fn judgement(&self) -> Judgement {
        let registry = &self.checked.document["registries"][0];
        let predicted = registry["predicted_pull_delay_seconds"].as_f64();
        // Nobody waited for as long as it would take.
        let is_given_up = self.pull.took.as_secs_f64() >= PATIENCE;
        let is_cut_short = is_given_up && predicted.is_some_and(|predicted| predicted >= PATIENCE);
        match (registry["verdict"].as_str(), self.pull.ok) {
            (Some("unknown"), _) => Judgement::Unknown,
            (Some("failing"), true) => Judgement::FalseFailing,
            (Some("failing"), false) => Judgement::Right,
            (_, false) if is_cut_short => Judgement::Right,
            (_, false) => Judgement::FalseOk,
            (_, true) => {
                match predicted.is_none_or(|predicted| delay_is_off(predicted, &self.pull)) {
                    true => Judgement::DelayOff,
                    false => Judgement::Right,
                }
            }
        }
    }

    fn is_wrong(&self) -> bool {
        !matches!(self.judgement(), Judgement::Right | Judgement::Unknown)
    }

    /// What is wrong, and all that helps to find out why.
    fn wrong(&self) -> Option<String> {
        if !self.is_wrong() {
            return None;
        }
        let judgement = self.judgement();
        let registry = &self.checked.document["registries"][0];
        let findings = registry["findings"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let findings: Vec<_> = findings
            .iter()
            .filter_map(|finding| finding["code"].as_str())
            .collect();
        let said = self.pull.said.trim().lines().last().unwrap_or_default();
        Some(format!(
            "{judgement:?} with containerd {}: verdict {}, delay {}, {findings:?}\n  pull {} after {:.1?}: {said}",
            self.release,
            registry["verdict"],
            registry["predicted_pull_delay_seconds"],
            if self.pull.ok { "done" } else { "failed" },
            self.pull.took,
        ))
    }
}

/// The judgements of all worlds.
#[derive(Default)]
struct Totals(Vec<Judgement>);

impl Totals {
    fn add(&mut self, compared: &[Compared]) {
        self.0.extend(compared.iter().map(Compared::judgement));
    }

    fn print(&self) {
        let count = |wanted| {
            self.0
                .iter()
                .filter(|judgement| **judgement == wanted)
                .count()
        };
        println!(
            "random worlds: {} pulls, {} false failing, {} false ok, {} delays off, {} unknown",
            self.0.len(),
            count(Judgement::FalseFailing),
            count(Judgement::FalseOk),
            count(Judgement::DelayOff),
            count(Judgement::Unknown),
        );
    }
}
