//! With which credentials a kubelet pulls, in which order, and what a pod shows of those that fail: the real kubelet,
//! the credential provider of AKS nodes and containerd. The agent, with the same credentials, says what comes of it.

mod ground;
mod table;

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, ensure};
use regprobe_lab::servers::cluster::until;
use serde_json::Value;

use self::ground::Ground;
use self::table::{FINDINGS, PHASES, Phase, Row, Shows};
use super::ground::PATIENCE;

pub(super) fn decide() -> Result<()> {
    for finding in FINDINGS {
        let fails = |row: &Row| {
            let codes = row.agent.map_or(&[][..], |(_, codes)| codes);
            codes.contains(&finding) && !matches!(row.shows, Shows::Runs)
        };
        let has_row = PHASES.iter().flat_map(|phase| phase.rows).any(fails);
        ensure!(has_row, "no pull fails by {finding}");
    }
    let ground = Ground::new()?;
    let mut faults = Vec::new();
    for phase in PHASES {
        let played = play(&ground, phase).with_context(|| ground.cluster.logs());
        faults.extend(played.with_context(|| phase.name)?);
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n\n"));
    Ok(())
}

/// What differs from the table. All rows wait at the same time.
fn play(ground: &Ground, phase: &Phase) -> Result<Vec<String>> {
    println!("{}", phase.name);
    ground.clear()?;
    (phase.arrange)(ground)?;
    let mut waiting: BTreeMap<_, _> = phase.rows.iter().map(|row| (row.name, row)).collect();
    for row in phase.rows {
        ground.start(row)?;
    }
    let awaited = until("every pod shows what is awaited", PATIENCE, || {
        let mut left = Vec::new();
        waiting.retain(|name, row| {
            let shown = ground
                .shown(name)
                .and_then(|shown| shown.expect(&row.shows));
            shown
                .map_err(|error| left.push(format!("{name}: {error:#}")))
                .is_err()
        });
        ensure!(left.is_empty(), "{}", left.join("\n\n"));
        Ok(())
    });
    let mut faults: Vec<_> = awaited
        .err()
        .map(|error| format!("{error:#}"))
        .into_iter()
        .collect();
    for row in phase.rows {
        let judged = judge_agent(ground, row).with_context(|| row.name);
        faults.extend(judged.err().map(|error| format!("{error:#}")));
        println!("  {:32} {}", row.name, row.shows);
    }
    Ok(faults)
}

/// What a pod shows of its pull.
struct Shown {
    is_running: bool,
    /// The reason and the message of its container's state.
    waiting: String,
    /// The reasons of its events.
    events: Vec<String>,
}

impl Shown {
    fn expect(&self, shows: &Shows) -> Result<()> {
        let has = |text| self.waiting.contains(text);
        let saw = |reason: &str| self.events.iter().any(|event| event == reason);
        let tokens = (
            has("failed to fetch oauth token"),
            has("failed to fetch anonymous token"),
        );
        let is_so = match shows {
            Shows::Runs => self.is_running && !saw("Failed"),
            Shows::Anonymous => tokens == (false, true),
            Shows::Offered => tokens == (true, false),
            Shows::Both => tokens == (true, true),
            Shows::Malformed(text) => has(text) && !saw("Pulling"),
            Shows::NoSuchSecret(shows) => {
                self.expect_event(saw("FailedToRetrieveImagePullSecret"))?;
                return self.expect(shows);
            }
        };
        self.expect_event(is_so)
    }

    fn expect_event(&self, is_so: bool) -> Result<()> {
        let Self {
            is_running,
            waiting,
            events,
        } = self;
        ensure!(
            is_so,
            "running: {is_running}, waiting: {waiting:?}, events: {events:?}"
        );
        Ok(())
    }
}

impl fmt::Display for Shows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs => f.write_str("pulled"),
            Self::Anonymous => f.write_str("failed to fetch anonymous token"),
            Self::Offered => f.write_str("failed to fetch oauth token"),
            Self::Both => f.write_str("[… oauth token, … anonymous token]"),
            Self::Malformed(text) => f.write_str(text),
            Self::NoSuchSecret(shows) => write!(f, "FailedToRetrieveImagePullSecret, {shows}"),
        }
    }
}

/// With the same credentials, the agent says what comes of it.
fn judge_agent(ground: &Ground, row: &Row) -> Result<()> {
    let Some((verdict, codes)) = row.agent else {
        return Ok(());
    };
    let registry = ground.check(row)?["registries"][0].take();
    let findings = registry["findings"].as_array().into_iter().flatten();
    let loud = findings.filter(|finding| finding["severity"] != "info");
    let loud: Vec<_> = loud.map(|finding| finding["code"].clone()).collect();
    let is_so = registry["verdict"] == verdict
        && loud == codes.iter().copied().map(Value::from).collect::<Vec<_>>();
    ensure!(is_so, "not {verdict} {codes:?}: {registry:#}");
    Ok(())
}
