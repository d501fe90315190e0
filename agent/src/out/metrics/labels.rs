//! The labels of a series, as the text that a scrape shows.

use std::{fmt::Write, sync::Arc};

/// `registry="contoso",stage="tls"`, in the order in which the labels were added. Copies are cheap, so
/// the series of one thing share the text.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Labels(Arc<str>);

impl Labels {
    /// These labels and one more.
    pub(super) fn and(&self, name: &str, value: &str) -> Self {
        let mut text = String::with_capacity(self.0.len() + name.len() + value.len() + 4);
        text.push_str(&self.0);
        if !text.is_empty() {
            text.push(',');
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{name}=\"");
        for letter in value.chars() {
            match letter {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                letter => text.push(letter),
            }
        }
        text.push('"');
        Self(text.into())
    }

    /// As a scrape shows them, without braces.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}
