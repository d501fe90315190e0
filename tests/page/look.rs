//! A real Chromium before the pages of an agent, as `look.mjs` drives it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use regprobe_lab::suite::{self, Need};

use crate::process::Agent;

/// What it takes.
pub(crate) const BROWSER: [Need; 3] = [
    Need::CHROMIUM,
    Need::Tool("node_modules/playwright-core/package.json"),
    Need::Tool("node_modules/axe-core/axe.min.js"),
];

/// Runs a story of `look.mjs`; when it has looked once, `change` comes to pass.
pub(crate) fn look(agent: &Agent, story: &str, change: impl FnOnce()) -> Result<()> {
    browse(Command::new("node"), agent.addr, story, || {
        change();
        Ok(())
    })
}

/// The same with a `node` of somewhere else, and a change that may fail.
pub(crate) fn browse(
    mut node: Command,
    agent: SocketAddr,
    story: &str,
    change: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    fs::create_dir_all(&pictures)?;
    let mut child = node
        .arg(here.join("page/look.mjs"))
        .arg(suite::tool("node_modules"))
        .arg(format!("http://{agent}"))
        .args([story.as_ref(), pictures.as_os_str()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("node does not start")?;
    let mut said = BufReader::new(child.stdout.take().context("no output")?);
    let mut line = String::new();
    said.read_line(&mut line)?;
    change()?;
    said.read_to_string(&mut line)?;
    let mut errors = String::new();
    child
        .stderr
        .take()
        .context("no errors")?
        .read_to_string(&mut errors)?;
    ensure!(child.wait()?.success(), "{story}: {line}{errors}");
    Ok(())
}
