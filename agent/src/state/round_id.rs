//! The id of a round in addresses and documents.

use std::{fmt, num::ParseIntError, str::FromStr};

use jiff::Timestamp;

/// The time when the round began, in microseconds since 1970. No two rounds have the same id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RoundId(pub(crate) u64);

impl RoundId {
    /// No round has a smaller id.
    pub(crate) const FIRST: Self = Self(0);

    /// When the round began.
    pub(crate) fn at(self) -> Timestamp {
        i64::try_from(self.0)
            .ok()
            .and_then(|micros| Timestamp::from_microsecond(micros).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

impl From<Timestamp> for RoundId {
    fn from(at: Timestamp) -> Self {
        Self(u64::try_from(at.as_microsecond()).unwrap_or_default())
    }
}

impl fmt::Display for RoundId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RoundId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}
