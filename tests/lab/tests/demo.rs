//! The demo, as somebody sees it who starts it, and how it ends: by itself, by Ctrl-C, or killed.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regprobe_lab::wait;

struct Demo {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_regprobe-lab"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// What is printed up to and with the line that has `text` in it.
    fn until(&mut self, text: &str) -> String {
        let mut said = String::new();
        while !said.contains(text) {
            let read = self.output.read_line(&mut said).unwrap();
            assert!(read > 0, "ended without {text:?}: {said}");
        }
        said
    }

    fn rest(&mut self) -> String {
        let mut said = String::new();
        self.output.read_to_string(&mut said).unwrap();
        said
    }

    /// The process id of the agent, the only child.
    fn agent(&self) -> Pid {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        Pid::from_raw(children.trim().parse().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }
}

fn wait_until_gone(process: Pid) {
    wait::until("the agent ends", Duration::from_secs(5), || {
        // A zombie of nobody's would still be there; one that init has not taken yet counts as gone.
        match fs::read_to_string(format!("/proc/{process}/stat")) {
            Ok(stat) if !stat.contains(") Z ") => anyhow::bail!("still there: {stat}"),
            _ => Ok(()),
        }
    })
    .unwrap();
}

#[test]
fn it_tells_the_drift_and_the_repair_and_ends() {
    let mut demo = Demo::start(&["--drift-after", "3", "--seconds", "12"]);
    let said = demo.rest();
    assert!(demo.child.wait().unwrap().success(), "{said}");
    let mut rest = said.as_str();
    for expected in [
        "Started, all on loopback",
        "/api/v1/status",
        "The first round is over.",
        "contoso: ok",
        "login contoso.azurecr.io\n          up at 127.10.0.4, as expected; connect",
        "data  contoso.northeurope.data.azurecr.io\n          up at 127.10.0.6, as expected",
        "THE DNS DRIFTS",
        "Noticed after ",
        "up at 127.20.0.1, NOT AS EXPECTED",
        "The DNS is repaired",
        "Noticed after ",
        "up at 127.10.0.4, as expected",
        "Ctrl-C ends it",
        "Ended",
    ] {
        let Some(at) = rest.find(expected) else {
            panic!("expected {expected:?} in {rest}");
        };
        rest = &rest[at + expected.len()..];
    }
}

#[test]
fn it_ends_when_it_is_interrupted() {
    let mut demo = Demo::start(&[]);
    demo.until("contoso: ok");
    let agent = demo.agent();
    demo.signal(Signal::SIGINT);
    assert!(demo.rest().contains("Ended"));
    assert!(demo.child.wait().unwrap().success());
    wait_until_gone(agent);
}

#[test]
fn no_agent_outlives_it() {
    let mut demo = Demo::start(&[]);
    demo.until("contoso: ok");
    let agent = demo.agent();
    demo.signal(Signal::SIGKILL);
    demo.child.wait().unwrap();
    wait_until_gone(agent);
}

#[test]
fn usage_is_told() {
    let out = Command::new(env!("CARGO_BIN_EXE_regprobe-lab"))
        .args(["--seconds", "soon"])
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).starts_with("usage: "));
}
