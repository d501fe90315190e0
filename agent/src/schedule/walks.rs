//! What the walks of a registry cost it in requests, which grows with the layers of its images. Pure.
//!
//! **The rule.** Nobody knows how many layers an image has until one has walked to it. So a walk asks for no more layers
//! than the budget counts, at first for one, and finds how many there are; the next one, which comes early, asks for all.

use regprobe_probes::{Outcome, WalkEnd};

/// Requests of a pull beside its layers: `HEAD` without a token and with one, the token, index, manifest and
/// configuration.
const WITHOUT_LAYERS: u32 = 6;

/// The walks of a round with images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walks {
    pulls: u32,
    layers: u32,
}

impl Walks {
    /// Walks that may come to so many pulls.
    pub fn of(pulls: usize) -> Self {
        Self {
            pulls: u32::try_from(pulls).unwrap_or(u32::MAX),
            layers: 1,
        }
    }

    /// The requests of one round to the registry.
    pub fn requests(self) -> u32 {
        self.pulls
            .saturating_mul(WITHOUT_LAYERS.saturating_add(self.layers))
    }

    /// How many layers of an image a walk asks for.
    pub(super) fn layers(self) -> usize {
        self.layers as usize
    }

    /// These walks as a round found them.
    #[must_use]
    pub(super) fn after(self, outcome: &Outcome) -> Self {
        let layers = outcome.walks.iter().map(|walk| match walk.end {
            WalkEnd::Pulled { layers, .. } => layers,
            WalkEnd::Failed { .. } | WalkEnd::NotSeen(_) => 0,
        });
        self.with_layers(layers.max().unwrap_or(0))
    }

    /// Walks to an image of so many layers, or of more. The most so far is believed: a node that shortened its
    /// intervals in the middle of them would send more than its part.
    #[must_use]
    pub fn with_layers(self, layers: usize) -> Self {
        let layers = u32::try_from(layers).unwrap_or(u32::MAX);
        Self {
            layers: self.layers.max(layers),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_layers_that_were_found_are_counted() {
        let mut walks = Walks::of(2);
        for (found, layers, requests) in [(0, 1, 14), (20, 20, 52), (3, 20, 52)] {
            walks = walks.with_layers(found);
            assert_eq!((walks.layers(), walks.requests()), (layers, requests));
        }
        assert_eq!(Walks::of(0).with_layers(5).requests(), 0);
    }
}
