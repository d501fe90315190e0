//! Findings: one headline for all names that have it, what to do, and what was seen.

use jiff::Timestamp;

use super::{
    frame::in_query,
    html::Html,
    words::{Sentence, condition_of, names, remedy, sign, since},
};
use crate::out::status::{FindingStatus, RegistryStatus};

/// The findings about `registry` that ask for something, worst first, as of `now`.
pub(super) fn findings(html: &mut Html, registry: &RegistryStatus, now: Timestamp) {
    let found = registry.findings.iter();
    let mut rest: Vec<_> = found.filter(|finding| finding.severity != "info").collect();
    while let Some(first) = rest.first().copied() {
        let is_same =
            |other: &&FindingStatus| (other.code, other.severity) == (first.code, first.severity);
        let (same, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_same);
        finding(html, registry, &same, now);
        rest = others;
    }
}

/// Findings that ask for nothing, in one line each.
pub(super) fn notes<'a>(html: &mut Html, registries: impl Iterator<Item = &'a RegistryStatus>) {
    let infos = registries.flat_map(|seen| {
        let infos = seen.findings.iter();
        infos
            .filter(|finding| finding.severity == "info")
            .map(move |finding| (&*seen.name, finding))
    });
    let infos: Vec<_> = infos.collect();
    if infos.is_empty() {
        return;
    }
    html.tag("section", &[("aria-labelledby", &"notes")], |html| {
        html.leaf("h2", &[("id", &"notes")], "Notes");
        html.tag("ul", &[("class", &"notes")], |html| {
            for (registry, finding) in infos {
                html.tag("li", &[], |html| {
                    let message = Sentence(&finding.message);
                    html.text(format_args!("{registry}: {message} "));
                    runbook(html, registry, finding.code, finding.code);
                });
            }
        });
    });
}

/// Findings of one code and severity.
fn finding(html: &mut Html, registry: &RegistryStatus, same: &[&FindingStatus], now: Timestamp) {
    let [first, others @ ..] = same else { return };
    let condition = condition_of(first.severity);
    let class = format_args!("finding {condition}");
    html.tag("article", &[("class", &class)], |html| {
        html.tag("h3", &[], |html| {
            sign(html, condition);
            html.text(Sentence(&first.message));
        });
        let mut also: Vec<_> = same
            .iter()
            .flat_map(|finding| std::iter::once(&finding.endpoint).chain(&finding.also))
            .filter(|endpoint| **endpoint != first.endpoint)
            .map(|endpoint| endpoint.strip_suffix(":443").unwrap_or(endpoint))
            .collect();
        also.dedup();
        if !also.is_empty() {
            let also = names(&also, "more names");
            html.leaf(
                "p",
                &[("class", &"also")],
                format_args!("The same for {also}."),
            );
        }
        remedy(html, &first.remedy);
        html.tag("div", &[("class", &"more")], |html| {
            evidence(html, first, others);
            if let Some(error) = same
                .iter()
                .find_map(|finding| finding.client_error.as_ref())
            {
                html.tag("details", &[], |html| {
                    html.leaf("summary", &[], "What the pod says");
                    html.leaf("code", &[], error);
                });
            }
            let label = format!("Runbook: {}", first.code);
            runbook(html, &registry.name, first.code, &label);
            let earliest = same.iter().map(|finding| finding.since).min();
            // The time of the registry is above.
            if let Some(at) = earliest.filter(|at| Some(*at) != registry.since) {
                since(html, at, now);
            }
        });
    });
}

fn evidence(html: &mut Html, first: &FindingStatus, others: &[&FindingStatus]) {
    html.tag("details", &[], |html| {
        html.leaf("summary", &[], "Evidence");
        html.tag("ul", &[], |html| {
            for evidence in &first.evidence {
                html.leaf("li", &[], evidence);
            }
            for other in others {
                html.leaf(
                    "li",
                    &[],
                    format_args!("{}: {}", other.endpoint, other.message),
                );
                for evidence in &other.evidence {
                    html.leaf("li", &[], evidence);
                }
            }
            if let Some(code) = first.health_check_code {
                let text = format_args!("az acr check-health prints: {code}");
                html.leaf("li", &[], text);
            }
        });
    });
}

/// A link to the page about `code`, which fills in what this node knows of `registry`.
fn runbook(html: &mut Html, registry: &str, code: &str, label: &str) {
    let registry = in_query(registry);
    let href = html.local(format_args!("runbook/{code}?registry={registry}"));
    html.leaf("a", &[("href", &href)], label);
}
