//! The rules that the agent takes from Go, beside Go itself, over random inputs: the same in every run, unless
//! `REGPROBE_SEED` is set. `REGPROBE_INPUTS=N` and `REGPROBE_CHAINS=N` set how many there are. And how containerd reads
//! its own configuration, beside containerd.

mod chains;
mod configurations;
mod pulls;
mod texts;

use std::env;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use regprobe_harness::need::Need;
use regprobe_harness::program::repository;
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::servers::Release;
use serde_json::Value;

/// For a hundred thousand.
const LIMIT: Duration = Duration::from_secs(3600);

pub(crate) fn suite() -> Suite {
    let chains = test(
        "chains of certificates are verified as Go verifies them",
        chains::chains,
    );
    let rules = texts::RULES.iter().chain(&pulls::RULES);
    let texts = rules.map(|rule| test(rule.name, move || texts::compare(rule)));
    let tests = texts.chain([chains]);
    let configurations = test(
        "containerd's configuration is read as containerd reads it",
        configurations::compare,
    );
    let releases = Release::ALL.map(|release| Need::Oracle(release.as_str()));
    let tests = tests.map(|test| test.needs([Need::Go]).within(LIMIT));
    Suite::of(tests.chain([configurations.needs(releases)]))
}

fn number(name: &str) -> Result<Option<u64>> {
    let text = env::var(name).ok();
    Ok(text.map(|text| text.parse()).transpose()?)
}

/// The seed, and what comes from it.
fn seed() -> Result<(u64, StdRng)> {
    let seed = number("REGPROBE_SEED")?.unwrap_or_default();
    Ok((seed, StdRng::seed_from_u64(seed)))
}

/// What a program of `tests/oracles` answers to each input, a line.
fn ask(program: &str, arguments: &[&str], inputs: impl Iterator<Item = Value>) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let binary = folder.path().join(program);
    let mut build = Command::new("go");
    // Package net does not export how it reads resolv.conf.
    build
        .args(["build", "-ldflags=-checklinkname=0", "-o"])
        .arg(&binary);
    build.arg(format!("./{program}"));
    let built = build.current_dir(repository("tests/oracles")).output()?;
    ensure!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let file = folder.path().join("inputs");
    let mut lines = BufWriter::new(File::create(&file)?);
    for input in inputs {
        writeln!(lines, "{input}")?;
    }
    lines.flush()?;
    let mut run = Command::new(binary);
    let out = run.args(arguments).stdin(File::open(file)?).output()?;
    ensure!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).context("Go prints UTF-8")
}
