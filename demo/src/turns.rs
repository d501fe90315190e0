//! When the demo goes on: after some time, or when Enter is pressed.

use std::io::{self, BufRead, IsTerminal};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use nix::unistd::{getpgrp, tcgetpgrp};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::sleep;

/// How long a fault stays where nobody can press Enter.
const PACE: Duration = Duration::from_secs(20);

pub(crate) enum Turns {
    /// After this time.
    Timed(Duration),
    /// With each line of standard input.
    Pressed(UnboundedReceiver<()>),
}

impl Turns {
    pub(crate) fn new(pace: Option<Duration>) -> Self {
        if let Some(pace) = pace {
            return Self::Timed(pace);
        }
        let stdin = io::stdin();
        // In the background, reading from the terminal would stop the demo.
        if stdin.is_terminal() && tcgetpgrp(&stdin) != Ok(getpgrp()) {
            return Self::Timed(PACE);
        }
        let (press, pressed) = unbounded_channel();
        thread::spawn(move || {
            let mut lines = stdin.lock().lines();
            while let Some(Ok(_)) = lines.next()
                && press.send(()).is_ok()
            {}
        });
        Self::Pressed(pressed)
    }

    /// The time between two turns, where it is known.
    pub(crate) fn pace(&self) -> Option<Duration> {
        match self {
            Self::Timed(pace) => Some(*pace),
            Self::Pressed(_) => None,
        }
    }

    /// How long everything stays as it is, in words.
    pub(crate) fn words(&mut self) -> String {
        if matches!(self, Self::Pressed(pressed) if pressed.is_closed() && pressed.is_empty()) {
            *self = Self::Timed(PACE);
        }
        match self {
            Self::Timed(pace) => format!("for {} s", pace.as_secs()),
            Self::Pressed(_) => "until you press Enter".to_owned(),
        }
    }

    /// Waits for the next turn.
    pub(crate) async fn next(&mut self) -> Result<()> {
        loop {
            match self {
                Self::Timed(pace) => {
                    sleep(*pace).await;
                    return Ok(());
                }
                Self::Pressed(pressed) => match pressed.recv().await {
                    Some(()) => return Ok(()),
                    // Standard input has ended.
                    None => *self = Self::Timed(PACE),
                },
            }
        }
    }
}
