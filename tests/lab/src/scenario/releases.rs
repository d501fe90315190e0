//! What differs between releases of containerd. A scenario says what happens with the newest, and under `until`
//! what is different with a release and all before it.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_yaml::{Mapping, Value};

use super::Scenario;
use crate::servers::Release;

/// What a release may change: what is done and said, and not the world.
const DIFFERENT: [&str; 6] = [
    "containerd",
    "verdict",
    "loud",
    "quiet",
    "unseen",
    "predicted_delay_seconds",
];

/// Reads a scenario with its differences.
pub(super) fn read(mut told: Value) -> Result<Scenario> {
    let differences = match told.as_mapping_mut() {
        Some(mapping) => mapping.remove("until"),
        None => None,
    };
    let mut scenario = one(told.clone())?;
    let mut differences: Vec<(Release, Mapping)> = match differences {
        Some(differences) => differences
            .as_mapping()
            .context("`until` is no mapping")?
            .iter()
            .map(difference)
            .collect::<Result<_>>()?,
        None => Vec::new(),
    };
    // What holds until 2.1 holds until 1.7, too, unless that says otherwise.
    differences.sort_by_key(|(last, _)| std::cmp::Reverse(*last));
    for (last, difference) in differences {
        merge(&mut told, difference);
        let older = one(told.clone()).with_context(|| format!("until {last}"))?;
        scenario.until.insert(0, (last, older));
    }
    Ok(scenario)
}

fn one(told: Value) -> Result<Scenario> {
    let scenario: Scenario = serde_yaml::with::singleton_map_recursive::deserialize(told)?;
    scenario.check()?;
    Ok(scenario)
}

fn difference((last, difference): (&Value, &Value)) -> Result<(Release, Mapping)> {
    let last = Release::deserialize(last).context("`until` an unknown release")?;
    ensure!(last < Release::NEWEST, "{last} is the newest");
    let difference = difference.as_mapping().context("no mapping")?.clone();
    for key in difference.keys() {
        let is_known = key.as_str().is_some_and(|key| DIFFERENT.contains(&key));
        ensure!(is_known, "{key:?} is the same with every release");
    }
    Ok((last, difference))
}

/// Replaces values; those of `containerd` one by one.
fn merge(told: &mut Value, difference: Mapping) {
    for (key, value) in difference {
        match (told.get_mut(&key), value) {
            (Some(Value::Mapping(told)), Value::Mapping(value)) => told.extend(value),
            (_, value) => told[&key] = value,
        }
    }
}
