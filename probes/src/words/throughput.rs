//! How fast layers have to come, and how fast they do.

use std::{fmt, time::Duration};

/// How much of a layer is downloaded, and how fast it has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throughput {
    /// Of the largest layer of the first image, at most. In bytes.
    pub bytes: u64,
    /// What is slower is a finding. In bytes per second.
    pub floor: u64,
}

impl Throughput {
    /// How long the download takes at the floor. What takes longer is slower, so nobody reads on.
    pub fn limit(&self) -> Duration {
        Duration::try_from_secs_f64(self.bytes as f64 / self.floor as f64).unwrap_or(Duration::MAX)
    }
}

/// The part of a layer that came behind its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Download {
    /// Without those that came first, when the clock started.
    pub bytes: u64,
    /// Until the last of them; never zero.
    pub took: Duration,
}

impl Download {
    /// In bytes per second.
    pub fn rate(&self) -> f64 {
        self.bytes as f64 / self.took.as_secs_f64()
    }
}

/// Bytes in the largest unit of which there is at least one: `97.3 KiB`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ByteCount(pub f64);

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, f64); 3] = [
            ("GiB", 1_073_741_824.0),
            ("MiB", 1_048_576.0),
            ("KiB", 1024.0),
        ];
        let fits = |(_, size): &&(&str, f64)| self.0 >= *size;
        let (unit, size) = UNITS.iter().find(fits).unwrap_or(&("B", 1.0));
        let count = (self.0 / size * 10.0).round() / 10.0;
        write!(f, "{count} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_time_at_the_floor() {
        let throughput = Throughput {
            bytes: 1024 * 1024,
            floor: 512 * 1024,
        };
        assert_eq!(throughput.limit(), Duration::from_secs(2));
    }

    #[test]
    fn counts_are_shown_in_the_largest_unit() {
        for (bytes, text) in [
            (0.0, "0 B"),
            (1023.0, "1023 B"),
            (1024.0, "1 KiB"),
            (99_635.2, "97.3 KiB"),
            (5.0 * 1024.0 * 1024.0, "5 MiB"),
            (3.0 * 1024.0 * 1024.0 * 1024.0, "3 GiB"),
        ] {
            assert_eq!(ByteCount(bytes).to_string(), text);
        }
    }
}
