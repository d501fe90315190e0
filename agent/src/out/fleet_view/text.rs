//! The view at a terminal.

use anstyle::{AnsiColor, Style};

use super::{
    FleetView, NodeView,
    sentence::{nodes, since},
};
use crate::out::screen::{BOLD, Layout, PLAIN, Screen};

/// More nodes in a list, and more rows of the matrix, are counted.
const MAX_NAMES: usize = 20;
const MAX_ROWS: usize = 50;

/// The view as text.
pub(crate) fn text(view: &FleetView, screen: Screen) -> String {
    let mut layout = Layout::new(screen);
    let word = view.condition.to_uppercase();
    layout
        .line(0, 2)
        .cell(0, style(Some(view.condition)), &word)
        .words(2, &view.sentence);
    for note in &view.notes {
        layout.line(2, 2).words(0, note);
    }
    for cause in &view.causes {
        layout.gap();
        let held = format!(
            "{}{}",
            nodes(cause.nodes.len()),
            since(cause.since, view.at)
        );
        layout
            .line(0, 4)
            .cell(
                0,
                style(Some(cause.severity)),
                &cause.severity.to_uppercase(),
            )
            .cell(1, BOLD, &cause.code)
            .cell(2, PLAIN, &cause.registry)
            .words(2, &held);
        let endpoints: Vec<_> = cause.endpoints.iter().map(String::as_str).collect();
        layout.line(2, 4).words(0, &endpoints.join(", "));
        if let Some(message) = &cause.message {
            layout.line(2, 4).words(0, message);
        }
        if let Some(remedy) = &cause.remedy {
            layout.line(2, 4).cell(0, PLAIN, "do:").words(1, remedy);
        }
        layout
            .line(2, 4)
            .cell(0, PLAIN, "nodes:")
            .words(1, &names(&cause.nodes));
        if let Some(runbook) = cause.runbook() {
            let command = format!("regprobe explain {}", runbook.name);
            layout.line(2, 4).cell(0, PLAIN, "more:").words(1, &command);
        }
    }
    if view.causes_left_out > 0 {
        layout.gap();
        let more = format!(
            "{} more causes: --output=json has all nodes",
            view.causes_left_out
        );
        layout.line(0, 2).words(0, &more);
    }
    contrast(&mut layout, view);
    matrix(&mut layout, view);
    layout.into_text()
}

fn contrast(layout: &mut Layout, view: &FleetView) {
    let Some(contrast) = &view.contrast else {
        return;
    };
    layout.gap();
    let what = match contrast.condition {
        "failing" => "fail",
        _ => "are degraded",
    };
    let (these, others) = (nodes(contrast.nodes), nodes(contrast.others));
    let title = format!("What differs between {these} that {what} and {others} that do not");
    layout.line(0, 2).cell(0, BOLD, &title);
    if contrast.differences.is_empty() {
        let none = "nothing in nameservers, subnet, proxy, node pool and version of the agent";
        layout.line(2, 4).words(0, none);
    }
    for difference in &contrast.differences {
        let (these, others) = (values(&difference.these), values(&difference.others));
        layout
            .line(2, 4)
            .cell(0, PLAIN, &format!("{}:", difference.what))
            .words(1, &format!("{these}; the others: {others}"));
    }
}

/// `10.1.0.10 (3), 10.1.0.11 (1)`.
fn values(values: &[(String, usize)]) -> String {
    let values = values
        .iter()
        .map(|(value, count)| format!("{value} ({count})"));
    let values: Vec<_> = values.collect();
    match values.is_empty() {
        true => "not known".to_owned(),
        false => values.join(", "),
    }
}

fn matrix(layout: &mut Layout, view: &FleetView) {
    let notable = |node: &&NodeView| node.condition != Some("ok");
    let (rows, alike): (Vec<&NodeView>, Vec<&NodeView>) = view.nodes.iter().partition(notable);
    layout.gap();
    for node in rows.iter().take(MAX_ROWS) {
        let word = node.condition.map_or("NO ANSWER", |condition| condition);
        let line = layout.line(0, 4).cell(0, BOLD, &node.node).cell(
            2,
            style(node.condition),
            &word.to_uppercase(),
        );
        let of_registry = node.registries.iter().filter(|(_, cell)| **cell != "ok");
        let cells: Vec<_> = of_registry
            .map(|(name, cell)| format!("{name} {cell}"))
            .collect();
        line.words(2, node.no_answer.as_deref().unwrap_or(&cells.join(", ")));
    }
    if let Some(more) = rows.len().checked_sub(MAX_ROWS).filter(|more| *more > 0) {
        let more = format!("{more} more: --output=json has all nodes");
        layout.line(0, 2).words(0, &more);
    }
    if !alike.is_empty() {
        let line = layout.line(0, 4).cell(0, PLAIN, &nodes(alike.len()));
        line.cell(2, style(Some("ok")), "OK");
    }
}

fn names(all: &[String]) -> String {
    let shown: Vec<_> = all.iter().take(MAX_NAMES).map(String::as_str).collect();
    match all.len().checked_sub(MAX_NAMES).filter(|more| *more > 0) {
        Some(more) => format!("{} and {more} more", shown.join(" ")),
        None => shown.join(" "),
    }
}

fn style(state: Option<&str>) -> Style {
    let colour = match state {
        Some("failing" | "critical") => AnsiColor::Red,
        Some("degraded" | "warning") => AnsiColor::Yellow,
        Some("ok") => AnsiColor::Green,
        _ => AnsiColor::Magenta,
    };
    colour.on_default().bold()
}
