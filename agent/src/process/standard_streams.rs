//! Standard output and standard error. A closed pipe or a full disk is not a failure.

use std::{io::Write, process::ExitCode};

/// Prints `text`. A reader that stops early, such as `head`, is not a failure.
pub(crate) fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Prints an error. `eprintln!` would panic on a full disk, which would change the exit status.
pub(crate) fn print_error(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
