//! What an outcome is compared with.

use std::time::Duration;

use jiff::Timestamp;

use crate::words::scope::Expectation;

/// What the configuration says of a registry, and the time.
#[derive(Clone, Debug)]
pub struct Expectations {
    /// Where its addresses should be.
    pub private: Expectation,
    /// Whether an anonymous token must be granted.
    pub anonymous_pull: bool,
    /// How long before its expiry a certificate is reported; zero never reports it.
    pub expiry_warning: Duration,
    /// How fast layers have to come, in bytes per second; `None` where that is not measured.
    pub floor: Option<u64>,
    /// The time of the round.
    pub now: Timestamp,
}
