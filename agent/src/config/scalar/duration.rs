//! Durations as Prometheus writes them: `15s`, `5m`, `1h30m`, `500ms`, `14d`.
//!
//! Grammar: `model.ParseDuration` of prometheus/common. Whole numbers, each with a unit, from the
//! largest unit to the smallest, no unit twice. Unlike there, a lone `0` is refused like any other
//! number without a unit.

use std::fmt::{self, Display};
use std::time::Duration;

use serde::de::Deserializer;
use thiserror::Error;

use super::{quoted, read};

/// Each unit's name and milliseconds, largest first.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 60 * 60 * 1000),
    ("w", 7 * 24 * 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads a duration such as `1h30m`.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let malformed = || DurationError::Malformed(text.into());
    if text.is_empty() {
        return Err(malformed());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DurationError::NoUnit(text.into()));
    }
    let mut millis = Some(0u64);
    let mut units = UNITS.as_slice();
    let mut rest = text;
    while !rest.is_empty() {
        let number;
        let unit;
        (number, rest) = split_where(rest, |c| !c.is_ascii_digit());
        (unit, rest) = split_where(rest, |c| c.is_ascii_digit());
        if number.is_empty() {
            return Err(malformed());
        }
        let Some(place) = units.iter().position(|(name, _)| *name == unit) else {
            return Err(malformed());
        };
        let scaled = number
            .parse()
            .ok()
            .and_then(|n: u64| n.checked_mul(units[place].1));
        millis = millis
            .zip(scaled)
            .and_then(|(sum, term)| sum.checked_add(term));
        units = &units[place + 1..];
    }
    millis
        .map(Duration::from_millis)
        .ok_or_else(|| DurationError::TooLong(text.into()))
}

/// For `deserialize_with`.
pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    read(deserializer, "a duration, such as 15s", parse_duration)
}

fn split_where(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(end).unwrap_or(text.len()))
}

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DurationError {
    /// A number without a unit.
    #[error("{shown} has no unit; write {0}s for seconds", shown = quoted(.0))]
    NoUnit(String),
    /// Fractions, unknown units, or units out of order.
    #[error(
        "{} is not a duration; write whole numbers with units, largest first: 500ms, 15s, 1h30m or 14d",
        quoted(.0)
    )]
    Malformed(String),
    /// More milliseconds than fit in 64 bits.
    #[error("{} is too long; write a shorter duration", quoted(.0))]
    TooLong(String),
}

/// Displays a duration as it would be typed: `90s` as `1m30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationText(pub Duration);

impl Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = self.0.as_millis();
        if millis == 0 {
            return f.write_str("0s");
        }
        // Nobody writes 14 days as 2w.
        for (unit, length) in UNITS.iter().filter(|(unit, _)| *unit != "w") {
            let length = u128::from(*length);
            if millis >= length {
                write!(f, "{}{unit}", millis / length)?;
                millis %= length;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_prometheus_reads() {
        for (text, millis) in [
            ("500ms", 500),
            ("15s", 15_000),
            ("0s", 0),
            ("1h30m", 5_400_000),
            ("1m500ms", 60_500),
            ("14d", 14 * 86_400_000),
            ("1y2w3d4h5m6s7ms", 33_019_506_007),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "", "s", "1.5s", "-1s", "30m1h", "1s1s", "1 s", "1S", "1h30", "1µs", "½s",
        ] {
            assert_eq!(
                parse_duration(text),
                Err(DurationError::Malformed(text.into()))
            );
        }
        assert_eq!(parse_duration("0"), Err(DurationError::NoUnit("0".into())));
        for text in ["584942418y", "18446744073709551616ms", "584942417y300d"] {
            assert_eq!(
                parse_duration(text),
                Err(DurationError::TooLong(text.into()))
            );
        }
    }

    #[test]
    fn displays_what_can_be_read_again() {
        for text in ["0s", "1ms", "1m30s", "14d", "1y1d1h1m1s1ms"] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(DurationText(duration).to_string(), text);
        }
    }
}
