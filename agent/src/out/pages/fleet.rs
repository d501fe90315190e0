//! The page of the whole fleet, `/fleet`: one sentence, the causes with their nodes, what differs between nodes
//! that fail and those that do not, and a matrix of nodes and registries. Its size has a bound: nodes that fail
//! come first, and those alike share a row.

use std::{collections::BTreeMap, fmt::Display};

use jiff::Timestamp;

use super::{
    frame::{HERE, frame},
    html::Html,
    words::{Sentence, Span, condition_of, meaning, remedy, since, state, time},
};
use crate::out::fleet_view::{Cause, Contrast, Difference, FleetView, NodeView};

/// The most links in a card, rows of nodes, rows of nodes alike, and links in all of those.
const CARD_LINKS: usize = 20;
const ROWS: usize = 100;
const GROUPS: usize = 50;
const GROUP_LINKS: usize = 500;

/// The page as of `now`.
pub(crate) fn fleet(view: &FleetView, now: Timestamp) -> String {
    frame(&format!("{} – regprobe", view.sentence), HERE, |html| {
        bar(html, view, now);
        html.tag("main", &[], |html| {
            html.tag("div", &[("role", &"status")], |html| {
                html.leaf("h1", &[("id", &"summary")], &view.sentence);
                for note in &view.notes {
                    html.leaf("p", &[("class", &"sub")], note);
                }
            });
            let nodes = view.nodes.iter();
            let pages = nodes.map(|node| (&*node.node, node.page.as_deref()));
            let pages = Pages(pages.collect());
            for cause in &view.causes {
                card(html, cause, &pages, now);
            }
            if view.causes_left_out > 0 {
                html.leaf(
                    "p",
                    &[],
                    format_args!("{} more causes.", view.causes_left_out),
                );
            }
            if let Some(contrast) = &view.contrast {
                differences(html, contrast);
            }
            matrix(html, view, &pages);
        });
    })
}

/// The address of each node's page.
struct Pages<'a>(BTreeMap<&'a str, Option<&'a str>>);

impl Pages<'_> {
    fn link(&self, html: &mut Html, node: &str) {
        match self.0.get(node).copied().flatten() {
            Some(page) => html.leaf("a", &[("href", &page)], node),
            None => html.leaf("span", &[], node),
        }
    }
}

fn bar(html: &mut Html, view: &FleetView, now: Timestamp) {
    html.tag("header", &[], |html| {
        html.leaf("b", &[], "All nodes");
        let counts = format_args!(
            "{} known, {} answered",
            view.nodes_total, view.nodes_answered
        );
        html.leaf("span", &[], counts);
        html.tag("span", &[], |html| {
            html.text("as of ");
            time(html, view.at);
            html.text(format_args!(" ({} ago)", Span(now.duration_since(view.at))));
        });
        html.tag("nav", &[("aria-label", &"Links")], |html| {
            for (path, label) in [
                ("", "This node"),
                ("runbooks", "Runbooks"),
                ("api/v1/fleet", "JSON"),
            ] {
                let href = html.local(path);
                html.leaf("a", &[("href", &href)], label);
            }
        });
    });
}

fn card(html: &mut Html, cause: &Cause, pages: &Pages<'_>, now: Timestamp) {
    let condition = condition_of(cause.severity);
    html.tag(
        "section",
        &[("class", &format_args!("card {condition}"))],
        |html| {
            html.tag("div", &[("class", &"top")], |html| {
                state(html, condition, meaning(condition));
                html.leaf("h2", &[], &cause.code);
                html.leaf("span", &[], &cause.registry);
                html.leaf("span", &[], count(cause.nodes.len()));
                if let Some(at) = cause.since {
                    since(html, at, now);
                }
            });
            if let Some(message) = &cause.message {
                html.tag("p", &[], |html| html.leaf("b", &[], Sentence(message)));
            }
            let endpoints: Vec<_> = cause.endpoints.iter().map(String::as_str).collect();
            html.leaf("p", &[("class", &"note")], endpoints.join(", "));
            if let Some(text) = &cause.remedy {
                remedy(html, text);
            }
            html.tag("p", &[("class", &"names")], |html| {
                for node in cause.nodes.iter().take(CARD_LINKS) {
                    pages.link(html, node);
                }
                more(html, cause.nodes.len(), CARD_LINKS);
            });
            if let Some(runbook) = cause.runbook() {
                let href = html.local(format_args!("runbook/{}", runbook.name));
                html.leaf(
                    "a",
                    &[("href", &href)],
                    format_args!("Runbook for {}", runbook.name),
                );
            }
        },
    );
}

