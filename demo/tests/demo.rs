//! The demo, as people see it who start it, and how it ends: by itself, by Ctrl-C, or killed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regprobe_harness::program::printed;
use regprobe_harness::suite::{self, Suite, test};
use regprobe_lab::wait;
use tempfile::TempDir;

const DEMO: &str = env!("CARGO_BIN_EXE_regprobe-demo");

fn main() -> ExitCode {
    suite::main(&[("demo", demo)], &[])
}

fn demo() -> Suite {
    let tests = [
        test(
            "the demo shows every fault and its end, again and again",
            shows_all,
        ),
        test(
            "a fault stays until Enter is pressed, and check sees it",
            stays,
        ),
        test("the README shows what check prints", readme),
        test(
            "the demo leaves nothing when it is interrupted",
            interrupted,
        ),
        test("the agent ends when the demo is killed", killed),
        test("check needs a demo that runs", not_running),
        test("wrong options are refused with the usage", usage),
    ];
    // All of them want the same ports.
    Suite::of(tests).at_a_time(1)
}

fn shows_all() -> Result<()> {
    let mut demo = Demo::start(&["--pace", "1"])?;
    let said = demo.until("it starts again")? + &demo.until("THE DNS DRIFTS")?;
    demo.signal(Signal::SIGTERM)?;
    let said = said + &demo.rest()?;
    ensure!(demo.child.wait()?.success(), "{said}");
    let mut rest = said.as_str();
    for expected in [
        "The status page:",
        "Everything runs on loopback",
        "cargo demo check contoso",
        "The first round is over.",
        "contoso: ok",
        "login contoso.azurecr.io\n          up at 127.10.0.4, as expected; connect",
        "data  contoso.northeurope.data.azurecr.io\n          up at 127.10.0.6, as expected",
        "THE DNS DRIFTS",
        "Found after ",
        "contoso: degraded\n    PrivateLinkZoneNotLinked: contoso.azurecr.io resolves to",
        "do: Link the private DNS zone",
        "up at 127.20.0.1, NOT AS EXPECTED",
        "This stays for 1 s",
        "The zone is linked again",
        "Noticed after ",
        "A RECORD IS MISSING",
        "Found after ",
        "contoso: failing\n    PrivateLinkRecordMissing: ",
        "data  contoso.northeurope.data.azurecr.io\n          DOWN no address: nxdomain",
        "Noticed after ",
        "FIREWALL CLOSES",
        "Found after ",
        "contoso: failing\n    RegistryFirewall: ",
        "203.0.113.9",
        "Noticed after ",
        "AN ADDRESS IS DEAD",
        "Found after ",
        "contoso: failing\n    PrivateEndpointTimeout: ",
        "DOWN at 127.10.0.9, as expected; connect timeout after",
        "Noticed after ",
        "it starts again",
        "THE DNS DRIFTS",
        "Ended",
    ] {
        let at = rest.find(expected);
        let at = at.with_context(|| format!("expected {expected:?} in {rest}"))?;
        rest = &rest[at + expected.len()..];
    }
    Ok(())
}

fn stays() -> Result<()> {
    let mut demo = Demo::start(&[])?;
    demo.until("until you press Enter")?;
    for (arguments, expected) in [
        (&["check", "contoso"][..], "PrivateLinkZoneNotLinked"),
        (&["check", "--output=json"], "\"verdict\": \"degraded\""),
        (
            &["explain", "PrivateLinkZoneNotLinked"],
            "# PrivateLinkZoneNotLinked",
        ),
    ] {
        let out = demo.command(arguments).output()?;
        let said = printed(&out);
        ensure!(
            out.status.success() && said.contains(expected),
            "{arguments:?}: {said}"
        );
    }
    demo.press_enter()?;
    demo.until("The zone is linked again")?;
    demo.until("A RECORD IS MISSING")?;
    let out = demo.command(&["check", "contoso"]).output()?;
    ensure!(out.status.code() == Some(1), "{}", printed(&out));

    let second = demo.command(&["--seconds", "1"]).output()?;
    ensure!(
        printed(&second).contains("it runs already"),
        "{}",
        printed(&second)
    );
    Ok(())
}

/// The README has the ports that the demo takes if they are free.
fn readme() -> Result<()> {
    const INDENT: &str = "    ";
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"))?;
    let below = readme.split("    cargo demo check contoso\n").nth(1);
    let lines = below.context("the README shows no check")?.lines();
    let lines = lines.skip_while(|line| !line.starts_with(INDENT));
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with(INDENT));
    let lines: Vec<_> = lines
        .map(|line| line.strip_prefix(INDENT).unwrap_or(line))
        .collect();
    let shown = lines.join("\n");
    ensure!(shown.contains("PrivateLinkZoneNotLinked"), "{shown}");

    let mut demo = Demo::start(&[])?;
    demo.until("until you press Enter")?;
    let said = printed(&demo.command(&["check", "contoso"]).output()?);
    ensure!(
        said.starts_with(shown.trim_end()),
        "shown:\n{shown}\nprinted:\n{said}"
    );
    Ok(())
}

fn interrupted() -> Result<()> {
    let mut demo = Demo::start(&[])?;
    demo.until("contoso: ok")?;
    let agent = demo.agent()?;
    demo.signal(Signal::SIGINT)?;
    ensure!(demo.rest()?.contains("Ended"));
    ensure!(demo.child.wait()?.success());
    ensure!(!demo.files().exists(), "files are left behind");
    wait_until_gone(agent)
}

fn killed() -> Result<()> {
    let mut demo = Demo::start(&[])?;
    demo.until("contoso: ok")?;
    let agent = demo.agent()?;
    demo.signal(Signal::SIGKILL)?;
    demo.child.wait()?;
    wait_until_gone(agent)?;
    // What it could not remove is no demo that runs.
    ensure!(demo.files().exists());
    is_not_running(&demo.command(&["check"]).output()?)
}

fn not_running() -> Result<()> {
    let folder = tempfile::tempdir()?;
    is_not_running(&command(&folder.path().join("demo"), &["check"]).output()?)
}

fn is_not_running(out: &Output) -> Result<()> {
    let said = printed(out);
    ensure!(
        out.status.code() == Some(2) && said.contains("start it in another terminal"),
        "{said}"
    );
    Ok(())
}

fn usage() -> Result<()> {
    for arguments in [&["--seconds", "soon"][..], &["--pace"], &["chekc"]] {
        let out = command(Path::new("/nonexistent"), arguments).output()?;
        ensure!(out.status.code() == Some(2));
        ensure!(printed(&out).starts_with("usage: "));
    }
    Ok(())
}

fn command(files: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(DEMO);
    command.args(arguments).env("REGPROBE_DEMO_FOLDER", files);
    command
}

struct Demo {
    child: Child,
    output: BufReader<ChildStdout>,
    folder: TempDir,
}

impl Demo {
    fn start(arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut child = command(&folder.path().join("demo"), arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self {
            child,
            output,
            folder,
        })
    }

    /// Where it keeps its files.
    fn files(&self) -> PathBuf {
        self.folder.path().join("demo")
    }

    /// The same program about the same demo.
    fn command(&self, arguments: &[&str]) -> Command {
        command(&self.files(), arguments)
    }

    fn press_enter(&mut self) -> Result<()> {
        let input = self.child.stdin.as_mut().context("no standard input")?;
        Ok(writeln!(input)?)
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
