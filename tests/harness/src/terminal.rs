//! A terminal with a program on it, as a person uses it: tests type keys, and read what the screen shows
//! at any moment.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regprobe_lab::wait;

/// Timeout for what a person would call immediate.
const SOON: Duration = Duration::from_secs(20);

/// A terminal and the program that runs on it, which is killed when this is dropped.
pub struct Terminal {
    keyboard: File,
    child: Child,
    screen: Arc<Mutex<Screen>>,
    /// Reads until no program has the terminal open.
    reader: JoinHandle<()>,
}

struct Screen {
    parser: vt100::Parser,
    /// All output so far.
    written: Vec<u8>,
    /// The screen after each piece of output.
    frames: Vec<String>,
}

impl Terminal {
    /// Starts a program on a terminal of this size.
    pub fn start(mut command: Command, rows: u16, columns: u16) -> Result<Self> {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let ends = openpty(&size, None)?;
        // Programs of other tests must not inherit the terminal and keep it open.
        for end in [&ends.master, &ends.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
        if command.get_envs().all(|(name, _)| name != "TERM") {
            command.env("TERM", "xterm-256color");
        }
        let child = command
            .stdin(ends.slave.try_clone()?)
            .stdout(ends.slave.try_clone()?)
            .stderr(ends.slave)
            .spawn()
            .with_context(|| format!("failed to start {command:?}"))?;
        // It keeps the program's end open.
        drop(command);
        let keyboard = File::from(ends.master);
        let mut output = keyboard.try_clone()?;
        let side = |length| NonZero::new(length).context("a terminal without room");
        let screen = Arc::new(Mutex::new(Screen {
            parser: vt100::Parser::new(side(rows)?, side(columns)?, 0),
            written: Vec::new(),
            frames: Vec::new(),
        }));
        let shown = screen.clone();
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            // When the last program ends, reading from the terminal fails.
            while let Ok(length @ 1..) = output.read(&mut piece) {
                let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
                shown.parser.process(&piece[..length]);
                shown.written.extend(&piece[..length]);
                let frame = shown.parser.screen().contents();
                shown.frames.push(frame);
            }
        });
        Ok(Self {
            keyboard,
            child,
            screen,
            reader,
        })
    }

    /// Types some keys.
    pub fn keys(&mut self, keys: &str) -> Result<()> {
        Ok(self.keyboard.write_all(keys.as_bytes())?)
    }

    /// What the screen shows now, without spaces at the ends of lines.
    #[must_use]
    pub fn shows(&self) -> String {
        self.look(|screen| screen.parser.screen().contents())
    }

    /// Every state of the screen so far.
    #[must_use]
    pub fn frames(&self) -> Vec<String> {
        self.look(|screen| screen.frames.clone())
    }

    /// All that was written to the terminal.
    #[must_use]
    pub fn written(&self) -> String {
        self.look(|screen| String::from_utf8_lossy(&screen.written).into_owned())
    }

    /// Waits until the screen shows this.
    pub fn until_it_shows(&self, text: &str) -> Result<String> {
        wait::until(&format!("the terminal shows {text:?}"), SOON, || {
            let shown = self.shows();
            ensure!(shown.contains(text), "{shown}");
            Ok(shown)
        })
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.child.id().try_into()?), signal)?)
    }

    /// Waits for the program's end and for all its output.
    pub fn ended(&mut self) -> Result<ExitStatus> {
        wait::until("the program ends", SOON, || {
            ensure!(self.reader.is_finished(), "it still has the terminal");
            self.child.try_wait()?.context("it is still running")
        })
    }

    fn look<T>(&self, what: impl FnOnce(&Screen) -> T) -> T {
        what(&self.screen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
