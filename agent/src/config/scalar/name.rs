//! Names: labels that the operator chooses, host names, and Azure regions.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::de::Deserializer;
use thiserror::Error;

use super::{quoted, read_or_none};
use crate::printable::is_printable;

/// A type that holds a text shows it.
macro_rules! text {
    ($type:ty) => {
        impl $type {
            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// A name that becomes a metric label: 1 to 100 printable characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label(String);

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        if text.trim() != text {
            return Err(LabelError::Padded(text.into()));
        }
        if !text.chars().all(is_printable) {
            return Err(LabelError::Unprintable(text.into()));
        }
        match text.chars().count() {
            1..=100 => Ok(Self(text.into())),
            length => Err(LabelError::Length(length)),
        }
    }
}

text!(Label);
read_as!(Label, "a name");

/// Why a text is not a [`Label`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LabelError {
    /// Empty, or too long for a label.
    #[error("a name has 1 to 100 characters, this one has {0}; leave the key out for the default")]
    Length(usize),
    /// A line break or another invisible character.
    #[error("{} contains a character that does not print; write printable characters only", quoted(.0))]
    Unprintable(String),
    /// Space around it, which would be invisible.
    #[error("{} has space around it; remove it", quoted(.0))]
    Padded(String),
}

/// A DNS name (RFC 1123, section 2.1), in lower case and without a trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostName(String);

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.len() > 253 {
            return Err(HostNameError::TooLong(text.into()));
        }
        if let Some(label) = name.split('.').find(|label| !is_label(label)) {
            return Err(HostNameError::Label {
                text: text.into(),
                label: label.into(),
            });
        }
        Ok(Self(name.to_ascii_lowercase()))
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

text!(HostName);

/// For `deserialize_with`: a host name, or none.
pub(in crate::config) fn host_name_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<HostName>, D::Error> {
    read_or_none(deserializer, "a host name", str::parse)
}

/// Why a text is not a [`HostName`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HostNameError {
    /// An empty or overlong label, or one with a character that is not allowed.
    #[error(
        "{} is not a host name: {} must be 1 to 63 letters, digits or hyphens, with no hyphen at either end",
        quoted(text),
        quoted(label)
    )]
    Label {
        /// What was typed.
        text: String,
        /// The label at fault.
        label: String,
    },
    /// Longer than DNS allows.
    #[error("{} is longer than a host name can be; write at most 253 characters", quoted(.0))]
    TooLong(String),
}

/// An Azure region as host names contain it: `westeurope`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Region(String);

impl FromStr for Region {
    type Err = RegionError;

    fn from_str(text: &str) -> Result<Self, RegionError> {
        let is_region = |text: &str| {
            (1..=63).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if is_region(text) {
            return Ok(Self(text.into()));
        }
        // "West Europe" is the display name of the same region.
        let squeezed = text.replace([' ', '-'], "").to_ascii_lowercase();
        Err(RegionError {
            text: text.into(),
            suggestion: if is_region(&squeezed) {
                squeezed
            } else {
                "westeurope".into()
            },
        })
    }
}

text!(Region);
read_as!(Region, "a region, such as westeurope");

/// Not a region's name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{} is not a region's name; write lowercase letters and digits, as {suggestion}",
    quoted(text)
)]
pub struct RegionError {
    text: String,
    suggestion: String,
}
