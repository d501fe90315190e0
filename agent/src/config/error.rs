//! Why a config is refused; every error says where and what to write instead.

use std::io;

use thiserror::Error;

use super::location::{self, Location};
use super::rules::Violation;

/// Why a config is not in force.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file is not there or may not be read.
    #[error("cannot read the file: {0}; check the path, and that this user may read it")]
    Read(io::Error),
    /// More than a ConfigMap could hold: not a config.
    #[error("the file is larger than 1 MiB; is it a config?")]
    TooLarge,
    /// Bytes that are no text.
    #[error("the file is not UTF-8 text; save it as UTF-8 ({0})")]
    NotUtf8(Location),
    /// Not YAML, an unknown key, or a value that cannot be what its key wants.
    #[error("{message}{}", location::suffix(*.location, None))]
    Unreadable {
        /// The path, where there is one, and what is wrong there.
        message: String,
        /// Where it stands in the file.
        location: Option<Location>,
    },
    /// Each value is well formed, but they do not go together.
    #[error("{violation}{}", location::suffix(*.location, *.first))]
    Refused {
        /// The path and what is wrong there.
        violation: Box<Violation>,
        /// Where it stands in the file, or the nearest thing that does.
        location: Option<Location>,
        /// Where the first of two duplicates stands.
        first: Option<Location>,
    },
}
