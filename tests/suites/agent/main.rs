//! The running agent: what it serves and logs, and how it survives failures of its surroundings.

mod drift;
mod fleet;
mod hostile;
mod listener;
mod mishaps;
mod openapi;
mod page;
mod privileges;
mod run;

use std::process::ExitCode;

use regprobe_harness::suite;

fn main() -> ExitCode {
    suite::main(
        &[
            ("drift", drift::suite),
            ("fleet", fleet::suite),
            ("hostile", hostile::suite),
            ("listener", listener::suite),
            ("mishaps", mishaps::suite),
            ("openapi", openapi::suite),
            ("page", page::suite),
            ("privileges", privileges::suite),
            ("run", run::suite),
        ],
        &[("soak", run::soak::suite)],
    )
}
