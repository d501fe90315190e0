//! The binary `regprobe`.

use std::process::ExitCode;

fn main() -> ExitCode {
    regprobe::main(std::env::args_os())
}
