//! The demo: `cargo demo`. One program in three parts: by itself it is the demo; `check` and `explain`
//! are those of `regprobe`, the first about the demo that runs; and with a hidden first argument it is
//! the agent that the demo watches.

mod agent;
mod faults;
mod folder;
mod ground;
mod options;
mod story;
mod turns;

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;
use std::{env, iter};

use anyhow::Result;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd;

use self::folder::Folder;
use self::options::Options;

/// Makes this program the agent; the process id of the demo comes next, then the agent's arguments.
const AGENT: &str = "agent-of";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let first = arguments.first().and_then(|first| first.to_str());
    let ended = match first {
        Some(AGENT) => return agent(&arguments[1..]),
        Some("check") => check(&arguments[1..]),
        Some("explain") => Ok(regprobe(&arguments)),
        _ => demo(&arguments),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("the demo: {error:#}");
        ExitCode::from(2)
    })
}

fn demo(arguments: &[OsString]) -> Result<ExitCode> {
    match Options::parse(arguments) {
        Ok(options) => story::run(&options).map(|()| ExitCode::SUCCESS),
        Err(usage) => {
            eprintln!("{usage}");
            Ok(ExitCode::from(2))
        }
    }
}

/// `regprobe check` with the configuration of the demo that runs.
fn check(arguments: &[OsString]) -> Result<ExitCode> {
    let config = Folder::of_running_demo()?.config();
    let mut command = vec![OsString::from("check"), OsString::from("--config.file")];
    command.push(config.into());
    command.extend_from_slice(arguments);
    Ok(regprobe(&command))
}

fn agent(arguments: &[OsString]) -> ExitCode {
    let Some((demo, rest)) = arguments.split_first() else {
        return ExitCode::from(2);
    };
    // However the demo ends, the agent ends with it, even if the demo ended before this line.
    let bound = prctl::set_pdeathsig(Signal::SIGTERM);
    if bound.is_err() || demo.to_str() != Some(&unistd::getppid().to_string()) {
        return ExitCode::FAILURE;
    }
    regprobe(rest)
}

fn regprobe(arguments: &[OsString]) -> ExitCode {
    let program = OsStr::new("regprobe").to_owned();
    regprobe::main(iter::once(program).chain(arguments.iter().cloned()))
}
