//! What the commands about the cluster print, and the exit status of a view.

use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use crate::{
    cli::DocumentOutput,
    out::{
        fleet_view::{self, FleetView},
        screen::Screen,
    },
    printable::printable_json,
    process::standard_streams::print,
};

/// Prints the view.
pub(super) fn show(view: &FleetView, output: DocumentOutput) -> anyhow::Result<ExitCode> {
    let text = match output {
        DocumentOutput::Text => fleet_view::text(view, Screen::of_stdout()),
        DocumentOutput::Json => json(view)?,
    };
    print(&text);
    Ok(ExitCode::from(match view.condition {
        "failing" => 1,
        "unknown" => 2,
        _ if view.nodes_answered < view.nodes_total => 2,
        _ => 0,
    }))
}

/// The document, safe for a terminal.
pub(super) fn json(document: &impl Serialize) -> anyhow::Result<String> {
    let json = serde_json::to_string_pretty(document).context("failed to write JSON")?;
    Ok(printable_json(&json).into_owned() + "\n")
}
