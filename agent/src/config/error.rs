//! Why a config is refused; every error says where and what to write instead.

use std::io;

use thiserror::Error;

use super::location::{self, Location};
use super::violation::Violation;

/// Why a config is refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file does not exist or cannot be read.
    #[error("cannot read the file: {0}; check the path, and that this user may read it")]
    Read(io::Error),
    /// Larger than a ConfigMap can be.
    #[error("the file is larger than 1 MiB; is it a config?")]
    TooLarge,
    /// Not text.
    #[error("the file is not UTF-8 text; save it as UTF-8 ({0})")]
    NotUtf8(Location),
    /// Not YAML, an unknown key, or a value of the wrong form.
    #[error("{message}{}", location::suffix(*.location, None))]
    Unreadable {
        /// The key path, if there is one, and what is wrong there.
        message: String,
        /// Where in the file.
        location: Option<Location>,
    },
    /// The values are valid one by one, but out of range or in conflict.
    #[error("{violation}{}", location::suffix(*.location, *.first))]
    Refused {
        /// The key path and what is wrong there.
        violation: Box<Violation>,
        /// Where in the file; if the key is not there, the nearest mapping or list around it.
        location: Option<Location>,
        /// Where the first of two duplicates is.
        first: Option<Location>,
    },
}
