//! The whole fleet, as it follows from what its agents say. Pure: the page, the text and the JSON document are
//! made from one [`FleetView`]. Agents are strangers here: each can only add what fits in a summary, and how
//! much of it is shown has a cap.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use serde::Serialize;

pub(crate) use self::{
    causes::Cause,
    differences::{Contrast, Difference},
    text::text,
};
use crate::{out::summary::Summary, state::condition::Condition};

mod causes;
mod differences;
mod sentence;
#[cfg(test)]
mod tests;
mod text;

const SCHEMA: &str = "regprobe-fleet/v1";
/// More causes and more registries than this are counted instead of shown.
const MAX_CAUSES: usize = 50;
const MAX_COLUMNS: usize = 12;

/// One agent and what came back from it.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// What to call its node without an answer: its name, else its address.
    pub called: String,
    /// The URL of its status page, if a reader may be able to open that.
    pub page: Option<String>,
    pub answer: Answer,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Summary(Arc<Summary>),
    /// Nothing that can be used, and why.
    Nothing(String),
    /// Nothing yet.
    Awaited,
}

/// The whole fleet.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FleetView {
    schema: &'static str,
    pub at: Timestamp,
    /// The one thing to know.
    pub sentence: String,
    /// What the nodes concerned have in common, and what this view lacks.
    pub notes: Vec<String>,
    pub condition: &'static str,
    pub nodes_total: usize,
    pub nodes_answered: usize,
    /// Not zero while agents are still being asked.
    pub nodes_awaited: usize,
    /// The worst first.
    pub causes: Vec<Cause>,
    pub causes_left_out: usize,
    /// `None` where there are not two kinds of nodes.
    pub contrast: Option<Contrast>,
    /// The columns of the matrix: registries that are not ok somewhere come first.
    pub registries: Vec<String>,
    pub registries_left_out: usize,
    /// The worst first, and by name. Agents that did not answer come after those that fail.
    pub nodes: Vec<NodeView>,
}

/// One node.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NodeView {
    pub node: String,
    /// The URL of its status page, for the agent that was asked relative to its own.
    pub page: Option<String>,
    /// The worst of its registries; null without an answer.
    pub condition: Option<&'static str>,
    /// Why there is no answer.
    pub no_answer: Option<String>,
    /// What it says of the registries of the view; a name that is absent was not listed.
    pub registries: BTreeMap<String, &'static str>,
    pub version: Option<String>,
    #[serde(skip)]
    rank: Rank,
}

/// The order of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Failing,
    NoAnswer,
    Unknown,
    Degraded,
    Ok,
}

impl FleetView {
    /// What follows from these answers. `missing` says what the list of agents itself lacks.
    pub(crate) fn of(heard: &[Heard], missing: Option<&str>, at: Timestamp) -> Self {
        let answers: Vec<&Summary> = heard.iter().filter_map(Heard::summary).collect();
        let awaited = heard.iter().filter(|one| one.is_awaited()).count();
        let columns = Columns::of(&answers);
        let mut nodes: Vec<_> = heard
            .iter()
            .filter(|one| !one.is_awaited())
            .map(|one| NodeView::of(one, &columns))
            .collect();
        nodes.sort_unstable_by(|a, b| (a.rank, &a.node, &a.page).cmp(&(b.rank, &b.node, &b.page)));
        let mut causes = causes::of(&answers);
        let causes_left_out = causes.len().saturating_sub(MAX_CAUSES);
        let contrast = differences::between(&answers);
        let sentence = sentence::of(&answers, heard.len(), &causes, at);
        causes.truncate(MAX_CAUSES);
        let mut notes: Vec<String> = contrast.iter().filter_map(Contrast::sentence).collect();
        notes.extend(sentence::silence(heard.len() - awaited - answers.len()));
        notes.extend(sentence::progress(answers.len(), heard.len(), awaited));
        notes.extend(missing.map(str::to_owned));
        let worst = answers.iter().map(|summary| summary.condition()).max();
        Self {
            schema: SCHEMA,
            at,
            sentence,
            notes,
            condition: worst.unwrap_or(Condition::Unknown).as_str(),
            nodes_total: heard.len(),
            nodes_answered: answers.len(),
            nodes_awaited: awaited,
            causes,
            causes_left_out,
            contrast,
            registries: columns.shown,
            registries_left_out: columns.left_out,
            nodes,
        }
    }

    /// Whether every agent was asked.
    pub(crate) fn is_complete(&self) -> bool {
        self.nodes_awaited == 0
    }
}

impl Heard {
    fn summary(&self) -> Option<&Summary> {
        match &self.answer {
            Answer::Summary(summary) => Some(summary),
            Answer::Nothing(_) | Answer::Awaited => None,
        }
    }

    fn is_awaited(&self) -> bool {
        matches!(self.answer, Answer::Awaited)
    }
}

impl NodeView {
    fn of(heard: &Heard, columns: &Columns) -> Self {
        let silent = Self {
            node: heard.called.clone(),
            page: heard.page.clone(),
            condition: None,
            no_answer: None,
            registries: BTreeMap::new(),
            version: None,
            rank: Rank::NoAnswer,
        };
        match &heard.answer {
            Answer::Summary(summary) => {
                let condition = summary.condition();
                Self {
                    node: summary.node.clone(),
                    condition: Some(condition.as_str()),
                    registries: columns.cells(summary),
                    version: Some(summary.version.clone()),
                    rank: Rank::of(condition),
                    ..silent
                }
            }
            Answer::Nothing(why) => Self {
                no_answer: Some(why.clone()),
                ..silent
            },
            Answer::Awaited => silent,
        }
    }
}

impl Rank {
    fn of(condition: Condition) -> Self {
        match condition {
            Condition::Failing => Self::Failing,
            Condition::Unknown => Self::Unknown,
            Condition::Degraded => Self::Degraded,
            Condition::Ok => Self::Ok,
        }
    }
}

/// Which registries the matrix shows.
struct Columns {
    shown: Vec<String>,
    left_out: usize,
}

impl Columns {
    fn of(answers: &[&Summary]) -> Self {
        // How many nodes name it, by the worst condition.
        let mut seen: HashMap<&str, (Condition, usize)> = HashMap::new();
        let listed = answers.iter().flat_map(|summary| summary.conditions());
        for (name, condition) in listed {
            let (worst, count) = seen.entry(name).or_insert((condition, 0));
            *worst = condition.max(*worst);
            *count += 1;
        }
        let mut names: Vec<_> = seen.into_iter().collect();
        // A name that few agents give stands behind those of the fleet.
        names.sort_unstable_by(|(a, (worst_a, count_a)), (b, (worst_b, count_b))| {
            let order = (*worst_b != Condition::Ok).cmp(&(*worst_a != Condition::Ok));
            order.then(count_b.cmp(count_a)).then(a.cmp(b))
        });
        let left_out = names.len().saturating_sub(MAX_COLUMNS);
        names.truncate(MAX_COLUMNS);
        Self {
            shown: names.into_iter().map(|(name, _)| name.to_owned()).collect(),
            left_out,
        }
    }

    fn cells(&self, summary: &Summary) -> BTreeMap<String, &'static str> {
        let of_registry: HashMap<_, _> = summary.conditions().collect();
        let shown = self.shown.iter();
        shown
            .filter_map(|name| Some((name.clone(), of_registry.get(name.as_str())?.as_str())))
            .collect()
    }
}
