//! Worlds that tests take in turn, since making one takes longer than most scenes last.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use regprobe_lab::world::World;

/// Free worlds.
#[derive(Default)]
pub(crate) struct Pool {
    free: Mutex<Vec<World>>,
}

impl Pool {
    /// Runs this in a world of its own.
    pub(crate) fn with_world<T>(&self, run: impl FnOnce(&mut World) -> Result<T>) -> Result<T> {
        let free = lock(&self.free).pop();
        let mut world = match free {
            Some(world) => world,
            None => World::new().context("failed to make a world")?,
        };
        let result = run(&mut world);
        // Also after a failure: the next scene sets the world up again.
        lock(&self.free).push(world);
        result
    }

    /// Ends the worlds.
    pub(crate) fn close(&self) {
        lock(&self.free).clear();
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
