//! A program that runs on the machine and writes its log to a file outside of it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::machine::Machine;
use crate::container::child_of;

/// Ends when dropped; without its machine, everything ends.
pub(super) struct Program {
    /// `nsenter`, which waits for the program.
    entered: Child,
    name: &'static str,
    log: PathBuf,
}

impl Program {
    /// Starts a command of the machine.
    pub(super) fn start(
        machine: &Machine,
        name: &'static str,
        mut command: Command,
    ) -> Result<Self> {
        let log = machine.file(&format!("/var/log/{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        let entered = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("failed to start {name}"))?;
        Ok(Self { entered, name, log })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.entered.try_wait().is_ok_and(|ended| ended.is_some())
    }

    /// The last lines that it has written.
    pub(super) fn log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn end(&mut self) -> Result<()> {
        if let Some(id) = child_of(self.entered.id())? {
            kill(Pid::from_raw(id.try_into()?), Signal::SIGKILL)?;
        }
        self.entered.wait()?;
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
