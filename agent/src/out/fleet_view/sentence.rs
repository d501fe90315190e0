//! The view in one sentence, and what it lacks in others.

use std::collections::HashMap;

use jiff::Timestamp;

use super::causes::Cause;
use crate::{out::summary::Summary, state::condition::Condition};

/// The one thing to know of `total` nodes.
pub(super) fn of(answers: &[&Summary], total: usize, causes: &[Cause], at: Timestamp) -> String {
    if answers.is_empty() {
        return match total {
            0 => "No agent is known.".to_owned(),
            _ => format!("None of {} answered.", nodes(total)),
        };
    }
    let of_total = format!("of {}", nodes(total));
    let count = |wanted| {
        answers
            .iter()
            .filter(|one| one.condition() == wanted)
            .count()
    };
    let failing = by_registry(answers, Condition::Failing);
    if let Some((registry, on)) = failing.first() {
        let cause = causes
            .iter()
            .find(|cause| cause.is_critical() && cause.registry == *registry);
        let cause = cause.map(|cause| format!(": {}{}", cause.code, since(cause.since, at)));
        let more = match failing.len() - 1 {
            0 => String::new(),
            1 => format!(" 1 more registry fails, on {}.", nodes(failing[1].1)),
            more => format!(" {more} more registries fail on some nodes."),
        };
        let cause = cause.unwrap_or_default();
        return format!("{on} {of_total} cannot pull from {registry}{cause}.{more}");
    }
    match (
        count(Condition::Failing),
        count(Condition::Unknown),
        count(Condition::Degraded),
    ) {
        (1.., _, _) => format!("{} {of_total} cannot pull.", count(Condition::Failing)),
        (_, 0, 0) if answers.len() == total => format!("All {} can pull.", nodes(total)),
        (_, 0, 0) => format!(
            "All {} of {total} that answered can pull.",
            nodes(answers.len())
        ),
        (_, 0, slow) => {
            let cause = causes.first();
            let cause = cause.map(|one| format!(": {}{}", one.code, since(one.since, at)));
            let cause = cause.unwrap_or_default();
            format!(
                "No node fails. {slow} {of_total} can pull, but something is wrong or slow{cause}."
            )
        }
        (_, unknown, _) => format!("No node fails. {unknown} {of_total} cannot tell."),
    }
}

/// Registries with the number of nodes that have them in this condition, the highest first.
fn by_registry<'a>(answers: &[&'a Summary], wanted: Condition) -> Vec<(&'a str, usize)> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for (name, condition) in answers.iter().flat_map(|summary| summary.conditions()) {
        if condition == wanted {
            *counts.entry(name).or_default() += 1;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_unstable_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then(a.cmp(b)));
    counts
}

/// How many did not answer.
pub(super) fn silence(silent: usize) -> Option<String> {
    (silent > 0).then(|| format!("{} did not answer.", nodes(silent)))
}

/// How far the agents have been asked.
pub(super) fn progress(answered: usize, total: usize, awaited: usize) -> Option<String> {
    (awaited > 0).then(|| {
        format!("Not all agents have been asked yet: {answered} of {total} answered so far.")
    })
}

/// ` since 02:14 UTC`, with the date unless it is that of `at`.
pub(super) fn since(since: Option<Timestamp>, at: Timestamp) -> String {
    since.map_or_else(String::new, |since| format!(" since {}", clock(since, at)))
}

/// `02:14 UTC`, with the date unless it is that of `at`.
pub(super) fn clock(time: Timestamp, at: Timestamp) -> String {
    let date = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let form = match date(time) == date(at) {
        true => "%H:%M UTC",
        false => "%Y-%m-%d %H:%M UTC",
    };
    time.strftime(form).to_string()
}

/// `1 node`, `3 nodes`.
pub(crate) fn nodes(count: usize) -> String {
    match count {
        1 => "1 node".to_owned(),
        many => format!("{many} nodes"),
    }
}
