//! What the command line prints. A reader that went away or a disk that is full is no failure.

use std::{io::Write, process::ExitCode};

/// Says all there is to say. A reader that has seen enough, as `head`, is no failure.
pub(crate) fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Says what is wrong, if there is anywhere to say it: `eprintln!` would panic on a full disk, and the
/// exit status would be another.
pub(crate) fn print_error(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
