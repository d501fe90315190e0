//! Accidents of a node. After each of them the agent is healthy, its metrics are correct, and it uses no
//! more resources than before.
//!
//! There is no panic here, because no input is known to cause one; `agent/src/schedule/scheduler.rs` tests one.

mod clock;
mod link;
mod memory;
mod nameserver;
mod storm;
mod trust;

use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use regprobe_harness::agent::{Agent, SOON};
use regprobe_harness::ground::{Ground, Plain};
use regprobe_harness::need::Need;
use regprobe_harness::program::regprobe;
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::fakes::acr::{Answer, Route};
use regprobe_lab::wait;

pub(crate) fn suite() -> Suite {
    let anywhere = [
        test("the agent has too few descriptors", descriptors_run_out),
        test("clients take every descriptor", clients_take_descriptors),
        test("the log's disk is full", full_disk),
        test("the reader of the log is gone", closed_log),
        test("the log's pipe is full", full_pipe),
        test("the agent is stopped and continues later", stopped),
        test("a nameserver sends a flood", nameserver::floods),
        test("many SIGHUPs while the file is replaced", storm::of_swaps),
        test("many SIGHUPs while the file is written", storm::of_writes),
        test(
            "a CA of hosts.toml is replaced and removed",
            trust::is_withdrawn,
        ),
        test("files of the node never end", trust::files_without_end),
    ];
    let clock = [test("the clock is set forward and back", clock::is_set).needs([Need::FAKETIME])];
    let memory = [
        test("64 MiB are enough under load", memory::is_enough),
        test("another process uses all memory", memory::neighbour),
    ];
    let memory = memory.map(|test| test.needs([Need::Root, Need::RUNC]));
    let links = [
        test("the link goes down and comes back", link::goes_and_comes),
        test("the link flaps", link::flaps),
        test("the network is replaced by another", link::is_replaced),
    ];
    let links = links.map(|test| test.needs([Need::Root, Need::IPROUTE]));
    Suite::of(anywhere.into_iter().chain(clock).chain(memory).chain(links))
}

/// What the agent uses while nothing fails.
#[derive(Debug)]
pub(crate) struct Holdings {
    files: f64,
    tasks: f64,
}

/// How much more it may use: for a client connection that is still open.
const SLACK: f64 = 2.0;

impl Holdings {
    pub(crate) fn of(agent: &Agent) -> Result<Self> {
        // The least of several samples: files that are only open during a round do not count.
        let mut least = Self::now(agent)?;
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            let now = Self::now(agent)?;
            least.files = least.files.min(now.files);
            least.tasks = least.tasks.min(now.tasks);
            wait::pause(Duration::from_millis(50));
        }
        Ok(least)
    }

    fn now(agent: &Agent) -> Result<Self> {
        let scrape = agent.scrape()?;
        Ok(Self {
            files: scrape.value("process_open_fds", &[])?,
            tasks: scrape.value("regprobe_tasks", &[])?,
        })
    }

    /// Checks that everything is as before: every registry is healthy and still probed, and no more is used.
    pub(crate) fn are_back(&self, agent: &Agent, registries: &[&str]) -> Result<()> {
        agent.get("/-/healthy")?.expect_status(200)?;
        agent.until_ready()?;
        agent.until("is healthy again", |agent| {
            let scrape = agent.scrape()?;
            for registry in registries {
                let labels = [("registry", *registry)];
                ensure!(scrape.value("regprobe_registry_verdict", &labels)? == 0.0);
                let up: Vec<_> = scrape.of("regprobe_endpoint_up", &labels).collect();
                ensure!(!up.is_empty() && up.iter().all(|up| up.value == 1.0));
                let findings = scrape.of("regprobe_finding", &labels);
                let held: Vec<_> = findings.filter(|held| held.value != 0.0).collect();
                ensure!(
                    held.iter().all(|held| held.labels["severity"] == "info"),
                    "{registry} has findings"
                );
            }
            Ok(())
        })?;
        agent.until_rounds(registries)?;
        let panics = [("why", "panic")];
        ensure!(
            agent
                .scrape()?
                .sum("regprobe_rounds_skipped_total", &panics)
                == 0.0
        );
        agent.until("holds what it held", |agent| {
            let now = Self::now(agent)?;
            ensure!(now.files <= self.files + SLACK, "{now:?}, before {self:?}");
            ensure!(now.tasks <= self.tasks + SLACK, "{now:?}, before {self:?}");
            Ok(())
        })
    }
}

/// From now on the agent may only have this many files open.
fn limit_files(agent: &Agent, limit: u64) -> Result<()> {
    let out = Command::new("/usr/bin/prlimit")
        .arg(format!("--pid={}", agent.id()))
        .arg(format!("--nofile={limit}:"))
        .output()?;
    ensure!(out.status.success(), "{out:?}");
    Ok(())
}

const ENOUGH_FILES: u64 = 1000;

/// An agent that has finished its first round of both registries.
fn both() -> Result<(Ground, Plain, Agent)> {
    let ground = Ground::new()?;
    let plain = ground.plain("plain")?;
    let config = ground.config(&[&ground.contoso_entry(), &plain.entry])?;
    let agent = Agent::ready(&config, &[])?;
    Ok((ground, plain, agent))
}

