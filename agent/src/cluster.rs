//! Commands about the whole cluster. `fleet` shows what all agents see.

use std::process::ExitCode;

use anyhow::Context;

use crate::{
    cli::{FleetArgs, FleetOutput},
    config,
    out::{
        fleet_view::{self, FleetView},
        screen::Screen,
    },
    printable::printable_json,
    process::standard_streams::print,
    web::peers,
};

/// Asks all agents once and prints what they see.
pub(crate) async fn fleet(args: FleetArgs) -> anyhow::Result<ExitCode> {
    let config = config::load(&args.config_file)?;
    let view = peers::view(&config.fleet)
        .await
        .context("no agent was asked")?;
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
