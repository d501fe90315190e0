//! What differs between the nodes that fail, or else are degraded, and the others.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{out::summary::Summary, state::condition::Condition};

/// More values of a group are counted.
const MAX_VALUES: usize = 3;

/// Two groups of nodes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Contrast {
    /// What the nodes of the first group are: `failing`, or `degraded` where none fails.
    pub condition: &'static str,
    pub nodes: usize,
    pub others: usize,
    pub differences: Vec<Difference>,
}

/// Something that is not the same in both groups.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Difference {
    pub what: &'static str,
    /// The values of the first group with the number of nodes, the most frequent first.
    pub these: Vec<(String, usize)>,
    pub others: Vec<(String, usize)>,
    /// Whether no value is in both groups.
    pub is_disjoint: bool,
}

type Attribute = (&'static str, fn(&Summary) -> Option<String>);

const ATTRIBUTES: [Attribute; 5] = [
    ("nameservers", |summary| {
        let asked = !summary.nameservers.is_empty();
        asked.then(|| summary.nameservers.join(", "))
    }),
    ("subnet", |summary| summary.subnet.clone()),
    ("proxy", |summary| {
        Some(summary.proxy.clone().unwrap_or_else(|| "none".to_owned()))
    }),
    ("node pool", |summary| pool(&summary.node)),
    ("agent version", |summary| Some(summary.version.clone())),
];

/// `None` unless some nodes are worse than others.
pub(super) fn between(answers: &[&Summary]) -> Option<Contrast> {
    let worst = answers.iter().map(|summary| group(summary)).max()?;
    let (these, others): (Vec<&Summary>, Vec<&Summary>) =
        answers.iter().partition(|summary| group(summary) == worst);
    if others.is_empty() || worst == Condition::Ok {
        return None;
    }
    let differences = ATTRIBUTES.iter();
    let differences =
        differences.filter_map(|attribute| Difference::of(attribute, &these, &others));
    Some(Contrast {
        condition: worst.as_str(),
        nodes: these.len(),
        others: others.len(),
        differences: differences.collect(),
    })
}

/// An agent that cannot tell says nothing about what is wrong.
fn group(summary: &Summary) -> Condition {
    match summary.condition() {
        Condition::Unknown => Condition::Ok,
        condition => condition,
    }
}

impl Difference {
    fn of((what, value): &Attribute, these: &[&Summary], others: &[&Summary]) -> Option<Self> {
        let (these, others) = (count(these, value), count(others, value));
        let is_same = these.keys().eq(others.keys());
        let is_disjoint = !these.keys().any(|value| others.contains_key(value));
        (!is_same && !these.is_empty()).then(|| Self {
            what,
            is_disjoint,
            these: most_frequent(these),
            others: most_frequent(others),
        })
    }
}

impl Contrast {
    /// What all nodes of the first group have and no other has.
    pub(super) fn sentence(&self) -> Option<String> {
        let common = self.differences.iter().filter(|one| one.is_disjoint);
        let common: Vec<_> = common
            .filter_map(|one| match &*one.these {
                [(value, count)] if *count == self.nodes => Some(format!("{} {value}", one.what)),
                _ => None,
            })
            .collect();
        let all = match self.nodes {
            1 => "It has".to_owned(),
            2 => "Both have".to_owned(),
            many => format!("All {many} have"),
        };
        let common = common.join(" and ");
        (!common.is_empty()).then(|| format!("{all} {common}; no other node that answered does."))
    }
}

fn count(nodes: &[&Summary], value: &fn(&Summary) -> Option<String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for value in nodes.iter().filter_map(|summary| value(summary)) {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

fn most_frequent(counts: BTreeMap<String, usize>) -> Vec<(String, usize)> {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_unstable_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then(a.cmp(b)));
    let more: usize = counts.iter().skip(MAX_VALUES).map(|(_, count)| count).sum();
    counts.truncate(MAX_VALUES);
    if more > 0 {
        counts.push(("others".to_owned(), more));
    }
    counts
}

/// The node pool in a name that AKS gave: `aks-POOL-NUMBER-vmssXXXXXX`.
fn pool(node: &str) -> Option<String> {
    let parts: Vec<_> = node.split('-').collect();
    match &*parts {
        ["aks", pool @ .., number, machine]
            if machine.starts_with("vmss")
                && !pool.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Some(pool.join("-"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::pool;

    #[test]
    fn a_node_pool_is_read_from_names_of_aks() {
        for (node, expected) in [
            ("aks-np1-12345678-vmss000004", Some("np1")),
            ("aks-12345678-vmss000004", None),
            ("ip-10-0-0-1.ec2.internal", None),
            ("", None),
        ] {
            assert_eq!(pool(node).as_deref(), expected, "{node}");
        }
    }
}
