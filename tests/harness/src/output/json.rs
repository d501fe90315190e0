//! Shortcuts to read JSON documents field by field.

use serde_json::Value;

/// The items of an array; nothing for any other value.
pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A string; an empty one for any other value.
#[must_use]
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
