//! The status document of another agent, as far as others use it. Every field may be a lie, and is only shown.

use jiff::Timestamp;
use serde::Deserialize;

use super::SCHEMA;

/// The document.
#[derive(Debug, Deserialize)]
pub(crate) struct HeardStatus {
    schema: String,
    pub node: String,
    pub version: String,
    pub at: Timestamp,
    pub registries: Vec<HeardRegistry>,
}

/// One of its registries.
#[derive(Debug, Deserialize)]
pub(crate) struct HeardRegistry {
    pub name: String,
    pub server: String,
    pub condition: String,
    pub since: Option<Timestamp>,
    pub findings: Vec<HeardFinding>,
}

/// One of its findings.
#[derive(Debug, Deserialize)]
pub(crate) struct HeardFinding {
    pub code: String,
    pub severity: String,
    pub endpoint: String,
    pub stage: String,
    pub since: Timestamp,
    pub message: String,
    pub remedy: String,
}

impl HeardStatus {
    /// Reads it; `None` if it is no such document.
    pub(crate) fn read(document: &[u8]) -> Option<Self> {
        let status: Self = serde_json::from_slice(document).ok()?;
        (status.schema == SCHEMA).then_some(status)
    }
}

impl HeardFinding {
    /// Whether a pull fails for it alone.
    pub(crate) fn is_critical(&self) -> bool {
        self.severity == "critical"
    }
}
