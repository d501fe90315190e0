//! The state of all registries at one moment, and the place where readers find the latest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::registry::RegistryState;
use crate::{plan::NodeSource, schedule::fleet::Fleet};

/// The latest snapshot, shared by everyone who reads it. Nobody holds the lock for long.
#[derive(Clone, Default)]
pub(crate) struct Shown(Arc<Mutex<Arc<Snapshot>>>);

impl Shown {
    /// The state as of now. It does not change afterwards.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.open().clone()
    }

    /// Copies the snapshot only while somebody still reads the old one.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        change(Arc::make_mut(&mut self.open()));
    }

    fn open(&self) -> MutexGuard<'_, Arc<Snapshot>> {
        // A panic cannot leave it half changed: every change is a single step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What readers see.
#[derive(Clone, Default)]
pub(crate) struct Snapshot {
    /// In the order of the configuration.
    pub registries: Vec<Arc<RegistryState>>,
    /// `None` where no configuration can be reloaded.
    pub config: Option<ConfigState>,
    /// `None` until it was counted for the first time, and where nothing is counted.
    pub fleet: Option<Fleet>,
    /// Where to read the node's settings, for documents that show them.
    pub node: Option<Arc<NodeSource>>,
}

/// The configuration in use.
#[derive(Clone, Debug)]
pub(crate) struct ConfigState {
    /// When it was loaded.
    pub loaded_at: Timestamp,
    /// Why the last reload failed, if it did.
    pub reload_error: Option<String>,
}

impl Snapshot {
    /// These registries, under a configuration that nothing reloads.
    pub(crate) fn once(registries: Vec<Arc<RegistryState>>) -> Self {
        Self {
            registries,
            ..Self::default()
        }
    }

    /// Whether every registry has finished its first round.
    pub(crate) fn is_ready(&self) -> bool {
        self.registries.iter().all(|state| state.round.is_some())
    }
}
