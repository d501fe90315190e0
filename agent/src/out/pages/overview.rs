//! The status page, `/`: the condition of every registry, the findings, the path to each endpoint, and the
//! most recent rounds.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{
    findings,
    frame::{HERE, frame, in_query},
    html::Html,
    lane,
    strip::{self, ROUNDS},
    words::{Span, badge, time},
};
use crate::{
    out::{
        history::{History, Kept},
        status::RegistryStatus,
    },
    schedule::fleet::Fleet,
    state::{RoundId, Snapshot},
};

/// Up to this many endpoints every path is open from the start, above it only those of registries that are not
/// ok.
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
    let registries: Vec<_> = registries.map(|state| RegistryStatus::of(state)).collect();
    let summary = summary(&registries);
    frame(&format!("{summary} – {node} – regprobe"), HERE, |html| {
        header(html, node, started, snapshot, now);
        html.tag("main", &[], |html| {
            html.leaf("p", &[("id", &"summary"), ("role", &"status")], &summary);
            verdicts(html, &registries, now);
            findings(html, &registries, now);
            let endpoints: usize = registries.iter().map(|seen| seen.endpoints.len()).sum();
            let rounds = latest(history);
            for (seen, place) in registries.iter().zip(0..) {
                let open = endpoints <= OPEN || seen.condition != "ok";
                let rounds = rounds.get(&*seen.name).map_or(&[][..], Vec::as_slice);
                registry(html, seen, place, open, rounds);
            }
        });
    })
}

fn summary(registries: &[RegistryStatus]) -> String {
    let count = |word: &str| {
        registries
            .iter()
            .filter(|seen| seen.condition == word)
            .count()
    };
    let parts = ["failing", "degraded", "unknown", "ok"].map(|word| (count(word), word));
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    parts.join(", ")
}

fn header(html: &mut Html, node: &str, started: Timestamp, snapshot: &Snapshot, now: Timestamp) {
    html.tag("header", &[], |html| {
        html.tag("h1", &[], |html| {
            html.text("regprobe ");
            html.leaf("span", &[], node);
        });
        html.tag("p", &[("id", &"agent")], |html| {
            let up = Span(now.duration_since(started));
            html.text(format_args!(
                "version {}, up {up}; ",
                env!("CARGO_PKG_VERSION")
            ));
            match &snapshot.config {
                Some(config) if config.reload_error.is_none() => {
                    html.text("configuration loaded ");
                    time(html, config.loaded_at);
                }
                Some(config) => {
                    html.leaf("strong", &[], "failed to load the configuration: ");
                    html.text(config.reload_error.as_deref().unwrap_or_default());
                }
                None => html.text("no configuration loaded yet"),
            }
            if let Some(fleet) = snapshot.fleet.filter(Fleet::is_assumed) {
                html.text("; ");
                html.leaf("strong", &[], "the fleet is not counted");
                html.text(format_args!(
                    ": {} agents are assumed, so requests are rare",
                    fleet.size
                ));
            }
        });
        html.tag("nav", &[("aria-label", &"Links")], |html| {
            for (path, label) in [
                ("metrics", "Metrics"),
                ("api/v1/status", "JSON"),
                ("api/v1/bundle", "Support bundle"),
                ("runbooks", "Runbooks"),
            ] {
                let href = html.local(path);
                html.leaf("a", &[("href", &href)], label);
            }
        });
    });
}

fn verdicts(html: &mut Html, registries: &[RegistryStatus], now: Timestamp) {
    html.tag(
        "ul",
        &[("class", &"verdicts"), ("id", &"verdicts")],
        |html| {
            for (seen, place) in registries.iter().zip(0..) {
                html.tag("li", &[], |html| {
                    badge(html, seen.condition);
                    html.text(" ");
                    html.leaf("a", &[("href", &format_args!("#r{place}"))], &seen.name);
                    if let Some(since) = seen.since {
                        html.text(format_args!(" for {}", Span(now.duration_since(since))));
                    }
                });
            }
        },
    );
}

