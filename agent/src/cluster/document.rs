//! What `--output=json` prints.

use anyhow::Context;
use serde::Serialize;

use crate::printable::printable_json;

/// The document, safe for a terminal.
pub(super) fn json(document: &impl Serialize) -> anyhow::Result<String> {
    let json = serde_json::to_string_pretty(document).context("failed to write JSON")?;
    Ok(printable_json(&json).into_owned() + "\n")
}
