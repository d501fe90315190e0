//! What is known about every registry, as plain data. The board makes it; metrics, change log, pages and
//! `check` read it.

pub(crate) use self::{
    registry::{RegistryState, Round},
    round_id::RoundId,
    snapshot::{ConfigState, Shown, Snapshot},
};

pub(crate) mod changes;
pub(crate) mod condition;
mod registry;
mod round_id;
mod snapshot;
#[cfg(test)]
pub(crate) mod story;
