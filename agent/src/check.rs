//! `regprobe check`: one round over each registry, now, and a report. The exit status is for scripts:
//! 0 no registry is failing, 1 some are, 2 could not tell.

use std::{io::Write, process::ExitCode};

use anyhow::Context;

use self::{checker::Checker, footer::Footer};
use crate::{
    cli::{CheckArgs, Output},
    out::{screen::Screen, status::Status},
    plan,
    printable::printable_json,
    process::privilege,
    state::Snapshot,
};

mod azure_json;
mod changes;
mod checker;
mod exit_status;
mod footer;
mod local_agent;
mod npd;
mod progress;
mod registries;
mod report;
mod watch;

/// Checks the registries that `args` select.
pub(crate) async fn check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    privilege::give_up_all_but(&[]).context("failed to give up privileges")?;
    match args.watch {
        Some(interval) => watch::watch(&args, interval).await,
        None => once(&args).await,
    }
}

async fn once(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let checked = check_once(args).await;
    let text = match (args.output, &checked) {
        (Output::Npd, Ok(snapshot)) => npd::line(snapshot),
        (Output::Npd, Err(error)) => npd::no_check(error),
        (Output::Text, Ok(snapshot)) => report::text(snapshot, Screen::of_stdout()),
        (Output::Json, Ok(snapshot)) => {
            let node = plan::node_name();
            let status = Status::of(snapshot, &node);
            let json = serde_json::to_string_pretty(&status).context("failed to write JSON")?;
            printable_json(&json).into_owned() + "\n"
        }
        (_, Err(_)) => String::new(),
    };
    // A reader that stops early, such as `head`, does not change the result.
    if let Err(error) = std::io::stdout().write_all(text.as_bytes())
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        anyhow::bail!("failed to write the report: {error}");
    }
    Ok(exit_status::of(&checked?, args.fail_on))
}

async fn check_once(args: &CheckArgs) -> anyhow::Result<Snapshot> {
    let checker = Checker::new(args).await?;
    let footer = Footer::of_stdout().filter(|_| args.output == Output::Text);
    match footer {
        Some(mut footer) => progress::shown(&checker, &mut footer).await,
        None => checker.round(&|_, _| {}).await,
    }
}
