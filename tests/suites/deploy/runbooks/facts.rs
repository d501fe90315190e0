//! The facts of the pages that were read or measured somewhere, with source and date, and the list of them
//! in the documentation.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use regprobe_harness::program::repository;
use serde::Deserialize;

use super::page::pages;

/// The front matter of a page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    facts: Vec<Fact>,
}

/// Something that can become wrong.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
struct Fact {
    fact: String,
    source: String,
    /// Year and month.
    checked: String,
}

/// `docs/facts.md` has each fact once, with the pages that rely on it.
pub(super) fn are_listed() -> Result<()> {
    let mut facts = BTreeMap::<Fact, Vec<String>>::new();
    for page in pages()? {
        if page.front_matter.is_empty() {
            continue;
        }
        let front_matter: FrontMatter =
            serde_yaml::from_str(&page.front_matter).with_context(|| page.name.clone())?;
        let name = page.name.trim_end_matches(".md").to_owned();
        for fact in front_matter.facts {
            facts.entry(fact).or_default().push(name.clone());
        }
    }
    let row = |(fact, pages): (&Fact, &Vec<String>)| {
        let [text, source, checked] = [&fact.fact, &fact.source, &fact.checked];
        format!("| {text} | {source} | {checked} | {} |", pages.join(", "))
    };
    let expected: Vec<_> = facts.iter().map(row).collect();
    let list = fs::read_to_string(repository("docs/facts.md"))?;
    let rows: Vec<_> = list
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
        .collect();
    ensure!(
        rows == expected,
        "the list should be\n{}",
        expected.join("\n")
    );
    Ok(())
}
