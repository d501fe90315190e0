//! The status page, `/`: whether this node can pull, from where it cannot and what to do; then the path to each
//! endpoint and the most recent rounds.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{
    findings,
    frame::{HERE, frame},
    html::Html,
    words::{Span, time},
};
use crate::{
    out::{
        history::{History, Kept},
        status::RegistryStatus,
    },
    schedule::fleet::Fleet,
    state::{RoundId, Snapshot},
};

mod card;
mod headline;
mod path;
mod strip;

/// Up to this many endpoints every path is open from the start, above it only those of registries from which
/// this node cannot pull.
const OPEN: usize = 12;

/// The page of the agent on `node`, which has run since `started`.
pub(crate) fn overview(
    node: &str,
    started: Timestamp,
    snapshot: &Snapshot,
    history: &History,
    now: Timestamp,
) -> String {
    let registries = snapshot.registries.iter();
    let mut registries: Vec<_> = registries.map(|state| RegistryStatus::of(state)).collect();
    registries.sort_by_key(|seen| urgency(seen.condition));
    let headline = headline::headline(&registries);
    frame(&format!("{} – {node}", headline.title), HERE, |html| {
        header(html, node, started, &registries, now);
        html.tag("main", &[], |html| {
            banners(html, snapshot);
            html.tag("div", &[("role", &"status")], |html| {
                html.leaf("h1", &[("id", &"summary")], &headline.verdict);
                html.leaf("p", &[("class", &"sub")], &headline.rest);
            });
            let endpoints: usize = registries.iter().map(|seen| seen.endpoints.len()).sum();
            let rounds = latest(history);
            let rounds = |seen: &RegistryStatus| {
                let rounds = rounds.get(&*seen.name);
                rounds.map_or(&[][..], Vec::as_slice)
            };
            let (working, others): (Vec<_>, Vec<_>) =
                registries.iter().partition(|seen| seen.condition == "ok");
            for seen in others {
                let open = endpoints <= OPEN || seen.condition == "failing";
                card::card(html, seen, open, rounds(seen), now);
            }
            if !working.is_empty() {
                html.leaf("h2", &[], "Working");
                html.tag("div", &[("class", &"rows")], |html| {
                    for seen in working {
                        card::row(html, seen, rounds(seen), now);
                    }
                });
            }
            findings::notes(html, registries.iter());
        });
    })
}

/// The order of registries on the page.
fn urgency(condition: &str) -> u8 {
    match condition {
        "failing" => 0,
        "unknown" => 1,
        "degraded" => 2,
        _ => 3,
    }
}

fn header(
    html: &mut Html,
    node: &str,
    started: Timestamp,
    registries: &[RegistryStatus],
    now: Timestamp,
) {
    html.tag("header", &[], |html| {
        html.leaf("b", &[], node);
        if let Some(at) = registries.iter().filter_map(|seen| seen.at).max() {
            html.tag("span", &[], |html| {
                html.text("updated ");
                html.tag("span", &[("id", &"updated")], |html| time(html, at));
            });
        }
        let up = Span(now.duration_since(started));
        let version = env!("CARGO_PKG_VERSION");
        html.leaf("span", &[], format_args!("regprobe {version}, up {up}"));
        html.tag("nav", &[("aria-label", &"Links")], |html| {
            for (path, label) in [
                ("fleet", "All nodes"),
                ("runbooks", "Runbooks"),
                ("metrics", "Metrics"),
                ("api/v1/status", "JSON"),
                ("api/v1/bundle", "Support bundle"),
            ] {
                let href = html.local(path);
                html.leaf("a", &[("href", &href)], label);
            }
        });
    });
}

/// What is wrong with the agent itself.
fn banners(html: &mut Html, snapshot: &Snapshot) {
    let failed = snapshot.config.as_ref();
    if let Some((config, error)) =
        failed.and_then(|config| Some((config, config.reload_error.as_ref()?)))
    {
        html.tag("div", &[("class", &"banner")], |html| {
            html.leaf("b", &[], "The configuration could not be loaded.");
            html.text(" The agent continues with the one loaded at ");
            time(html, config.loaded_at);
            html.text(".");
            html.leaf("code", &[], error);
        });
    }
    if let Some(fleet) = snapshot.fleet.filter(Fleet::is_assumed) {
        html.tag("div", &[("class", &"banner")], |html| {
            html.leaf("b", &[], "The fleet is not counted.");
            html.text(format_args!(
                " This agent assumes {} agents, so its requests are rare. Set fleet.service, or fleet.size.",
                fleet.size
            ));
        });
    }
}

/// The rounds of each registry, the oldest first.
fn latest(history: &History) -> HashMap<&str, Vec<&Kept>> {
    let mut rounds: HashMap<_, Vec<_>> = HashMap::new();
    for kept in history.since(RoundId::FIRST) {
        rounds.entry(kept.registry()).or_default().push(kept);
    }
    rounds
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::SignedDuration;

    use super::{strip::ROUNDS, *};
    use crate::{
        out::{history::SharedHistory, pages::ASSETS},
        plan::PlannedRegistry,
        state::{RegistryState, changes::between, story},
    };

    /// The registry of [`story::failing`] under another name, after a later round.
    fn another(number: u32, round: u32) -> RegistryState {
        let mut state = RegistryState::clone(&story::failing());
        state.planned = Arc::new(PlannedRegistry {
            name: format!("myregistry{number}").into(),
            target: state.planned.target.clone(),
            server: state.planned.server.clone(),
            expectation: state.planned.expectation.clone(),
            ..*state.planned
        });
        state.round_mut().at += SignedDuration::from_secs((15 * round).into());
        state
    }

    #[test]
    fn the_page_of_fifty_failing_endpoints_is_smaller_than_300_kb() {
        let history = SharedHistory::new(64 << 20);
        for round in 0..=ROUNDS as u32 {
            for number in 0..25 {
                let (before, now) = (another(number, round.max(1) - 1), another(number, round));
                let before = before.round.as_deref().filter(|_| round > 0);
                let changes = between(before, now.round.as_ref().unwrap());
                history.open().add(&now, &changes);
            }
        }
        let states = (0..25).map(|number| Arc::new(another(number, ROUNDS as u32)));
        let snapshot = Snapshot::once(states.collect());
        let now = Timestamp::now();
        let page = overview("node-1", now, &snapshot, &history.open(), now);
        assert_eq!(page.matches("<div class=\"endpoint ").count(), 50);
        let files: usize = ASSETS.iter().map(|asset| asset.content.len()).sum();
        assert!(page.len() + files < 300_000, "{} bytes", page.len() + files);
    }
}
