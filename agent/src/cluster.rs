//! Commands about the whole cluster. `fleet` shows what all agents see: it asks them itself, or through
//! `kubectl`.

use std::{path::Path, process::ExitCode};

use anyhow::Context;

use crate::{
    cli::{DEFAULT_CONFIG, FleetArgs, FleetOutput},
    config,
    out::{
        fleet_view::{self, FleetView},
        screen::Screen,
    },
    printable::printable_json,
    process::standard_streams::print,
    web::peers,
};

mod agents;
mod kubectl;

/// Asks all agents once and prints what they see.
pub(crate) async fn fleet(args: FleetArgs) -> anyhow::Result<ExitCode> {
    let is_installed = || Path::new(DEFAULT_CONFIG).exists();
    let view = match args.config_file.as_deref() {
        None if args.kubectl || !is_installed() => agents::view(args.namespace.as_deref()).await?,
        file => {
            let config = config::load(file.unwrap_or_else(|| Path::new(DEFAULT_CONFIG)))?;
            let view = peers::view(&config.fleet).await;
            view.context("no agent was asked")?
        }
    };
    show(&view, args.output)
}

fn show(view: &FleetView, output: FleetOutput) -> anyhow::Result<ExitCode> {
    let text = match output {
        FleetOutput::Text => fleet_view::text(view, Screen::of_stdout()),
        FleetOutput::Json => {
            let json = serde_json::to_string_pretty(view).context("failed to write JSON")?;
            printable_json(&json).into_owned() + "\n"
        }
    };
    print(&text);
    Ok(ExitCode::from(match view.condition {
        "failing" => 1,
        "unknown" => 2,
        _ if view.nodes_answered < view.nodes_total => 2,
        _ => 0,
    }))
}
