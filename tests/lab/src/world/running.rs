//! The agent as it runs on the node, and what its metrics say.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::client::{self, Reply};
use crate::container;
use crate::netns::Namespace;
use crate::process::Process;
use crate::wait;

/// A port of the node's own loopback.
pub const LISTENS_AT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9118);

/// The lab's intervals are a few seconds; this ends a test whose agent has stopped probing.
const NEXT_ROUND: Duration = Duration::from_secs(30);

/// A running agent; it ends when dropped.
pub struct Running<'w> {
    node: &'w Namespace,
    process: Process,
}

impl<'w> Running<'w> {
    /// Waits until the first round is done.
    pub(super) fn start(node: &'w Namespace, run: Command, folder: &Path) -> Result<Self> {
        let process = Process::start(run, folder, || get(node, "/-/ready").map(drop))?;
        Ok(Self { node, process })
    }

    /// Waits for the result of a round that begins from now on.
    pub fn until_next_round(&self) -> Result<()> {
        let now = Timestamp::now();
        wait::until("no round began", NEXT_ROUND, || {
            let began: Timestamp = serde_json::from_value(self.registry()?["at"].clone())?;
            ensure!(began > now, "the last one began at {began}");
            Ok(())
        })
    }

    /// What its status says of the registry.
    pub fn registry(&self) -> Result<Value> {
        let mut status: Value = get(self.node, "/api/v1/status")?.json()?;
        Ok(status["registries"][0].take())
    }

    /// The codes of the loud findings that hold, by the metric `regprobe_finding`.
    pub fn findings(&self) -> Result<Vec<String>> {
        let metrics = get(self.node, "/metrics")?.text();
        let holding = metrics
            .lines()
            .filter(|line| line.starts_with("regprobe_finding{") && line.ends_with(" 1"))
            .filter(|line| !line.contains("severity=\"info\""));
        let code = |line: &str| {
            let (_, rest) = line.split_once("code=\"")?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        Ok(holding.filter_map(code).collect())
    }

    /// Stops it between two rounds, so that none sees a world that is about to become another one.
    pub fn pause(&self) -> Result<()> {
        wait::until("it is never idle", NEXT_ROUND, || {
            self.ensure_idle()?;
            self.signal(Signal::SIGSTOP)?;
            // A round may have begun in between.
            self.ensure_idle().inspect_err(|_| drop(self.go_on()))
        })
    }

    /// Lets it go on.
    pub fn go_on(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = container::innermost(self.process.id())?;
        Ok(kill(Pid::from_raw(i32::try_from(id)?), signal)?)
    }

    /// Fails while it talks to others than this test.
    fn ensure_idle(&self) -> Result<()> {
        let sockets = self.node.enter(|| {
            let files = ["tcp", "tcp6", "udp", "udp6"];
            let read = |file| fs::read_to_string(format!("/proc/thread-self/net/{file}"));
            Ok(files.map(read).into_iter().collect::<Result<String, _>>()?)
        })?;
        // Number, own address, peer's address, … inode: what the kernel alone still closes has none.
        let busy = sockets.lines().find(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let peer = fields.get(2).copied().unwrap_or_default();
            let is_peer = peer.contains(':') && peer != "rem_address" && !peer.ends_with(":0000");
            let is_test = fields
                .iter()
                .skip(1)
                .take(2)
                .any(|at| at.ends_with(":239E"));
            is_peer && !is_test && fields.get(9).is_some_and(|inode| *inode != "0")
        });
        ensure!(busy.is_none(), "{busy:?}");
        Ok(())
    }

    /// A program that looks at it from its own node.
    #[must_use]
    pub fn beside(&self, program: &str) -> Command {
        self.node.command(program)
    }

    /// `/proc/<id>/status` of the agent itself.
    pub fn process_status(&self) -> Result<String> {
        let id = container::innermost(self.process.id())?;
        Ok(fs::read_to_string(format!("/proc/{id}/status"))?)
    }

    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn get(node: &Namespace, path: &str) -> Result<Reply> {
    node.enter(|| client::get(LISTENS_AT, path).send()?.expect_status(200))
}
