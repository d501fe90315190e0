//! Commands about the whole cluster. `fleet` shows what all agents see: it asks them itself, or through
//! `kubectl`. `why` says why a pod cannot pull, `check` on other nodes and `bundle` ask their
//! agents.

use std::{path::Path, process::ExitCode};

use anyhow::Context;

use self::kubectl::Kubectl;
use crate::{
    cli::{BundleArgs, CheckArgs, DEFAULT_CONFIG, FleetArgs, WhyArgs},
    config,
    web::peers,
};

mod agents;
mod bundle;
mod document;
mod elsewhere;
mod kubectl;
mod patience;
mod proxy;
mod why;

/// Asks all agents once and prints what they see.
pub(crate) async fn fleet(args: FleetArgs) -> anyhow::Result<ExitCode> {
    let is_installed = || Path::new(DEFAULT_CONFIG).exists();
    let view = match args.config_file.as_deref() {
        None if args.kubectl || args.context.is_some() || !is_installed() => {
            let kubectl = Kubectl::new(args.context.as_deref());
            agents::view(&kubectl, args.namespace.as_deref()).await?
        }
        file => {
            let config = config::load(file.unwrap_or_else(|| Path::new(DEFAULT_CONFIG)))?;
            let view = peers::view(&config).await;
            view.context("no agent was asked")?
        }
    };
    document::show(&view, args.output)
}

/// Checks on other nodes, now.
pub(crate) async fn check_elsewhere(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    elsewhere::check(args).await
}

/// Writes the support bundles of nodes.
pub(crate) async fn bundle(args: &BundleArgs) -> anyhow::Result<ExitCode> {
    bundle::bundle(args).await
}

/// Says why a pod cannot pull.
pub(crate) async fn why(args: WhyArgs) -> anyhow::Result<ExitCode> {
    why::why(args).await
}
