//! The last rounds of an endpoint as a strip. Each round is a bar whose height and colour show the condition
//! of the endpoint; below, a line shows the time to connect.

use std::fmt::Write;

use super::{html::Html, words::Took};
use crate::{
    out::{history::Kept, status::EndpointStatus},
    state::condition::{Condition, EndpointCondition},
};

/// Rounds that a strip shows.
pub(super) const ROUNDS: usize = 60;
/// Width of one bar and the gap after it.
const STEP: usize = 5;
const BARS: usize = 16;
const HEIGHT: usize = 34;

/// The strip of one endpoint over rounds of its registry, the oldest first.
pub(super) fn strip(html: &mut Html, seen: &EndpointStatus, place: usize, rounds: &[&Kept]) {
    let cells = rounds.iter().map(|kept| fared(seen, place, kept));
    let cells: Vec<_> = cells.collect();
    let width = ROUNDS * STEP;
    html.tag(
        "svg",
        &[
            ("viewBox", &format_args!("0 0 {width} {HEIGHT}")),
            ("role", &"img"),
            ("aria-label", &summary(&seen.endpoint, &cells)),
        ],
        |html| {
            for condition in [
                Condition::Ok,
                Condition::Degraded,
                Condition::Unknown,
                Condition::Failing,
            ] {
                let bars = bars(&cells, condition);
                if !bars.is_empty() {
                    html.leaf("path", &[("class", &condition.as_str()), ("d", &bars)], "");
                }
            }
            let line = line(&cells);
            if !line.is_empty() {
                html.leaf("path", &[("class", &"line"), ("d", &line)], "");
            }
        },
    );
}

/// The strip in words, for people who cannot see it.
fn summary(endpoint: &str, cells: &[Option<EndpointCondition>]) -> String {
    let count = |wanted| {
        let cells = cells.iter().flatten();
        cells.filter(|cell| cell.condition == wanted).count()
    };
    let mut times: Vec<_> = cells
        .iter()
        .flatten()
        .filter_map(|cell| cell.micros)
        .collect();
    times.sort_unstable();
    let median = times.get(times.len() / 2).map(|micros| {
        let seconds = f64::from(micros.get()) / 1e6;
        format!("; median time to connect {}", Took(seconds))
    });
    format!(
        "{endpoint}, last {} rounds: {} ok, {} degraded, {} failing{}",
        cells.len(),
        count(Condition::Ok),
        count(Condition::Degraded),
        count(Condition::Failing) + count(Condition::Unknown),
        median.unwrap_or_default(),
    )
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
