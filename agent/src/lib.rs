//! The agent `regprobe`: everything except the probes. It is a library so that tests and benchmarks can
//! run the real agent; the binary only calls [`main`].
//!
//! Data flows one way: `Config → Plan → Scheduler → probes::run → Board → {metrics, change log, snapshot}`.
//! The web server and the reports read snapshots.

mod board;
mod check;
mod cli;
mod cluster;
pub mod config;
mod out;
mod plan;
mod printable;
mod process;
mod run;
pub mod schedule;
mod state;
mod web;

#[doc(hidden)]
pub use self::out::bench_support;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

use crate::{
    cli::{Cli, Command, as_typed, shell},
    out::explain,
    printable::{printable, printable_lines},
    process::standard_streams::{print, print_error},
};

/// Runs the command line in `arguments`; the first is the name of the program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(as_typed(arguments)) {
        Ok(cli) => cli,
        Err(message) => {
            // Help goes to standard output with status 0, a usage error to standard error with status 2.
            if !message.use_stderr() {
                let _ = message.print();
                return ExitCode::SUCCESS;
            }
            // The message repeats what was typed.
            print_error(&printable_lines(&message.render().to_string()));
            return ExitCode::from(2);
        }
    };
    match work(cli.command) {
        Ok(code) => code,
        Err(error) => {
            print_error(&format!("regprobe: {}\n", printable(&format!("{error:#}"))));
            ExitCode::from(2)
        }
    }
}

fn work(command: Command) -> anyhow::Result<ExitCode> {
    // One thread: probes mostly wait, and the agent is a guest on its node. Another one hashes passwords.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match command {
            Command::Run(args) => run::run(args).await,
            Command::Check(args) if args.is_elsewhere() => cluster::check_elsewhere(&args).await,
            Command::Check(args) => check::check(*args).await,
            Command::Discover(args) => plan::discover(&args),
            Command::Fleet(args) => cluster::fleet(args).await,
            Command::Why(args) => cluster::why(args).await,
            Command::Bundle(args) => cluster::bundle(&args).await,
            Command::Explain(args) => Ok(print(&explain::explain(args.runbook))),
            Command::Completions { shell } => Ok(print(shell::completions(shell))),
            Command::Man => Ok(print(shell::MANUAL)),
        }
    })
}
