//! `regprobe` at a shell: one command, its output, its exit status.

mod architecture;
mod check;
mod cli;
mod config;
mod dependencies;
mod go_rules;
mod reasons;
mod secrets;
mod shell;
mod static_binary;

use std::process::ExitCode;

use regprobe_harness::suite;

fn main() -> ExitCode {
    suite::main(
        &[
            ("architecture", architecture::suite),
            ("check", check::suite),
            ("cli", cli::suite),
            ("config", config::suite),
            ("dependencies", dependencies::suite),
            ("go_rules", go_rules::suite),
            ("reasons", reasons::suite),
            ("secrets", secrets::suite),
            ("shell", shell::suite),
            ("static_binary", static_binary::suite),
        ],
        &[],
    )
}
