//! What the runbooks and the README say that containerd prints, against what it printed in the fault lab.

use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use regprobe_harness::program::repository;
use regprobe_harness::quotes::{occurs, of_page, spans};

use super::page::pages;

/// What the README has in place of the lab's names.
const NAMES: [(&str, &str); 2] = [("contoso", "myregistry"), ("*.azurecr.io", "<names>")];

pub(super) fn were_printed() -> Result<()> {
    let printed = fs::read_to_string(repository("tests/oracles/printed.txt"))?;
    let printed: Vec<_> = printed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let mut quoted = of_the_readme()?;
    for page in pages()? {
        let name = page.name.trim_end_matches(".md");
        if !page.is_guide() && !name.contains('/') {
            quoted.extend(
                of_page(name)?
                    .into_iter()
                    .map(|text| (name.to_owned(), text)),
            );
        }
    }
    ensure!(quoted.len() > 50, "{quoted:?}");
    quoted.retain(|(_, text)| !printed.iter().any(|line| occurs(text, line)));
    ensure!(quoted.is_empty(), "never printed: {quoted:#?}");
    Ok(())
}

/// The first column of its table of errors, with the lab's names.
fn of_the_readme() -> Result<Vec<(String, String)>> {
    let text = fs::read_to_string(repository("README.md"))?;
    let (_, table) = text
        .split_once("| in `kubectl describe pod` |")
        .context("no table")?;
    let rows = table
        .lines()
        .skip(2)
        .take_while(|row| row.starts_with("| "));
    let cells = rows.filter_map(|row| Some(row.split_once(" | ")?.0));
    let texts = cells.flat_map(spans).map(|text| {
        let text = NAMES
            .iter()
            .fold(text, |text, (theirs, ours)| text.replace(theirs, ours));
        ("README".to_owned(), without_addresses(&text))
    });
    Ok(texts.collect())
}

/// With `<ip>` for each address.
fn without_addresses(text: &str) -> String {
    let words = text.split_inclusive([' ', ':']).map(|word| {
        let bare = word.trim_end_matches([' ', ':']);
        match bare.parse::<Ipv4Addr>() {
            Ok(_) => word.replace(bare, "<ip>"),
            Err(_) => word.to_owned(),
        }
    });
    words.collect()
}
