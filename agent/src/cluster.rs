//! Commands about the whole cluster. `fleet` shows what all agents see: it asks them itself, or through
//! `kubectl`. `why` says why a pod cannot pull.

use std::{path::Path, process::ExitCode};

use anyhow::Context;

use crate::{
    cli::{DEFAULT_CONFIG, DocumentOutput, FleetArgs, WhyArgs},
    config,
    out::{
        fleet_view::{self, FleetView},
        screen::Screen,
    },
    process::standard_streams::print,
    web::peers,
};

mod agents;
mod document;
mod kubectl;
mod why;

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

/// Says why a pod cannot pull.
pub(crate) async fn why(args: WhyArgs) -> anyhow::Result<ExitCode> {
    why::why(args).await
}

fn show(view: &FleetView, output: DocumentOutput) -> anyhow::Result<ExitCode> {
    let text = match output {
        DocumentOutput::Text => fleet_view::text(view, Screen::of_stdout()),
        DocumentOutput::Json => document::json(view)?,
    };
    print(&text);
    Ok(ExitCode::from(match view.condition {
        "failing" => 1,
        "unknown" => 2,
        _ if view.nodes_answered < view.nodes_total => 2,
        _ => 0,
    }))
}
