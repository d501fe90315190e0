//! The documentation of the alerts, and its links: the README of the rules, and every link in the
//! repository to another of its files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use regprobe_harness::program::repository;
use regprobe_probes::Code;

use super::rules::{self, Rule};
use super::runbooks::{ANY_CODE, ONLINE};

/// The table in the README has every alert, with its severities and its `for`.
pub(crate) fn readme_lists_the_rules() -> Result<()> {
    let readme = fs::read_to_string(rules::file("README.md"))?;
    let alerts = rules::alerts()?;
    let rows: Vec<_> = readme
        .lines()
        .filter(|line| line.starts_with("| `Regprobe"))
        .collect();
    let names: BTreeSet<_> = alerts.iter().map(|rule| &rule.alert).collect();
    ensure!(rows.len() == names.len(), "{} rows", rows.len());
    for name in names {
        let of_name = || alerts.iter().filter(move |rule| rule.alert == *name);
        let listed = |value: fn(&Rule) -> &str| {
            let mut values: Vec<_> = of_name().map(value).collect();
            values.dedup();
            values.join(", ")
        };
        let severities = listed(|rule| rule.labels.get("severity").map_or("", String::as_str));
        let start = format!(
            "| `{name}` | {severities} | {} | ",
            listed(|rule| &rule.holds)
        );
        ensure!(
            rows.iter().any(|row| row.starts_with(&start)),
            "no row {start}"
        );
    }
    for rule in rules::recording_rules()? {
        let (level, operations) = rule.record.rsplit_once(':').context("no level")?;
        ensure!(
            readme.contains(&format!("`{}`", rule.record))
                || readme.contains(&format!("`{level}:"))
                    && readme.contains(&format!("`:{operations}`")),
            "{} is not listed",
            rule.record
        );
    }
    Ok(())
}

/// Every link to a file of the repository, by URL or by relative path, has a target.
pub(crate) fn links_lead_somewhere() -> Result<()> {
    let mut links = 0;
    for file in texts(&repository(""))? {
        let mut text = fs::read_to_string(&file)?;
        for code in ANY_CODE {
            text = text.replace(code, Code::Throttled.as_str());
        }
        let online = text
            .split(ONLINE)
            .skip(1)
            .map(|rest| repository(until_end(rest)));
        let folder = file.parent().unwrap_or_else(|| Path::new("."));
        let is_page = file.extension().is_some_and(|extension| extension == "md");
        let beside = ["](", "]: "]
            .iter()
            .flat_map(|start| text.split(start).skip(1));
        let beside = beside
            .map(until_end)
            .filter(|target| is_page && is_file(target));
        for target in online.chain(beside.map(|target| folder.join(target))) {
            ensure!(
                target.exists(),
                "{} leads to {}",
                file.display(),
                target.display()
            );
            links += 1;
        }
    }
    ensure!(links > 100, "only {links} links");
    Ok(())
}

/// The link target, up to its end or its fragment.
fn until_end(text: &str) -> &str {
    let is_end = |letter: char| letter.is_whitespace() || "\"'`)>#\\".contains(letter);
    text.split(is_end).next().unwrap_or_default()
}

fn is_file(target: &str) -> bool {
    !target.is_empty() && !target.contains("://")
}

/// The files that contain links: pages, and what links to them.
fn texts(folder: &Path) -> Result<Vec<PathBuf>> {
    const KINDS: [&str; 5] = ["md", "yaml", "json", "rs", "html"];
    const OTHERS: [&str; 4] = ["target", "node_modules", "layer", "python"];
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !OTHERS.contains(&&*name) {
                texts.extend(self::texts(&path)?);
            }
        } else if KINDS.contains(&&*path.extension().unwrap_or_default().to_string_lossy()) {
            texts.push(path);
        }
    }
    Ok(texts)
}
