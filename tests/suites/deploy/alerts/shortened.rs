//! The committed rules and route with all durations shortened by the same factor, so that a test sees in
//! seconds what takes minutes in a cluster. Receivers get an address; nothing else changes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_yaml::Value;

use super::rules;

/// A minute becomes two seconds, so a scrape every second stands for one every 30 seconds.
pub(crate) const FACTOR: u32 = 30;

/// A duration from the committed files, shortened.
pub(crate) fn time(committed: &str) -> Result<Duration> {
    let (number, unit) = committed.split_at(committed.len().saturating_sub(1));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => bail!("{committed} has an unknown unit"),
    };
    let number: u32 = number.parse().with_context(|| committed.to_owned())?;
    Ok(Duration::from_secs(u64::from(number) * seconds) / FACTOR)
}

/// Writes rules and alerts to a folder, with `for` and the windows of the expressions shortened.
pub(crate) fn write_rules(folder: &Path) -> Result<()> {
    for name in ["rules.yaml", "alerts.yaml"] {
        let mut file: Value = serde_yaml::from_str(&fs::read_to_string(rules::file(name))?)?;
        let groups = file["groups"].as_sequence_mut().context("no groups")?;
        let all = groups
            .iter_mut()
            .filter_map(|group| group["rules"].as_sequence_mut());
        for rule in all.flatten() {
            rule["expr"] = windows(rule["expr"].as_str().context("no expr")?)?.into();
            if let Some(holds) = rule.get("for").and_then(Value::as_str) {
                rule["for"] = worded(holds)?.into();
            }
        }
        fs::write(folder.join(name), serde_yaml::to_string(&file)?)?;
    }
    Ok(())
}

/// Shortens every window in brackets.
fn windows(expr: &str) -> Result<String> {
    let mut pieces = expr.split('[');
    let mut shortened = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (window, rest) = piece.split_once(']').context("a bracket is not closed")?;
        shortened += &format!("[{}]{rest}", worded(window)?);
    }
    Ok(shortened)
}

/// Alertmanager's configuration: the committed route, and receivers that send to this address.
pub(crate) fn route(url: &str) -> Result<String> {
    let text = fs::read_to_string(rules::file("alertmanager.yaml"))?;
    let mut config: Value = serde_yaml::from_str(&text)?;
    shorten_times(&mut config["route"])?;
    for receiver in config["receivers"]
        .as_sequence_mut()
        .context("no receivers")?
    {
        receiver["webhook_configs"] = serde_yaml::from_str(&format!("[{{url: \"{url}\"}}]"))?;
    }
    Ok(serde_yaml::to_string(&config)?)
}

fn shorten_times(route: &mut Value) -> Result<()> {
    for key in ["group_wait", "group_interval", "repeat_interval"] {
        if let Some(committed) = route.get(key).and_then(Value::as_str) {
            route[key] = worded(committed)?.into();
        }
    }
    let below = route.get_mut("routes").and_then(Value::as_sequence_mut);
    below.into_iter().flatten().try_for_each(shorten_times)
}

fn worded(committed: &str) -> Result<String> {
    Ok(format!("{}ms", time(committed)?.as_millis()))
}
