//! The last rounds as strips over a time axis. Each round is a bar whose height and colour show its condition;
//! in the strip of an endpoint a line shows the time to connect.

use std::fmt::Write;

use super::super::{
    html::Html,
    words::{Took, meaning},
};
use crate::{
    out::{
        history::Kept,
        status::{EndpointStatus, RegistryStatus},
    },
    state::condition::{Condition, EndpointCondition},
};

/// Rounds that a strip shows.
pub(super) const ROUNDS: usize = 60;
/// Width of one bar and the gap after it.
const STEP: usize = 5;
const BARS: usize = 16;
const HEIGHT: usize = 34;

/// The conditions of a registry after its `rounds`, the oldest first, with a link to their `list`.
pub(super) fn of_registry(html: &mut Html, list: &str, seen: &RegistryStatus, rounds: &[&Kept]) {
    let cells = rounds.iter().map(|kept| {
        Some(EndpointCondition {
            condition: kept.condition,
            failure: None,
            micros: None,
        })
    });
    strip(html, list, &seen.name, &cells.collect::<Vec<_>>());
}

/// The strip of one endpoint, which is at this `place` among those of its registry.
pub(super) fn of_endpoint(
    html: &mut Html,
    list: &str,
    seen: &EndpointStatus,
    place: usize,
    rounds: &[&Kept],
) {
    let cells = rounds.iter().map(|kept| fared(seen, place, kept));
    let cells: Vec<_> = cells.collect();
    html.leaf("p", &[], format_args!("{} {}", seen.role, seen.endpoint));
    strip(html, list, &seen.endpoint, &cells);
}

/// The times of the first round and of the last.
pub(super) fn axis(html: &mut Html, rounds: &[&Kept]) {
    let [first, ..] = rounds else { return };
    html.tag("p", &[("class", &"axis")], |html| {
        let at = first.id.at();
        html.tag("span", &[], |html| {
            html.text(format_args!("{} rounds since ", rounds.len()));
            html.leaf("time", &[("datetime", &at)], at.strftime("%H:%M:%S UTC"));
        });
        html.leaf("span", &[], "last round");
    });
}

fn strip(html: &mut Html, list: &str, name: &str, cells: &[Option<EndpointCondition>]) {
    let width = ROUNDS * STEP;
    let line = line(cells);
    let height = if line.is_empty() { BARS } else { HEIGHT };
    html.tag("a", &[("href", &list), ("class", &"strip")], |html| {
        html.tag(
            "svg",
            &[
                ("viewBox", &format_args!("0 0 {width} {height}")),
                ("preserveAspectRatio", &"none"),
                ("role", &"img"),
                ("aria-label", &summary(name, cells)),
            ],
            |html| {
                for condition in [
                    Condition::Ok,
                    Condition::Degraded,
                    Condition::Unknown,
                    Condition::Failing,
                ] {
                    let bars = bars(cells, condition);
                    if !bars.is_empty() {
                        html.leaf("path", &[("class", &condition.as_str()), ("d", &bars)], "");
                    }
                }
                if !line.is_empty() {
                    html.leaf("path", &[("class", &"line"), ("d", &line)], "");
                }
            },
        );
    });
}

/// The strip in words, for people who cannot see it.
fn summary(name: &str, cells: &[Option<EndpointCondition>]) -> String {
    let mut text = format!("{name}, last {} rounds", cells.len());
    for (condition, mark) in [
        (Condition::Ok, ": "),
        (Condition::Degraded, ", "),
        (Condition::Unknown, ", "),
        (Condition::Failing, ", "),
    ] {
        let cells = cells.iter().flatten();
        let count = cells.filter(|cell| cell.condition == condition).count();
        let _ = write!(text, "{mark}{count} {}", meaning(condition.as_str()));
    }
    let times = cells.iter().flatten().filter_map(|cell| cell.micros);
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    if let Some(micros) = times.get(times.len() / 2) {
        let median = Took(f64::from(micros.get()) / 1e6);
        let _ = write!(text, "; median time to connect {median}");
    }
    text
}

/// Endpoints keep their place from round to round, except those that only some rounds reach.
fn fared(seen: &EndpointStatus, place: usize, kept: &Kept) -> Option<EndpointCondition> {
    let is_it = |(endpoint, _): &(&EndpointStatus, &EndpointCondition)| {
        endpoint.endpoint == seen.endpoint && endpoint.role == seen.role
    };
    let there = kept.endpoints().nth(place).filter(is_it);
    let (_, fared) = there.or_else(|| kept.endpoints().find(is_it))?;
    Some(*fared)
}

/// The last round is at the right edge.
fn places(
    cells: &[Option<EndpointCondition>],
) -> impl Iterator<Item = (usize, &EndpointCondition)> {
    let first = ROUNDS.saturating_sub(cells.len());
    let cells = cells.iter().enumerate();
    cells.filter_map(move |(place, cell)| Some(((first + place) * STEP, cell.as_ref()?)))
}

fn bars(cells: &[Option<EndpointCondition>], condition: Condition) -> String {
    let height = match condition {
        Condition::Ok => BARS / 3,
        Condition::Degraded | Condition::Unknown => BARS * 2 / 3,
        Condition::Failing => BARS,
    };
    let mut path = String::new();
    for (x, _) in places(cells).filter(|(_, cell)| cell.condition == condition) {
        let _ = write!(path, "M{x} {BARS}v-{height}h4v{height}z");
    }
    path
}

/// Has a gap where nothing was measured.
fn line(cells: &[Option<EndpointCondition>]) -> String {
    let micros = |cell: &EndpointCondition| cell.micros.map(|micros| micros.get() as usize);
    let most = places(cells).filter_map(|(_, cell)| micros(cell)).max();
    let most = most.unwrap_or(1);
    let mut path = String::new();
    let mut pen = 'M';
    for (x, cell) in places(cells) {
        let Some(micros) = micros(cell) else {
            pen = 'M';
            continue;
        };
        let y = HEIGHT - 1 - micros * (HEIGHT - BARS - 4) / most;
        let _ = write!(path, "{pen}{} {y}", x + 2);
        pen = 'L';
    }
    path
}
