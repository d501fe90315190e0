//! Log lines, parsed as log collectors parse them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Key → value; both formats begin with `ts`, `level` and `msg`.
pub type Line = BTreeMap<String, String>;

pub fn parse(format: &str, lines: &[String]) -> Result<Vec<Line>> {
    let parse = match format {
        "json" => json,
        _ => logfmt,
    };
    let parse = |line: &String| {
        let read = parse(line).with_context(|| format!("cannot read {line:?}"))?;
        let has = |key| {
            read.get(key)
                .with_context(|| format!("{line:?} has no {key}"))
        };
        has("ts")?.parse::<jiff::Timestamp>()?;
        ensure!(
            ["error", "warn", "info", "debug"].contains(&&**has("level")?),
            "{line:?}"
        );
        has("msg")?;
        Ok(read)
    };
    lines.iter().map(parse).collect()
}

pub fn with_message<'a>(lines: &'a [Line], message: &'a str) -> impl Iterator<Item = &'a Line> {
    lines.iter().filter(move |line| line["msg"] == message)
}

fn json(line: &str) -> Result<Line> {
    let Value::Object(fields) = serde_json::from_str(line)? else {
        anyhow::bail!("not an object");
    };
    let mut line = Line::new();
    for (key, value) in fields {
        let value = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        line.insert(key, value);
    }
    Ok(line)
}

/// The format of github.com/go-logfmt/logfmt: words, or strings quoted as in JSON.
fn logfmt(line: &str) -> Result<Line> {
    let mut fields = Line::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').context("a key without a value")?;
        let end = match after.starts_with('"') {
            true => closing_quote(after).context("no closing quote")? + 1,
            false => after.find(' ').unwrap_or(after.len()),
        };
        let (value, after) = after.split_at(end);
        let value = match value.starts_with('"') {
            true => serde_json::from_str(value)?,
            false => value.to_owned(),
        };
        ensure!(!value.contains('\n') && !key.contains(['"', ' ']), "{key}");
        ensure!(
            fields.insert(key.to_owned(), value).is_none(),
            "{key} twice"
        );
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    Ok(fields)
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at),
            _ => {}
        }
    }
    None
}
