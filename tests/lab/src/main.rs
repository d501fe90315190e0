//! The demo: `cargo run --release -p regprobe-lab`. One program in two parts: without a hidden first
//! argument it is the demo, with it the agent that the demo watches.

mod demo;

use std::env;
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd;

use self::demo::Options;

/// Makes this program the agent; the process id of the demo comes next, then what the agent is told.
const AGENT: &str = "agent-of";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == AGENT => agent(rest),
        _ => demo(&arguments),
    }
}

fn demo(arguments: &[OsString]) -> ExitCode {
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    match demo::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the demo ended: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn agent(arguments: &[OsString]) -> ExitCode {
    let Some((demo, rest)) = arguments.split_first() else {
        return ExitCode::from(2);
    };
    // However the demo ends, the agent ends with it, also if that was before the first line here.
    let bound = prctl::set_pdeathsig(Signal::SIGTERM);
    if bound.is_err() || demo.to_str() != Some(&unistd::getppid().to_string()) {
        return ExitCode::FAILURE;
    }
    let program = [OsStr::new("regprobe").to_owned()];
    regprobe::main(program.into_iter().chain(rest.iter().cloned()))
}
