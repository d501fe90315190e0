//! `check --watch`: reports the first round in full, then what changes in later rounds, each with its time.
//! On a terminal the footer shows the current state; a pipe gets only the changes. It ends on SIGINT or
//! SIGTERM, with the exit status of the last round.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

use super::{
    changes,
    checker::Checker,
    exit_status::{self, COULD_NOT_TELL},
    footer::Footer,
    progress, report,
};
use crate::{
    cli::{CheckArgs, Output},
    out::screen::{BOLD, Layout, PLAIN, Screen},
    process::signals::Termination,
    state::changes::next_snapshot,
    state::{RegistryState, Snapshot, condition::Condition},
};

/// Checks every `interval` until a signal, or until the reader is gone.
pub(super) async fn watch(args: &CheckArgs, interval: Duration) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        args.output == Output::Text,
        "--watch requires --output=text; a program can run a check whenever it needs one, or ask a \
         running agent for /api/v1/status"
    );
    // First, because an interrupt is not a failure here.
    let mut termination = Termination::listen().context("failed to listen for signals")?;
    let mut watch = Watch {
        footer: Footer::of_stdout(),
        interval,
        rounds: 0,
        last: None,
    };
    let ended = tokio::select! {
        ended = watch.work(args) => ended,
        () = termination.requested() => Ok(()),
    };
    if let Some(footer) = &mut watch.footer {
        let summary = watch
            .last
            .as_ref()
            .map(|last| summary(last, footer.screen()));
        // The terminal may be closed.
        let _ = footer.draw(summary.as_deref().unwrap_or_default());
    }
    match ended {
        Err(error) if is_closed(&error) => {}
        ended => ended?,
    }
    let status = watch
        .last
        .as_ref()
        .map(|last| exit_status::of(last, args.fail_on));
    Ok(status.unwrap_or_else(|| ExitCode::from(COULD_NOT_TELL)))
}

/// A reader that stopped, such as `head`.
fn is_closed(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

struct Watch {
    footer: Option<Footer>,
    interval: Duration,
    rounds: u64,
    last: Option<Snapshot>,
}

impl Watch {
    /// Returns only on an error.
    async fn work(&mut self, args: &CheckArgs) -> anyhow::Result<()> {
        let checker = Checker::new(args).await?;
        loop {
            let start = Instant::now();
            let at = Timestamp::now();
            self.draw_footer(&format!("round {} is running", self.rounds + 1))?;
            let now = match &mut self.footer {
                // In later rounds the footer keeps the current state.
                Some(footer) if self.last.is_none() => progress::shown(&checker, footer).await?,
                _ => checker.round(&|_, _| {}).await?,
            };
            self.rounds += 1;
            let now = match &self.last {
                Some(before) => next_snapshot(before, now),
                None => now,
            };
            let report = self.report(at, &now);
            self.last = Some(now);
            let next = start + self.interval;
            self.print(&report, next)?;
            sleep_until(next).await;
        }
    }

    /// The full report on the first round, and what changed in a later one.
    fn report(&self, at: Timestamp, now: &Snapshot) -> String {
        let screen = Screen::of_stdout();
        let Some(before) = &self.last else {
            let mut layout = Layout::new(screen);
            let text = format!(
                "{}  the first round; checking every {:?}",
                stamp(at),
                self.interval
            );
            layout.line(0, 2).words(0, &text);
            layout.gap();
            return layout.into_text() + &report::text(now, screen);
        };
        let mut report = String::new();
        for (before, now) in before.registries.iter().zip(&now.registries) {
            let changes = changes::text(before, now, screen);
            if !changes.is_empty() {
                let mut layout = Layout::new(screen);
                layout.gap();
                layout
                    .line(0, 2)
                    .cell(0, PLAIN, &stamp(at))
                    .cell(2, BOLD, &now.planned.name);
                report += &layout.into_text();
                report += &changes;
            }
        }
        report
    }

    fn print(&mut self, report: &str, next: Instant) -> io::Result<()> {
        let Some(footer) = &mut self.footer else {
            let mut stdout = io::stdout().lock();
            stdout.write_all(report.as_bytes())?;
            return stdout.flush();
        };
        footer.print(report)?;
        let at = Timestamp::now() + next.saturating_duration_since(Instant::now());
        let words = format!("round {}, next at {}", self.rounds, stamp(at));
        self.draw_footer(&words)
    }

    /// Draws the current state, and `words` about the round.
    fn draw_footer(&mut self, words: &str) -> io::Result<()> {
        let (Some(footer), Some(last)) = (&mut self.footer, &self.last) else {
            return Ok(());
        };
        let screen = footer.screen();
        let mut layout = Layout::new(screen);
        layout
            .line(0, 2)
            .words(0, &format!("{words}; Ctrl-C ends it"));
        footer.draw(&(summary(last, screen) + &layout.into_text()))
    }
}

/// The verdict on each registry, a line each, after an empty line.
fn summary(snapshot: &Snapshot, screen: Screen) -> String {
    let mut layout = Layout::new(screen);
    layout.gap();
    for state in &snapshot.registries {
        line(&mut layout, state);
    }
    layout.into_text()
}

fn line(layout: &mut Layout, state: &RegistryState) {
    let condition = Condition::of(state);
    let line = layout.line(0, 2).cell(0, BOLD, &state.planned.name).cell(
        2,
        report::condition_style(condition),
        &condition.as_str().to_uppercase(),
    );
    if let Some(round) = &state.round {
        drop(line.words(2, &format!("since {}", stamp(round.since))));
    }
}

fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
