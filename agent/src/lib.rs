//! The agent `regprobe`: everything but the probes. A library so that the test ground can run the
//! real agent; the binary is one call of [`main`].
//!
//! Data flows one way: `Config → Plan → Scheduler → probes::run → Board → {metrics, journal,
//! snapshot}`; web server and reports read snapshots.

pub mod config;
pub mod fleet;
#[doc(hidden)]
pub mod measured;
pub mod timetable;

mod board;
mod check;
mod cli;
mod clock;
mod condition;
mod describe;
mod explain;
mod history;
mod journal;
mod logging;
mod metrics;
mod node;
mod page;
mod patience;
mod plan;
mod printable;
mod privilege;
mod report;
mod run;
mod schedule;
mod shell;
mod status;
mod watch;
mod web;

use std::{ffi::OsString, io::Write, process::ExitCode};

use clap::Parser;

use self::{
    cli::{Cli, Command},
    printable::{printable, printable_lines},
};

/// What `main` of the binary does with its arguments, the program's name first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(message) => {
            // Help on standard output, a usage error on standard error; exit status 0 or 2.
            if !message.use_stderr() {
                let _ = message.print();
                return ExitCode::SUCCESS;
            }
            // It repeats what was typed.
            complain(&printable_lines(&message.render().to_string()));
            return ExitCode::from(2);
        }
    };
    match work(cli.command) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("regprobe: {}\n", printable(&format!("{error:#}"))));
            ExitCode::from(2)
        }
    }
}

fn work(command: Command) -> anyhow::Result<ExitCode> {
    // One thread: probes wait far more than they compute, and the agent is a guest on its node.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match command {
            Command::Run(args) => run::run(args).await,
            Command::Check(args) => check::check(args).await,
            Command::Explain(args) => Ok(print(&explain::explain(args.code))),
            Command::Completions { shell } => Ok(print(shell::completions(shell))),
            Command::Man => Ok(print(shell::MANUAL)),
        }
    })
}

/// Says all there is to say. A reader that has seen enough, as `head`, is no failure.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Says what is wrong, if there is anywhere to say it: `eprintln!` would panic on a full disk, and the
/// exit status would be another.
fn complain(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// `NODE_NAME` as the downward API sets it, else the host name.
fn node_name() -> String {
    let hostname = || nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
    std::env::var("NODE_NAME")
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| hostname().unwrap_or_else(|_| "unknown".to_owned()))
}
