//! Amounts of data as Kubernetes writes them, and rates: `512KiB`, `1MiB`, `5MiB/s`.

use serde::de::Deserializer;
use thiserror::Error;

use super::{quoted, read};

const UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// For `deserialize_with`: a number of bytes.
pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u64, D::Error> {
    read(deserializer, "an amount of data, such as 1MiB", |text| {
        parse(text).ok_or_else(|| BytesError(text.into()))
    })
}

/// For `deserialize_with`: a number of bytes per second.
pub(in crate::config) fn per_second<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u64, D::Error> {
    read(deserializer, "a rate, such as 5MiB/s", |text| {
        let bytes = text.strip_suffix("/s").and_then(parse);
        bytes.ok_or_else(|| RateError(text.into()))
    })
}

/// At least one of a unit.
fn parse(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let bytes = number.parse::<u64>().ok()?.checked_mul(*size)?;
    (bytes > 0).then_some(bytes)
}

#[derive(Debug, Error)]
#[error("{} is not an amount of data; write a whole number of KiB, MiB or GiB: 512KiB or 1MiB", quoted(.0))]
struct BytesError(String);

#[derive(Debug, Error)]
#[error("{} is not a rate; write a whole number of KiB/s, MiB/s or GiB/s: 512KiB/s or 5MiB/s", quoted(.0))]
struct RateError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_whole_numbers_of_binary_units() {
        for (text, bytes) in [
            ("1KiB", Some(1024)),
            ("512KiB", Some(512 * 1024)),
            ("1MiB", Some(1024 * 1024)),
            ("2GiB", Some(2 * 1024 * 1024 * 1024)),
            ("", None),
            ("0MiB", None),
            ("1048576", None),
            ("MiB", None),
            ("1.5MiB", None),
            ("-1MiB", None),
            ("1 MiB", None),
            ("1MB", None),
            ("1mib", None),
            ("1MiB/s", None),
            ("18014398509481984KiB", None),
        ] {
            assert_eq!(parse(text), bytes, "{text}");
        }
    }
}
