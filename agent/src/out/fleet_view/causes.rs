//! Findings of all nodes, grouped: one cause for each registry and code.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    cli::runbooks::Runbook,
    out::summary::{FindingSummary, Summary},
};

/// More endpoints of a cause are not listed.
const MAX_ENDPOINTS: usize = 5;

/// What is wrong with one registry on some nodes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cause {
    pub registry: String,
    /// The code of the finding.
    pub code: String,
    pub severity: &'static str,
    /// What it is about, on any of the nodes.
    pub endpoints: BTreeSet<String>,
    /// Since when the first of the nodes has it.
    pub since: Option<Timestamp>,
    /// In the words of one of the nodes, else in those of the runbook.
    pub message: Option<String>,
    pub remedy: Option<String>,
    /// Their names, sorted.
    pub nodes: Vec<String>,
}

impl Cause {
    /// Its runbook, if this version knows the code.
    pub(crate) fn runbook(&self) -> Option<Runbook> {
        Runbook::named(&self.code)
    }

    pub(super) fn is_critical(&self) -> bool {
        self.severity == "critical"
    }
}

/// All causes: critical ones first, then those of more nodes.
pub(super) fn of(answers: &[&Summary]) -> Vec<Cause> {
    let mut causes: HashMap<(&str, &str), Cause> = HashMap::new();
    for summary in answers {
        for registry in &summary.registries {
            for finding in &registry.findings {
                let cause = causes
                    .entry((&registry.name, &finding.code))
                    .or_insert_with(|| empty(&registry.name, &finding.code));
                cause.add(&summary.node, finding);
            }
        }
    }
    let mut causes: Vec<_> = causes.into_values().collect();
    for cause in &mut causes {
        cause.nodes.sort_unstable();
        cause.nodes.dedup();
        if cause.message.is_none() {
            cause.message = cause.runbook().map(|runbook| runbook.about.to_owned());
        }
    }
    causes.sort_unstable_by(|a, b| {
        let order = b.is_critical().cmp(&a.is_critical());
        let order = order.then(b.nodes.len().cmp(&a.nodes.len()));
        order.then_with(|| (&a.registry, &a.code).cmp(&(&b.registry, &b.code)))
    });
    causes
}

fn empty(registry: &str, code: &str) -> Cause {
    Cause {
        registry: registry.to_owned(),
        code: code.to_owned(),
        severity: "warning",
        endpoints: BTreeSet::new(),
        since: None,
        message: None,
        remedy: None,
        nodes: Vec::new(),
    }
}

impl Cause {
    fn add(&mut self, node: &str, finding: &FindingSummary) {
        if finding.severity == "critical" {
            self.severity = "critical";
        }
        if self.endpoints.len() < MAX_ENDPOINTS {
            self.endpoints.insert(finding.endpoint.clone());
        }
        self.since = self.since.into_iter().chain(finding.since).min();
        if self.message.is_none() || (self.remedy.is_none() && finding.remedy.is_some()) {
            self.message = finding.message.clone().or_else(|| self.message.take());
            self.remedy = finding.remedy.clone();
        }
        self.nodes.push(node.to_owned());
    }
}
