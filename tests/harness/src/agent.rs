//! The real binary, `regprobe run`, as a child process.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regprobe_lab::addresses::{free_addr, loopback};
use regprobe_lab::client::{self, Reply};
use regprobe_lab::wait;
use serde_json::Value;

use crate::output::schema;
use crate::output::scrape::Scrape;
use crate::program::regprobe;

/// Timeout for anything that the agent should show after a round or two.
pub const SOON: Duration = Duration::from_secs(15);

pub struct Agent {
    pub addr: SocketAddr,
    child: Child,
    log: PathBuf,
}

impl Agent {
    /// Returns once it listens; its first round may still run.
    pub fn start(config: &Path, flags: &[&str]) -> Result<Self> {
        Self::start_by(regprobe(["run"]), config, flags)
    }

    /// The same with a command that only lacks configuration, address and flags.
    pub fn start_by(command: Command, config: &Path, flags: &[&str]) -> Result<Self> {
        Self::start_within(command, config, flags, Ok)
    }

    /// The same with a wrapper around the whole command.
    pub fn start_within(
        command: Command,
        config: &Path,
        flags: &[&str],
        wrap: impl FnOnce(Command) -> Result<Command>,
    ) -> Result<Self> {
        Self::start_at(free_addr(loopback())?, command, config, flags, wrap)
    }

    /// The same at an address.
    pub fn start_at(
        addr: SocketAddr,
        mut command: Command,
        config: &Path,
        flags: &[&str],
        wrap: impl FnOnce(Command) -> Result<Command>,
    ) -> Result<Self> {
        let log = config.with_extension(format!("{}.log", addr.port()));
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.listen-address={addr}"))
            .args(flags);
        let child = wrap(command)?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        let mut agent = Self { addr, child, log };
        wait::until("the agent listens", SOON, || {
            match agent.child.try_wait()? {
                Some(status) => Ok(Err(anyhow::anyhow!("ended with {status}"))),
                None => agent.get("/-/healthy").map(|_| Ok(())),
            }
        })
        .flatten()
        .with_context(|| agent.log().join("\n"))?;
        Ok(agent)
    }

    /// Returns once its first round is over.
    pub fn ready(config: &Path, flags: &[&str]) -> Result<Self> {
        let agent = Self::start(config, flags)?;
        agent.until_ready()?;
        Ok(agent)
    }

    /// Waits until its first round is over.
    pub fn until_ready(&self) -> Result<()> {
        self.until("is ready", |agent| {
            agent.get("/-/ready")?.expect_status(200).map(drop)
        })
    }

    pub fn get(&self, path: &str) -> Result<Reply> {
        client::get(self.addr, path).send()
    }

    pub fn post(&self, path: &str) -> Result<Reply> {
        client::call("POST", self.addr, path).send()
    }

    pub fn scrape(&self) -> Result<Scrape> {
        Scrape::parse(self.get("/metrics")?.expect_status(200)?.text())
    }

    pub fn status(&self) -> Result<Value> {
        let document = self.get("/api/v1/status")?.expect_status(200)?.json()?;
        schema::validate(&document)?;
        Ok(document)
    }

    /// Repeats a request until it gives a value.
    pub fn until<T>(&self, what: &str, done: impl Fn(&Self) -> Result<T>) -> Result<T> {
        wait::until(&format!("the agent {what}"), SOON, || done(self))
            .with_context(|| self.log().join("\n"))
    }

    /// Waits until a metric has a value.
    pub fn until_value(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        expected: f64,
    ) -> Result<Scrape> {
        self.until("shows a value", |agent| {
            let scrape = agent.scrape()?;
            let value = scrape.value(name, labels)?;
            ensure!(
                value == expected,
                "{name} with {labels:?} is {value}, not {expected}"
            );
            Ok(scrape)
        })
    }

    /// Waits for at least one more round of each of these registries.
    pub fn until_rounds(&self, registries: &[&str]) -> Result<()> {
        let counted = |scrape: &Scrape, registry| {
            scrape.sum(
                "regprobe_stage_attempts_total",
                &[("registry", registry), ("stage", "connect")],
            )
        };
        for registry in registries {
            let before = counted(&self.scrape()?, *registry);
            self.until("goes on probing", |agent| {
                let now = counted(&agent.scrape()?, *registry);
                ensure!(now > before + 1.0, "{registry}: {before} dials, then {now}");
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Waits for the result of a round over this registry that begins from now on.
    pub fn until_next_round(&self, registry: &str) -> Result<()> {
        let now = Timestamp::now();
        self.until("goes on probing", |agent| {
            let status = agent.status()?;
            let mut registries = status["registries"].as_array().into_iter().flatten();
            let status = registries
                .find(|status| status["name"] == registry)
                .with_context(|| format!("no status of {registry}"))?;
            let began: Timestamp = serde_json::from_value(status["at"].clone())?;
            ensure!(began > now, "the last round of {registry} began at {began}");
            Ok(())
        })
    }

    /// The lines that it has logged so far.
    pub fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Processor time so far, of all its threads, by `schedstat` of proc(5).
    pub fn processor_time(&self) -> Result<Duration> {
        let mut used = Duration::ZERO;
        for task in fs::read_dir(format!("/proc/{}/task", self.id()))? {
            let stat = fs::read_to_string(task?.path().join("schedstat"))?;
            let nanoseconds = stat.split_whitespace().next().context("no schedstat")?;
            used += Duration::from_nanos(nanoseconds.parse()?);
        }
        Ok(used)
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.id().try_into()?), signal)?)
    }

    /// Ends it by SIGTERM, as Kubernetes does; it has five seconds.
    pub fn end(self) -> Result<ExitStatus> {
        self.end_by(Signal::SIGTERM)
    }

    /// Ends it by another signal.
    pub fn end_by(mut self, signal: Signal) -> Result<ExitStatus> {
        self.try_end(signal)
    }

    fn try_end(&mut self, signal: Signal) -> Result<ExitStatus> {
        self.signal(signal)?;
        wait::until("the agent ends", Duration::from_secs(5), || {
            match self.child.try_wait()? {
                Some(status) => Ok(status),
                None => bail!("still running"),
            }
        })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // A wrapper needs the chance to end it.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.try_end(Signal::SIGTERM);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