fn differences(html: &mut Html, contrast: &Contrast) {
    let (title, these, others) = match contrast.condition {
        "failing" => (
            "What differs between nodes that fail and the others",
            "fail",
            "do not",
        ),
        _ => (
            "What differs between degraded nodes and the others",
            "are degraded",
            "are not",
        ),
    };
    html.leaf("h2", &[("id", &"differs")], title);
    if contrast.differences.is_empty() {
        let none = "Nothing in nameservers, subnet, proxy, node pool and version of the agent.";
        html.leaf("p", &[], none);
        return;
    }
    scrolling(html, &"differs", |html| {
        html.tag("table", &[("class", &"nodes")], |html| {
            html.tag("thead", &[], |html| {
                html.tag("tr", &[], |html| {
                    html.leaf("td", &[], "");
                    let these = format_args!("{} that {these}", contrast.nodes);
                    html.leaf("th", &[("scope", &"col")], these);
                    let others = format_args!("{} that {others}", contrast.others);
                    html.leaf("th", &[("scope", &"col")], others);
                });
            });
            html.tag("tbody", &[], |html| {
                for Difference {
                    what,
                    these,
                    others,
                    is_disjoint,
                } in &contrast.differences
                {
                    html.tag("tr", &[], |html| {
                        html.leaf("th", &[("scope", &"row")], what);
                        let element = if *is_disjoint { "b" } else { "span" };
                        html.tag("td", &[], |html| html.leaf(element, &[], values(these)));
                        html.leaf("td", &[], values(others));
                    });
                }
            });
        });
    });
}

fn values(values: &[(String, usize)]) -> String {
    let values = values
        .iter()
        .map(|(value, count)| format!("{value} ({count})"));
    match values.collect::<Vec<_>>() {
        none if none.is_empty() => "not known".to_owned(),
        values => values.join(", "),
    }
}

fn matrix(html: &mut Html, view: &FleetView, pages: &Pages<'_>) {
    html.leaf("h2", &[("id", &"nodes")], "Nodes");
    let stands_alone = |node: &&NodeView| !matches!(node.condition, Some("ok" | "degraded"));
    let alone = view.nodes.iter().filter(stands_alone);
    let alone: Vec<_> = alone.take(ROWS).collect();
    let rest = view.nodes.iter().filter(|node| !stands_alone(node));
    let rest = rest.chain(view.nodes.iter().filter(stands_alone).skip(ROWS));
    let mut groups: BTreeMap<_, Vec<&NodeView>> = BTreeMap::new();
    for node in rest {
        groups
            .entry((node.condition, &node.registries))
            .or_default()
            .push(node);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    scrolling(html, &"nodes", |html| {
        html.tag("table", &[("class", &"nodes")], |html| {
            html.tag("thead", &[], |html| {
                html.tag("tr", &[], |html| {
                    html.leaf("th", &[("scope", &"col")], "node");
                    for registry in &view.registries {
                        html.leaf("th", &[("scope", &"col")], registry);
                    }
                });
            });
            html.tag("tbody", &[], |html| {
                for node in &alone {
                    html.tag("tr", &[], |html| {
                        html.tag("th", &[("scope", &"row")], |html| {
                            pages.link(html, &node.node)
                        });
                        cells(html, view, node);
                    });
                }
                let mut links = GROUP_LINKS;
                for group in groups.iter().take(GROUPS) {
                    html.tag("tr", &[], |html| {
                        html.tag("th", &[("scope", &"row")], |html| {
                            alike(html, group, pages, &mut links);
                        });
                        cells(html, view, group[0]);
                    });
                }
            });
        });
    });
    let hidden: usize = groups.iter().skip(GROUPS).map(Vec::len).sum();
    let registries = view.registries_left_out;
    for (count, what) in [(hidden, "nodes"), (registries, "registries")] {
        if count > 0 {
            html.leaf(
                "p",
                &[("class", &"sub")],
                format_args!("{count} more {what} are not in this table."),
            );
        }
    }
}

/// Nodes with the same cells.
fn alike(html: &mut Html, group: &[&NodeView], pages: &Pages<'_>, links: &mut usize) {
    if let [node] = group {
        return pages.link(html, &node.node);
    }
    html.tag("details", &[], |html| {
        html.leaf("summary", &[], format_args!("{} alike", count(group.len())));
        let shown = group.len().min(*links).min(ROWS);
        *links -= shown;
        html.tag("p", &[("class", &"names")], |html| {
            for node in &group[..shown] {
                pages.link(html, &node.node);
            }
            more(html, group.len(), shown);
        });
    });
}

fn cells(html: &mut Html, view: &FleetView, node: &NodeView) {
    if let Some(why) = &node.no_answer {
        let columns = view.registries.len().max(1);
        html.tag("td", &[("colspan", &columns)], |html| {
            state(html, "unknown", "no answer");
            html.text(format_args!(" {why}"));
        });
        return;
    }
    for registry in &view.registries {
        html.tag("td", &[], |html| match node.registries.get(registry) {
            Some(condition) => state(html, condition, meaning(condition)),
            None => html.leaf("span", &[("class", &"sub")], "not listed"),
        });
    }
}

/// A part that is wider than a phone, and moves by itself, also by keyboard.
fn scrolling(html: &mut Html, labelled_by: &dyn Display, inside: impl FnOnce(&mut Html)) {
    let attributes: [(&'static str, &dyn Display); 4] = [
        ("class", &"scroll"),
        ("tabindex", &"0"),
        ("role", &"region"),
        ("aria-labelledby", labelled_by),
    ];
    html.tag("div", &attributes, inside);
}

fn more(html: &mut Html, total: usize, shown: usize) {
    if total > shown {
        let href = html.local("api/v1/fleet");
        html.leaf(
            "a",
            &[("href", &href)],
            format_args!("{} more", total - shown),
        );
    }
}

fn count(nodes: usize) -> String {
    match nodes {
        1 => "1 node".to_owned(),
        many => format!("{many} nodes"),
    }
}
