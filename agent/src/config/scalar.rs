//! Values that are a single word in YAML, and how all of them are read.
//!
//! A scalar is always read as the text that was typed. So `timeout: 10` and `name: 007` reach our
//! parsers and their error texts, and never become the number that YAML sees in them.

/// Deserializes a type by its `FromStr`; the text says what to write instead of a list or mapping.
macro_rules! read_as {
    ($type:ty, $expecting:literal) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::config::scalar::read(deserializer, $expecting, str::parse)
            }
        }
    };
}
pub(super) use read_as;

pub(super) mod address;
pub(super) mod bytes;
pub(super) mod duration;
pub(super) mod http_url;
pub(super) mod identity;
mod image;
pub(super) mod name;
mod server;

use std::fmt::{self, Display};
use std::path::PathBuf;

use serde::de::{Deserializer, Error, Visitor};
use thiserror::Error;

pub use self::address::{AddressError, Private, RangeError, parse_nameserver, parse_range};
pub use self::duration::{DurationError, DurationText, parse_duration};
pub use self::http_url::{HttpUrl, HttpUrlError};
pub use self::identity::{ClientId, ClientIdError};
pub use self::image::{Image, ImageError};
pub use self::name::{HostName, HostNameError, Label, LabelError, Region, RegionError};
pub use self::server::{Server, ServerError};

/// Reads a scalar with `parse`; `expecting` says what to write instead of a list or mapping.
pub(super) fn read<'de, D, T, E>(
    deserializer: D,
    expecting: &'static str,
    parse: fn(&str) -> Result<T, E>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    E: Display,
{
    deserializer.deserialize_str(Scalar { expecting, parse })
}

/// Like [`read`], but `""`, `null` and nothing are `None`.
pub(super) fn read_or_none<'de, D, T, E>(
    deserializer: D,
    expecting: &'static str,
    parse: fn(&str) -> Result<T, E>,
) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    E: Display,
{
    deserializer.deserialize_option(OrNone(Scalar { expecting, parse }))
}

struct Scalar<T, E> {
    expecting: &'static str,
    parse: fn(&str) -> Result<T, E>,
}

impl<T, E: Display> Visitor<'_> for Scalar<T, E> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<F: Error>(self, text: &str) -> Result<T, F> {
        (self.parse)(text).map_err(F::custom)
    }
}

struct OrNone<T, E>(Scalar<T, E>);

impl<'de, T, E: Display> Visitor<'de> for OrNone<T, E> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<F: Error>(self) -> Result<Self::Value, F> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }

    fn visit_str<F: Error>(self, text: &str) -> Result<Self::Value, F> {
        if text.is_empty() {
            return Ok(None);
        }
        self.0.visit_str(text).map(Some)
    }
}

/// The largest count of agents, or of requests a minute.
pub(super) const MAX_COUNT: u32 = 1_000_000;

/// For `deserialize_with`: a whole number from 1.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    read(deserializer, "a whole number", parse_count)
}

pub(super) fn parse_count(text: &str) -> Result<u32, CountError> {
    match text.parse() {
        Ok(count @ 1..=MAX_COUNT) => Ok(count),
        _ => Err(CountError(text.into())),
    }
}

#[derive(Debug, Error)]
#[error("{} is not a whole number from 1 to {MAX_COUNT}; write it in digits", quoted(.0))]
pub(super) struct CountError(String);

/// For `deserialize_with`: a path that does not depend on where the agent was started.
pub(super) fn absolute_path<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<PathBuf, D::Error> {
    read(deserializer, "an absolute path", parse_absolute_path)
}

/// For `deserialize_with`: the same, or none.
pub(super) fn absolute_path_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    read_or_none(deserializer, "an absolute path", parse_absolute_path)
}

/// For `deserialize_with`: the same, or `auto`, which is none.
pub(super) fn absolute_path_or_auto<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    read(
        deserializer,
        "auto or an absolute path",
        |text| match text {
            "auto" => Ok(None),
            path => parse_absolute_path(path).map(Some),
        },
    )
}

fn parse_absolute_path(text: &str) -> Result<PathBuf, RelativePath> {
    let path = PathBuf::from(text);
    if !path.is_absolute() {
        return Err(RelativePath(text.into()));
    }
    Ok(path)
}

#[derive(Debug, Error)]
#[error("{} is not an absolute path; begin it with /", quoted(.0))]
struct RelativePath(String);

/// What was typed, as error messages show it: on one line, and shortened.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}", format!("{}…", &text[..end])),
        None => format!("{text:?}"),
    }
}
