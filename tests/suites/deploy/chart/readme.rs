//! The table of values in the chart's README, made from `values.yaml`: each value, its default, and the
//! comment above it.

use std::env;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::helm::chart;

const START: &str = "<!-- Made from values.yaml; a test says how. -->\n";
/// A longer default is left to the file.
const LONGEST: usize = 60;

pub(crate) fn lists_the_values() -> Result<()> {
    let readme = chart().join("README.md");
    let text = fs::read_to_string(&readme)?;
    let (before, _) = text.split_once(START).context("no place for the table")?;
    let expected = format!("{before}{START}{}", table()?);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&readme, &expected)?;
    }
    ensure!(
        fs::read_to_string(&readme)? == expected,
        "the chart's README is older than values.yaml: UPDATE_GOLDEN=1 cargo test -p regprobe --test \
         deploy README writes it again"
    );
    Ok(())
}

fn table() -> Result<String> {
    let text = fs::read_to_string(chart().join("values.yaml"))?;
    let defaults: Value = serde_yaml::from_str(&text)?;
    let mut table = "\n| value | default | |\n|---|---|---|\n".to_owned();
    let mut comment = Vec::new();
    let mut above: Vec<&str> = Vec::new();
    // The comment at the top is about the file.
    let (_, values) = text.split_once("\n\n").context("no values")?;
    for line in values.lines() {
        let bare = line.trim_start();
        let depth = (line.len() - bare.len()) / 2;
        if let Some(words) = bare.strip_prefix('#') {
            // With two spaces and more, it is an example.
            if !words.starts_with("  ") {
                comment.push(words.trim());
            }
            continue;
        }
        let words = std::mem::take(&mut comment).join(" ");
        let Some((key, _)) = bare.split_once(':').filter(|_| !bare.starts_with('-')) else {
            continue;
        };
        above.truncate(depth);
        above.push(key);
        let pointer = format!("/{}", above.join("/"));
        // Keys in a list are not values of their own.
        let Some(default) = defaults.pointer(&pointer) else {
            continue;
        };
        let shown = default.to_string();
        let shown = match default {
            Value::Object(fields) if !fields.is_empty() && words.is_empty() => continue,
            Value::Object(fields) if !fields.is_empty() => String::new(),
            _ if shown.len() > LONGEST => "see values.yaml".to_owned(),
            _ => format!("`{shown}`"),
        };
        let words = words.replace('|', "\\|");
        table += &format!("| `{}` | {shown} | {words} |\n", above.join("."));
    }
    Ok(table)
}