fn findings(html: &mut Html, registries: &[RegistryStatus], now: Timestamp) {
    let total: usize = registries.iter().map(|seen| seen.findings.len()).sum();
    html.tag(
        "section",
        &[("id", &"findings"), ("aria-labelledby", &"f")],
        |html| {
            html.leaf("h2", &[("id", &"f")], "Findings");
            if total == 0 {
                html.leaf("p", &[], "No findings.");
                return;
            }
            html.tag("ul", &[("class", &"findings")], |html| {
                for severity in ["critical", "warning", "info"] {
                    for seen in registries {
                        let these = seen.findings.iter().filter(|f| f.severity == severity);
                        these.for_each(|finding| findings::card(html, &seen.name, finding, now));
                    }
                }
            });
        },
    );
}

fn registry(html: &mut Html, seen: &RegistryStatus, place: usize, open: bool, rounds: &[&Kept]) {
    let heading = format!("r{place}");
    let attributes: [(&'static str, &dyn std::fmt::Display); 2] =
        [("class", &"registry"), ("aria-labelledby", &heading)];
    html.tag("section", &attributes, |html| {
        html.tag("h2", &[("id", &heading)], |html| {
            badge(html, seen.condition);
            html.text(format_args!(" {}", seen.name));
        });
        if seen.server != seen.name {
            html.leaf("p", &[("class", &"where")], &seen.server);
        }
        if let Some(unseen) = &seen.unseen {
            html.leaf("p", &[], format_args!("Not seen: {unseen}"));
        }
        if seen.endpoints.is_empty() {
            html.leaf("p", &[], "The first round has not finished yet.");
            return;
        }
        let path = |html: &mut Html| {
            html.leaf("summary", &[], "Pull path");
            html.tag("div", &[("class", &"lanes")], |html| {
                seen.endpoints
                    .iter()
                    .for_each(|seen| lane::lane(html, seen));
            });
        };
        match open {
            true => html.tag("details", &[("open", &"")], path),
            false => html.tag("details", &[], path),
        }
        strips(html, seen, rounds);
    });
}

fn strips(html: &mut Html, seen: &RegistryStatus, rounds: &[&Kept]) {
    let shown = &rounds[rounds.len().saturating_sub(ROUNDS)..];
    let name = in_query(&seen.name);
    let list = html.local(format_args!("rounds?registry={name}"));
    let ids: Vec<_> = shown.iter().map(|kept| kept.id.to_string()).collect();
    html.leaf("h3", &[], "Recent rounds");
    html.tag(
        "div",
        &[("class", &"strips"), ("data-rounds", &ids.join(" "))],
        |html| {
            for (endpoint, place) in seen.endpoints.iter().zip(0..) {
                html.leaf(
                    "span",
                    &[],
                    format_args!("{} {}", endpoint.role, endpoint.endpoint),
                );
                html.tag("a", &[("href", &list), ("class", &"strip")], |html| {
                    strip::strip(html, endpoint, place, shown);
                });
            }
        },
    );
    html.tag("p", &[("class", &"notable")], |html| {
        html.text("Changes: ");
        let changed = rounds.iter().rev().filter(|kept| kept.changed());
        for kept in changed.take(6) {
            let href = html.local(format_args!("round/{}", kept.id));
            let at = kept.id.at().strftime("%m-%d %H:%M:%S").to_string();
            let label = format!("{at} {}", kept.condition.as_str());
            html.leaf("a", &[("href", &href)], label);
            html.text(" ");
        }
        html.leaf(
            "a",
            &[("href", &list)],
            format_args!("all rounds of {}", seen.name),
        );
    });
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

    use super::*;
    use crate::{
        changes::between,
        out::{history::SharedHistory, pages::ASSETS},
        plan::PlannedRegistry,
        state::RegistryState,
        state::story,
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
        assert_eq!(page.matches("<div class=\"lane ").count(), 50);
        let files: usize = ASSETS.iter().map(|asset| asset.content.len()).sum();
        assert!(page.len() + files < 300_000, "{} bytes", page.len() + files);
    }
}
