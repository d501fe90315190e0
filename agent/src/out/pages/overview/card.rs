//! One registry on the page: a card if something is wrong, else a row that opens.

use std::fmt::Display;

use jiff::Timestamp;

use super::{
    super::{
        findings,
        frame::in_query,
        html::Html,
        words::{Took, meaning, since, state, state_of},
    },
    path::path,
    strip::{self, ROUNDS},
};
use crate::out::{
    history::Kept,
    status::{EndpointStatus, RegistryStatus},
};

/// A registry with something to say. Its path is open from the start if `open` says so.
pub(super) fn card(
    html: &mut Html,
    seen: &RegistryStatus,
    open: bool,
    rounds: &[&Kept],
    now: Timestamp,
) {
    let class = format_args!("card {}", seen.condition);
    html.tag("section", &[("class", &class)], |html| {
        html.tag("div", &[("class", &"top")], |html| {
            state(html, seen.condition, state_of(seen));
            html.leaf("h2", &[], &seen.name);
            if seen.server != seen.name {
                html.leaf("span", &[], &seen.server);
            }
            if let Some(at) = seen.since {
                since(html, at, now);
            }
        });
        if let Some(unseen) = &seen.unseen {
            html.leaf(
                "p",
                &[("class", &"unseen")],
                format_args!("Not seen: {unseen}"),
            );
        }
        if seen.at.is_none() {
            html.leaf("p", &[], "The first round has not finished yet.");
            return;
        }
        findings::findings(html, seen, now);
        let inside = |html: &mut Html| {
            html.leaf("summary", &[], "Pull path");
            path(html, seen);
        };
        match open {
            true => html.tag("details", &[("open", &"")], inside),
            false => html.tag("details", &[], inside),
        }
        history(html, seen, rounds);
    });
}

/// A registry that works: one line, with the path and the rounds inside.
pub(super) fn row(html: &mut Html, seen: &RegistryStatus, rounds: &[&Kept], now: Timestamp) {
    html.tag("details", &[("class", &"registry")], |html| {
        html.tag("summary", &[], |html| {
            state(html, seen.condition, state_of(seen));
            html.leaf("b", &[], &seen.name);
            if let Some(seconds) = seen.endpoints.iter().find_map(time_to_answer) {
                html.leaf("small", &[], format_args!("{} to /v2/", Took(seconds)));
            }
            if let Some(until) = seen.endpoints.iter().filter_map(valid_until).min() {
                let day = until.strftime("%-d %b %Y");
                html.leaf("small", &[], format_args!("certificate until {day}"));
            }
        });
        if let Some(at) = seen.since {
            since(html, at, now);
        }
        path(html, seen);
        history(html, seen, rounds);
    });
}

/// Seconds from the question for the name to the answer to `/v2/`.
fn time_to_answer(seen: &EndpointStatus) -> Option<f64> {
    let stages = &seen.on_path()?.stages;
    let last = stages.iter().position(|stage| stage.stage == "challenge")?;
    let lookup = seen.lookup_of_path().and_then(|lookup| lookup.seconds);
    let stages = stages[..=last].iter().map(|stage| stage.seconds);
    Some(lookup.unwrap_or_default() + stages.sum::<f64>())
}

fn valid_until(seen: &EndpointStatus) -> Option<Timestamp> {
    let stages = seen.on_path()?.stages.iter();
    let leaves = stages.filter_map(|stage| stage.certificates.first());
    leaves.map(|leaf| leaf.not_after).min()
}

/// The last rounds: the registry's, and each endpoint's.
fn history(html: &mut Html, seen: &RegistryStatus, rounds: &[&Kept]) {
    let shown = &rounds[rounds.len().saturating_sub(ROUNDS)..];
    let name = in_query(&seen.name);
    let list = html.local(format_args!("rounds?registry={name}"));
    let ids: Vec<_> = shown.iter().map(|kept| kept.id.to_string()).collect();
    let ids = ids.join(" ");
    let strips: [(&'static str, &dyn Display); 2] = [("class", &"strips"), ("data-rounds", &ids)];
    html.tag("div", &strips, |html| {
        strip::of_registry(html, &list, seen, shown);
        strip::axis(html, shown);
        html.tag("details", &[], |html| {
            html.leaf("summary", &[], "Each endpoint");
            for (endpoint, place) in seen.endpoints.iter().zip(0..) {
                strip::of_endpoint(html, &list, endpoint, place, shown);
            }
            strip::axis(html, shown);
        });
    });
    html.tag("p", &[("class", &"notable")], |html| {
        html.text("Changes: ");
        let changed = rounds.iter().rev().filter(|kept| kept.changed());
        for kept in changed.take(6) {
            let href = html.local(format_args!("round/{}", kept.id));
            let at = kept.id.at().strftime("%m-%d %H:%M:%S").to_string();
            let label = format!("{at} {}", meaning(kept.condition.as_str()));
            html.leaf("a", &[("href", &href)], label);
            html.text(" ");
        }
        let label = format_args!("all rounds of {}", seen.name);
        html.leaf("a", &[("href", &list)], label);
    });
}
