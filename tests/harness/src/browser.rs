//! A real Chromium that opens the pages of an agent, driven by `look.mjs`.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::agent::Agent;
use crate::need;
use crate::program::{left_behind, repository};

/// Runs a story of `look.mjs`; after its first look, `change` runs.
pub fn look(agent: &Agent, story: &str, change: impl FnOnce()) -> Result<()> {
    browse(Command::new("node"), agent.addr, story, || {
        change();
        Ok(())
    })
}

/// The same with a command for `node`, such as one in a namespace, and a change that may fail.
pub fn browse(
    mut node: Command,
    agent: SocketAddr,
    story: &str,
    change: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let pictures = left_behind("page");
    fs::create_dir_all(&pictures)?;
    let mut child = node
        .arg(repository("tests/page/look.mjs"))
        .arg(need::tool("node_modules"))
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
