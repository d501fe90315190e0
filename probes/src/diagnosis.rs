//! What follows from an outcome. Pure: the same outcome always gives the same diagnosis.

use std::time::Duration;

use jiff::Timestamp;

pub use self::finding::{Code, Finding, Severity};
use crate::{outcome::Outcome, scope::Expectation};

mod finding;

/// What is expected of a registry, and when it was looked at.
#[derive(Clone, Debug)]
pub struct Expectations {
    /// Where its addresses should be.
    pub private: Expectation,
    /// Whether an anonymous token should be granted.
    pub anonymous_pull: bool,
    /// How long before its end a certificate is reported; zero never does.
    pub expiry_warning: Duration,
    /// The time to judge certificates by.
    pub now: Timestamp,
}

/// What is wrong with a registry, if anything is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// Worst first.
    pub findings: Vec<Finding>,
    /// How long a pull would wait for what does not answer, where that is known.
    pub predicted_pull_delay: Option<Duration>,
}

impl Diagnosis {
    /// Failing with a critical finding, degraded with a warning.
    pub fn verdict(&self) -> Verdict {
        match self.findings.iter().map(|finding| finding.severity).max() {
            Some(Severity::Critical) => Verdict::Failing,
            Some(Severity::Warning) => Verdict::Degraded,
            Some(Severity::Info) | None => Verdict::Ok,
        }
    }
}

/// What follows from `outcome`.
pub fn diagnose(_outcome: &Outcome, _expectations: &Expectations) -> Diagnosis {
    Diagnosis::default()
}

/// How a pull through a registry would fare from this node now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It would work.
    Ok,
    /// It would work, but something is wrong or slow.
    Degraded,
    /// It would fail.
    Failing,
}

impl Verdict {
    /// As the status document writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
        }
    }
}