fn descriptors_run_out() -> Result<()> {
    let (_ground, _plain, agent) = both()?;
    let before = Holdings::of(&agent)?;
    // Enough for a client and for one address after another, but not for three names at once.
    limit_files(&agent, before.files as u64)?;
    agent.until("tells the node's own fault", |agent| {
        let status = agent.status()?;
        let contoso = &status["registries"][0];
        ensure!(contoso["condition"] == "unknown", "{contoso:#}");
        Ok(())
    })?;
    let scrape = agent.scrape()?;
    let failures = |labels: &[(&str, &str)]| scrape.sum("regprobe_stage_failures_total", labels);
    let local = failures(&[("registry", "contoso"), ("reason", "local")]);
    ensure!(local > 0.0);
    // The findings blame only the node.
    ensure!(
        failures(&[]) == failures(&[("reason", "local")]),
        "{}",
        scrape.text
    );
    let findings = scrape.of("regprobe_finding", &[]);
    let held: Vec<_> = findings.filter(|held| held.value != 0.0).collect();
    ensure!(
        held.iter().all(|held| held.labels["severity"] == "info"),
        "{}",
        scrape.text
    );
    ensure!(agent.get("/-/healthy")?.status == 200);
    limit_files(&agent, ENOUGH_FILES)?;
    before.are_back(&agent, &["contoso", "plain"])
}

fn clients_take_descriptors() -> Result<()> {
    let ground = Ground::new()?;
    let plain = ground.plain("plain")?;
    let agent = Agent::ready(&ground.config(&[&plain.entry])?, &[])?;
    let before = Holdings::of(&agent)?;
    limit_files(&agent, before.files as u64 + 10)?;
    let dial = || TcpStream::connect_timeout(&agent.addr, SOON);
    let silent: Vec<_> = (0..100).map(|_| dial()).collect::<Result<_, _>>()?;
    for _ in 0..20 {
        agent.get("/-/healthy")?.expect_status(200)?;
    }
    let lines = agent.log();
    let complaints = lines.iter().filter(|line| line.contains("cannot accept"));
    ensure!(complaints.count() <= 1, "{lines:#?}");
    drop(silent);
    limit_files(&agent, ENOUGH_FILES)?;
    before.are_back(&agent, &["plain"])
}

fn full_disk() -> Result<()> {
    logs_into("exec \"$0\" \"$@\" 2>/dev/full")
}

fn closed_log() -> Result<()> {
    logs_into("exec \"$0\" \"$@\" 2> >(true)")
}

/// The reader stops, as a pager does: the pipe stays open and full.
fn full_pipe() -> Result<()> {
    logs_into(
        "mkfifo \"$PIPE\" && exec 2<>\"$PIPE\" && \
         ! dd if=/dev/zero of=\"$PIPE\" bs=4096 oflag=nonblock 2>/dev/null && \
         exec \"$0\" \"$@\"",
    )
}

/// An agent with a lot to log, and no reader.
fn logs_into(script: &str) -> Result<()> {
    let ground = Ground::new()?;
    let config = ground.config(&[&ground.contoso_entry()])?;
    let mut shell = Command::new("/usr/bin/bash");
    shell.args(["-c", script]);
    shell.env("PIPE", config.with_extension("pipe"));
    let agent = regprobe(["run"]);
    shell.arg(agent.get_program()).args(agent.get_args());
    let agent = Agent::start_by(shell, &config, &["--log.level=debug"])?;
    agent.until_ready()?;
    let before = Holdings::of(&agent)?;
    ground.contoso.answer(Route::Ping, Answer::Status(503));
    agent.until_value("regprobe_registry_verdict", &[("registry", "contoso")], 2.0)?;
    let good = std::fs::read_to_string(&config)?;
    ground.write_config("nonsense")?;
    agent.signal(Signal::SIGHUP)?;
    agent.until_value("regprobe_config_last_reload_successful", &[], 0.0)?;
    ground.write_config(&good)?;
    agent.signal(Signal::SIGHUP)?;
    agent.until_value("regprobe_config_last_reload_successful", &[], 1.0)?;
    ground.contoso.fix();
    before.are_back(&agent, &["contoso"])?;
    ensure!(agent.end()?.success());
    Ok(())
}

/// For the agent every clock jumps ahead.
fn stopped() -> Result<()> {
    const STOP: Duration = Duration::from_secs(8);
    let (_ground, plain, agent) = both()?;
    let before = Holdings::of(&agent)?;
    let pings = || plain.acr.seen_on(Route::Ping).len();
    agent.signal(Signal::SIGSTOP)?;
    let stopped_at = Instant::now();
    wait::pause(STOP);
    let asked = pings();
    agent.signal(Signal::SIGCONT)?;
    before.are_back(&agent, &["contoso", "plain"])?;
    // One round a second: missed rounds are counted and not made up for.
    let turns = (stopped_at.elapsed() - STOP).as_secs() as usize + 2;
    let made = pings() - asked;
    ensure!(made <= turns + 1, "{made} requests in {turns} turns");
    let overrun = [("why", "overrun")];
    let missed = agent
        .scrape()?
        .sum("regprobe_rounds_skipped_total", &overrun);
    ensure!(missed >= 2.0 * (STOP.as_secs_f64() - 3.0), "{missed}");
    Ok(())
}
