//! What the runbooks say that containerd prints, compared with what it printed.

use std::fs;

use anyhow::{Context, Result, ensure};
use regprobe_harness::program::repository;
use regprobe_lab::scenario::{Does, Scenario};
use regprobe_lab::servers::Pull;

/// If containerd failed, the page of at least one of the findings has a text that it printed.
pub(super) fn quote(scenario: &Scenario, pull: &Pull) -> Result<()> {
    if scenario.containerd.does != Does::Fails || scenario.loud.is_empty() {
        return Ok(());
    }
    let mut quoted = Vec::new();
    for code in &scenario.loud {
        quoted.extend(texts(code)?);
    }
    ensure!(
        quoted.iter().any(|text| occurs(text, &pull.said)),
        "containerd prints none of {quoted:?}, which the runbooks say"
    );
    Ok(())
}

/// What the page of `code` says that containerd prints.
fn texts(code: &str) -> Result<Vec<String>> {
    let page = fs::read_to_string(repository("deploy/runbooks").join(format!("{code}.md")))?;
    let (_, prints) = page
        .split_once("\n**Containerd prints:**")
        .with_context(|| format!("{code}: no text of containerd"))?;
    let (prints, _) = prints.split_once("\n\n").context("no end")?;
    let prints = prints.replace('\n', " ");
    Ok(prints
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect())
}

/// Whether `text` is in `said`, where `…` and `<name>` stand for anything.
fn occurs(text: &str, said: &str) -> bool {
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
