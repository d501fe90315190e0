//! A server as a child process: its log goes to a file, its start is awaited with a deadline, and it
//! is ended by its process id when dropped.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{client, wait};

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(20);
/// How long a server may take to end by itself before it is killed.
const END: Duration = Duration::from_secs(3);

pub(crate) struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts a program whose log goes to `<folder>/log`, and returns once `ready` succeeds.
    pub(crate) fn start(
        mut command: Command,
        folder: &Path,
        mut ready: impl FnMut() -> Result<()>,
    ) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let log = folder.join("log");
        let file = File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("failed to start {name}"))?;
        let mut process = Self { child, name, log };
        wait::until("the server does not answer", START, || {
            // A server that has ended will not answer however long it is asked.
            match process.child.try_wait()? {
                Some(status) => Ok(Err(anyhow!("ended with {status}"))),
                None => ready().map(Ok),
            }
        })
        .flatten()
        .with_context(|| format!("{}; its log:\n{}", process.name, process.log()))?;
        Ok(process)
    }

    /// The same for a server of HTTP: it is ready once this path answers 200.
    pub(crate) fn answering(
        command: Command,
        folder: &Path,
        (addr, path): (SocketAddr, &str),
    ) -> Result<Self> {
        Self::start(command, folder, || {
            client::get(addr, path).send()?.expect_status(200).map(drop)
        })
    }

    /// What the server has written so far.
    pub(crate) fn log(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).context("a process id out of range")?;
        Ok(kill(Pid::from_raw(id), signal)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended = self.signal(Signal::SIGTERM).and_then(|()| {
            wait::until("the server does not end", END, || {
                match self.child.try_wait()? {
                    Some(_) => Ok(()),
                    None => bail!("still running"),
                }
            })
        });
        if ended.is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
