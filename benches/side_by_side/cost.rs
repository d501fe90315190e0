//! A process's resource usage according to the kernel.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};

/// The unit of `utime` and `stime` in proc(5).
const TICK: Duration = Duration::from_millis(10);

/// A contender as a process; it is killed when dropped.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Ok(Self(
            child.with_context(|| format!("failed to start {name}"))?,
        ))
    }

    /// Processor time so far, user and system.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("not a stat line")?;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks = ticks.map(str::parse::<u32>).sum::<Result<u32, _>>()?;
        Ok(TICK * ticks)
    }

    /// Resident memory now, in bytes.
    pub(crate) fn rss(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.context("no VmRSS")?.trim().trim_end_matches(" kB");
        Ok(kilobytes.parse::<u64>()? * 1024)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The cost of a contender.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// Processor time of one probe.
    pub(crate) cpu: Duration,
    /// Resident memory after all probes, in bytes.
    pub(crate) rss: u64,
    /// The last scrape, for contenders that are scraped.
    pub(crate) scrape: Option<Scrape>,
}

#[derive(Clone, Copy)]
pub(crate) struct Scrape {
    pub(crate) took: Duration,
    pub(crate) bytes: usize,
}
