//! The agent's static binary, as the container image has it.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::program::{left_behind, printed, repository};

/// As in the Dockerfile.
const CARGO_AUDITABLE: &str = "0.7.7";

/// Links the binary as the Dockerfile does, with the list of its crates, in a separate target directory, but does
/// not optimise it, which takes minutes. `REGPROBE_STATIC_BINARY` is the path of the optimised one.
///
/// # Errors
/// When the build fails.
pub fn build() -> Result<PathBuf> {
    if let Some(path) = env::var_os("REGPROBE_STATIC_BINARY") {
        return Ok(path.into());
    }
    let folder = left_behind("static");
    let tools = folder.join("tools");
    let path = env::var_os("PATH").context("no PATH")?;
    let path = env::join_paths(
        [tools.join("bin")]
            .into_iter()
            .chain(env::split_paths(&path)),
    )?;
    let workspace = repository("").canonicalize()?;
    let cargo = |command: &mut Command| {
        command
            .current_dir(&workspace)
            .env("PATH", &path)
            .env("CARGO_TARGET_DIR", &folder)
            // Nobody debugs it, and every test copies it.
            .env("CARGO_PROFILE_DEV_DEBUG", "none")
            .env("CARGO_PROFILE_DEV_STRIP", "symbols")
            // It would take the place of the flags in the file.
            .env_remove("RUSTFLAGS");
        let out = command.output()?;
        ensure!(out.status.success(), "{}", printed(&out));
        Ok(())
    };
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Does nothing if it is installed.
    cargo(
        Command::new(&program)
            .args([
                "install",
                "--locked",
                // It runs for a second: a quick build is worth more than a quick program.
                "--debug",
                "cargo-auditable",
                "--version",
                CARGO_AUDITABLE,
                "--root",
            ])
            .arg(&tools),
    )?;
    cargo(
        Command::new(&program)
            .args([
                "auditable",
                "build",
                "--locked",
                "-p",
                "regprobe",
                "--config",
            ])
            .arg(workspace.join(".cargo/static.toml")),
    )?;
    let triple = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    Ok(folder.join(triple).join("debug/regprobe"))
}
