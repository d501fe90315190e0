//! Choices that a seed makes.

use rand::rngs::StdRng;
use rand::seq::{IndexedMutRandom, IndexedRandom};
use rand::{Rng, SeedableRng};

pub(super) struct Draw(StdRng);

impl Draw {
    pub(super) fn of(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    pub(super) fn one<T: Copy>(&mut self, choices: &[T]) -> T {
        *choices.choose(&mut self.0).expect("there is a choice")
    }

    /// One of those that are listed with their weights.
    pub(super) fn weighted<T>(&mut self, choices: &'static [(u32, T)]) -> &'static T {
        let chosen = choices.choose_weighted(&mut self.0, |(weight, _)| *weight);
        &chosen.expect("there is a choice").1
    }

    pub(super) fn among<'a, T>(&mut self, values: &'a mut [T]) -> &'a mut T {
        values.choose_mut(&mut self.0).expect("there is a choice")
    }

    /// From the first to the last.
    pub(super) fn number(&mut self, first: usize, last: usize) -> usize {
        self.0.random_range(first..=last)
    }

    /// Once in so many times.
    pub(super) fn once_in(&mut self, times: u32) -> bool {
        self.0.random_ratio(1, times)
    }
}
