//! Stories about how fast layers come.

use super::{
    Story,
    build::{FLOOR, layer_at, login, refused, storage},
    critical, story, warning,
};
use crate::{
    diagnosis::Code::{BlobUnavailable, SlowDownload},
    words::{endpoint::Role, reason::Stage},
};

pub(super) fn stories() -> Vec<Story> {
    let storage_at = |rate| [login(), storage().shows(layer_at(rate))];
    vec![
        story("layers come as fast as the floor", storage_at(FLOOR)),
        story("layers come slower than the floor", storage_at(FLOOR / 50)).degraded_by([warning(
            SlowDownload,
        )
        .at(Role::Storage)
        .on("203.0.113.30")
        .showing("at 102.4 KiB/s, below the floor of 5 MiB/s")
        .showing("204.8 KiB of a layer in 2.00 s")]),
        story(
            "a slow layer, and another one that does not come",
            [
                login(),
                storage()
                    .shows(layer_at(1024))
                    .fails(Stage::Blob, refused(404)),
            ],
        )
        .whose_walk_fails(false, "failed to copy: not found")
        .fails_by([critical(BlobUnavailable)
            .at(Role::Storage)
            .on("203.0.113.30")
            .saying("failed to copy")]),
    ]
}
