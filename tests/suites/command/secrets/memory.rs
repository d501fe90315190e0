//! What is left of a pull secret once a round is over: nothing in the agent's memory and environment, and no core.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use regprobe_harness::agent::Agent;
use regprobe_lab::fakes::acr::Route;

use super::pull_secret::{Ground, PASSWORD, auth};

/// A core has what the process has in memory, so this reads the memory as a debugger does.
pub(super) fn keeps_none() -> Result<()> {
    let ground = Ground::new()?;
    // One round, and then a long silence.
    let config = ground.node.path("regprobe.yaml");
    let often = fs::read_to_string(&config)?;
    fs::write(&config, often.replace("interval: 1s", "interval: 300s"))?;
    let agent = Agent::start_by(ground.node.regprobe(["run"]), &config, &[])?;
    agent.until("has pulled with its secret", |agent| {
        ensure!(ground.was_offered());
        agent.get("/-/ready")?.expect_status(200)
    })?;
    let status = agent.status()?;
    ensure!(status["registries"][0]["verdict"] == "ok", "{status:#}");
    ensure!(!ground.acr.seen_on(Route::Blob).is_empty());

    // What is looked for can be found: the path of the file that holds the secret.
    let path = ground.node.path("secret.json").display().to_string();
    let found = find(agent.id(), &[&path])?;
    ensure!(found.is_some(), "memory has no {path}");
    for secret in [PASSWORD.to_owned(), auth()] {
        let found = find(agent.id(), &[&secret])?;
        ensure!(found.is_none(), "memory has {secret}: {found:?}");
    }
    for file in ["environ", "cmdline"] {
        let text = fs::read(format!("/proc/{}/{file}", agent.id()))?;
        ensure!(
            !contains(&text, PASSWORD) && !contains(&text, &auth()),
            "{file}"
        );
    }
    Ok(())
}

/// The agent is killed by a signal that leaves a core, where cores may have any size.
pub(super) fn leaves_no_core() -> Result<()> {
    let ground = Ground::new()?;
    let config = ground.node.path("regprobe.yaml");
    let agent = Agent::start_within(ground.node.regprobe(["run"]), &config, &[], |agent| {
        let mut unlimited = Command::new("/usr/bin/prlimit");
        unlimited
            .arg("--core=unlimited")
            .arg(agent.get_program())
            .args(agent.get_args());
        for (name, value) in agent.get_envs() {
            match value {
                Some(value) => unlimited.env(name, value),
                None => unlimited.env_remove(name),
            };
        }
        unlimited.current_dir(ground.node.path(""));
        Ok(unlimited)
    })?;
    agent.until("has offered its secret", |_| {
        ensure!(ground.was_offered());
        Ok(())
    })?;
    let status = agent.end_by(Signal::SIGABRT)?;
    ensure!(status.signal() == Some(Signal::SIGABRT as i32), "{status}");
    ensure!(!status.core_dumped(), "{status}");
    Ok(())
}

/// The mapping that has one of these texts, and what stands around it.
pub(super) fn find(id: u32, wanted: &[impl AsRef<str>]) -> Result<Option<String>> {
    let memory = File::open(format!("/proc/{id}/mem")).context("failed to open the memory")?;
    for line in fs::read_to_string(format!("/proc/{id}/maps"))?.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let (start, end) = range.split_once('-').context("no range")?;
        let [start, end] = [start, end].map(|at| u64::from_str_radix(at, 16));
        let (start, end) = (start?, end?);
        // Of the files that are mapped only what was written.
        if !rights.starts_with("rw") {
            continue;
        }
        let mut bytes = vec![0; usize::try_from(end - start)?];
        // Some of the kernel's own cannot be read.
        if memory.read_exact_at(&mut bytes, start).is_err() {
            continue;
        }
        for text in wanted.iter().map(AsRef::as_ref) {
            if let Some(at) = place(&bytes, text) {
                let around = at.saturating_sub(64)..(at + text.len() + 64).min(bytes.len());
                return Ok(Some(format!("{line}: {}", bytes[around].escape_ascii())));
            }
        }
    }
    Ok(None)
}

fn place(bytes: &[u8], wanted: &str) -> Option<usize> {
    let mut windows = bytes.windows(wanted.len());
    windows.position(|window| window == wanted.as_bytes())
}

fn contains(bytes: &[u8], wanted: &str) -> bool {
    place(bytes, wanted).is_some()
}
