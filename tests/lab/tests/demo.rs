//! The demo, as somebody sees it who starts it, and how it ends: by itself, by Ctrl-C, or killed.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regprobe_harness::suite::{self, Suite, test};
use regprobe_lab::wait;

fn main() -> ExitCode {
    suite::main(&[("demo", demo)], &[])
}

fn demo() -> Suite {
    Suite::of([
        test("the demo tells every fault and its end", tells_all),
        test("the demo ends when it is interrupted", interrupted),
        test("no agent outlives the demo", killed),
        test("the demo tells how it is used", usage),
    ])
}

fn tells_all() -> Result<()> {
    let mut demo = Demo::start(&["--pace", "2"])?;
    let said = demo.until("Ctrl-C ends it")?;
    demo.signal(Signal::SIGTERM)?;
    let said = said + &demo.rest()?;
    ensure!(demo.child.wait()?.success(), "{said}");
    let mut rest = said.as_str();
    for expected in [
        "Look at it",
        "/api/v1/status",
        "Started, all on loopback",
        "check --config.file=",
        "The first round is over.",
        "contoso: ok",
        "login contoso.azurecr.io\n          up at 127.10.0.4, as expected; connect",
        "data  contoso.northeurope.data.azurecr.io\n          up at 127.10.0.6, as expected",
        "THE DNS DRIFTS",
        "Found after ",
        "contoso: degraded\n    PrivateLinkZoneNotLinked: contoso.azurecr.io resolves to",
        "do: Link the private DNS zone",
        "up at 127.20.0.1, NOT AS EXPECTED",
        "The zone is linked again",
        "Noticed after ",
        "A RECORD IS MISSING",
        "Found after ",
        "contoso: failing\n    PrivateLinkRecordMissing: ",
        "data  contoso.northeurope.data.azurecr.io\n          DOWN no address: nxdomain",
        "Noticed after ",
        "FIREWALL closes",
        "Found after ",
        "contoso: failing\n    RegistryFirewall: ",
        "203.0.113.9",
        "Noticed after ",
        "AN ADDRESS IS DEAD",
        "Found after ",
        "contoso: failing\n    PrivateEndpointTimeout: ",
        "DOWN at 127.10.0.9, as expected; connect timeout after",
        "Noticed after ",
        "Ctrl-C ends it",
        "Ended",
    ] {
        let at = rest.find(expected);
        let at = at.with_context(|| format!("expected {expected:?} in {rest}"))?;
        rest = &rest[at + expected.len()..];
    }
    Ok(())
}

fn interrupted() -> Result<()> {
    let mut demo = Demo::start(&[])?;
    demo.until("contoso: ok")?;
    let agent = demo.agent()?;
    demo.signal(Signal::SIGINT)?;
    ensure!(demo.rest()?.contains("Ended"));
    ensure!(demo.child.wait()?.success());
    wait_until_gone(agent)
}

fn killed() -> Result<()> {
    let mut demo = Demo::start(&[])?;
    demo.until("contoso: ok")?;
    let agent = demo.agent()?;
    demo.signal(Signal::SIGKILL)?;
    demo.child.wait()?;
    wait_until_gone(agent)
}

fn usage() -> Result<()> {
    let out = Command::new(env!("CARGO_BIN_EXE_regprobe-lab"))
        .args(["--seconds", "soon"])
        .output()?;
    ensure!(out.status.code() == Some(2));
    ensure!(String::from_utf8_lossy(&out.stderr).starts_with("usage: "));
    Ok(())
}

struct Demo {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Demo {
    fn start(arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_regprobe-lab"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { child, output })
    }

    /// What is printed up to and with the line that has `text` in it.
    fn until(&mut self, text: &str) -> Result<String> {
        let mut said = String::new();
        while !said.contains(text) {
            let read = self.output.read_line(&mut said)?;
            ensure!(read > 0, "ended without {text:?}: {said}");
        }
        Ok(said)
    }

    fn rest(&mut self) -> Result<String> {
        let mut said = String::new();
        self.output.read_to_string(&mut said)?;
        Ok(said)
    }

    /// The process id of the agent, the only child.
    fn agent(&self) -> Result<Pid> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        Ok(Pid::from_raw(children.trim().parse()?))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.child.id().try_into()?), signal)?)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_until_gone(process: Pid) -> Result<()> {
    wait::until("the agent ends", Duration::from_secs(5), || {
        // A zombie of nobody's would still be there; one that init has not taken yet counts as gone.
        match fs::read_to_string(format!("/proc/{process}/stat")) {
            Ok(stat) if !stat.contains(") Z ") => bail!("still there: {stat}"),
            _ => Ok(()),
        }
    })
}
