//! Every attack in the tables of this folder, one at a time on a running agent. The agent must get the
//! right result in time, free everything afterwards, and probe its other registries as usual. There are
//! also attacks on the listener.
//!
//! By default many agents are attacked at the same time, which shows what all attacks together cost other
//! registries. `REGPROBE_ATTACKS=apart`, which `benches/attacks` sets, runs one at a time and measures each.

mod arena;
mod attack;
mod dns;
mod http;
mod image;
mod listener;
mod nameserver;
mod proxies;
mod site;
mod speech;
mod tcp;
mod tls;
mod token;
mod toll;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Error, Result};
use regprobe_harness::need::Need;
use regprobe_harness::suite::{Suite, Test, test};

use self::arena::{Arena, Seen};
use self::attack::{Attack, By};
use self::toll::{Care, Toll};

pub(crate) fn suite() -> Suite {
    let care = Care::asked_for();
    let world = Arc::new(World::new(care));
    let tables = [
        dns::attacks(),
        tcp::attacks(),
        proxies::attacks(),
        tls::attacks(),
        http::attacks(),
        token::attacks(),
        image::attacks(),
    ];
    let attacks: Vec<_> = tables.into_iter().flatten().collect();
    let attacks = with_nothing_between(attacks);
    let on_client = attacks.into_iter().map(|attack| world.test(attack));
    let on_listener =
        listener::attacks().map(|(name, attack)| world.test_of_listener(name, attack));
    let tests: Vec<_> = on_client
        .chain(on_listener)
        .chain(token::led::tests())
        .chain(token::metadata::tests())
        .collect();
    Suite::of(tests)
        .at_a_time(care.arenas())
        .and_then(move || lock(&world.toll).settle())
}

/// Adds tests without an attack, to measure the noise.
fn with_nothing_between(attacks: Vec<Attack>) -> Vec<Attack> {
    let mut all = Vec::new();
    for (number, attack) in attacks.into_iter().enumerate() {
        if number % 8 == 0 {
            all.push(attack::nothing(format!("nothing {}", number / 8 + 1)));
        }
        all.push(attack);
    }
    all
}

/// The free arenas, and what attacks have cost so far.
struct World {
    care: Care,
    arenas: Mutex<Vec<Arena>>,
    toll: Mutex<Toll>,
}

impl World {
    fn new(care: Care) -> Self {
        Self {
            care,
            arenas: Mutex::default(),
            toll: Mutex::new(Toll::new(care)),
        }
    }

    fn test(self: &Arc<Self>, attack: Attack) -> Test {
        let (world, name) = (self.clone(), format!("{}: {}", attack.place(), attack.name));
        let run = move || world.suffer(&attack);
        in_arena(name, run)
    }

    fn test_of_listener(self: &Arc<Self>, name: &'static str, attack: listener::Run) -> Test {
        let world = self.clone();
        let run = move || {
            let growth = listener::suffer(attack)?;
            lock(&world.toll).add_on_listener(growth);
            if world.care == Care::Apart {
                let seen = world.repeat(|| world.within(|arena| arena.besieged(attack)))?;
                lock(&world.toll).add(name, true, seen);
            }
            Ok(())
        };
        in_arena(format!("listener: {name}"), run)
    }

    fn suffer(&self, attack: &Attack) -> Result<()> {
        let seen = self.repeat(|| self.suffer_patiently(attack))?;
        let is_attack = !matches!(attack.by, By::Nobody);
        lock(&self.toll).add(&attack.name, is_attack, seen);
        Ok(())
    }

    /// Repeats until bystanders are as fast as before, up to the number of tries.
    fn repeat(&self, look: impl Fn() -> Result<Seen>) -> Result<Seen> {
        let mut seen = look()?;
        for _ in 1..self.care.tries() {
            if seen.rounds.are_as_quick() {
                break;
            }
            seen.extend(look()?);
        }
        Ok(seen)
    }

    /// A machine that stalls for a moment looks like an attack, so a failure only counts if it happens
    /// twice.
    fn suffer_patiently(&self, attack: &Attack) -> Result<Seen> {
        self.try_suffer(attack).or_else(|error| {
            eprintln!("{}, once more: {}", attack.name, first_line(&error));
            self.try_suffer(attack)
        })
    }

    fn try_suffer(&self, attack: &Attack) -> Result<Seen> {
        self.within(|arena| arena.suffer(attack))
    }

    fn within<T>(&self, look: impl FnOnce(&Arena) -> Result<T>) -> Result<T> {
        let free = lock(&self.arenas).pop();
        let arena = match free {
            Some(arena) => arena,
            None => Arena::new(self.care.bystanders()).context("failed to make an arena")?,
        };
        let seen = look(&arena)?;
        // After a failure the arena is not used again.
        lock(&self.arenas).push(arena);
        Ok(seen)
    }
}

fn in_arena(name: String, run: impl FnOnce() -> Result<()> + Send + 'static) -> Test {
    test(name, run)
        .needs([Need::Root, Need::IPROUTE])
        .within(Duration::from_secs(180))
}

fn first_line(error: &Error) -> String {
    let text = error.to_string();
    text.chars().take_while(|c| *c != '\n').take(200).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
