//! Texts of containerd that the documentation quotes.

use std::fs;

use anyhow::{Context, Result};

use crate::program::repository;

/// What the runbook of a finding says that containerd prints.
pub fn of_page(code: &str) -> Result<Vec<String>> {
    let page = fs::read_to_string(repository("deploy/runbooks").join(format!("{code}.md")))?;
    let (_, prints) = page
        .split_once("\n**Containerd prints:**")
        .with_context(|| format!("{code}: no text of containerd"))?;
    let (prints, _) = prints.split_once("\n\n").context("no end")?;
    Ok(spans(&prints.replace('\n', " ")))
}

/// What stands in backticks.
#[must_use]
pub fn spans(text: &str) -> Vec<String> {
    let spans = text.split('`').skip(1).step_by(2);
    spans.map(str::to_owned).collect()
}

/// Whether `text` is in `said`, where `…` and `<name>` stand for anything.
#[must_use]
pub fn occurs(text: &str, said: &str) -> bool {
    let fixed = text
        .split(['…', '<'])
        .enumerate()
        .map(|(at, part)| match at {
            0 => part,
            _ => part.split_once('>').map_or(part, |(_, after)| after),
        });
    let mut rest = said;
    for part in fixed {
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    true
}
