//! One run of `deploy/release` for all tests, and copies of its sources for those that change them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use regprobe_harness::program::{printed, repository};
use regprobe_harness::static_binary;
use tempfile::TempDir;

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Where the image is going to be published.
pub(crate) const IMAGE: &str = "ghcr.io/regprobe/regprobe";
/// `e_machine` of arm64, at its place in the header of an ELF file.
const ARM64: (usize, [u8; 2]) = (18, [183, 0]);

/// What was made, and of what.
pub(crate) struct Dist {
    folder: TempDir,
    /// The binary of this machine, and the same with the header of another architecture: enough for all that
    /// does not start it.
    pub(crate) binaries: [PathBuf; 2],
    pub(crate) epoch: String,
}

/// Made once for all tests.
pub(crate) fn dist() -> Result<&'static Dist> {
    static DIST: OnceLock<Result<Dist>> = OnceLock::new();
    let made = DIST.get_or_init(Dist::make).as_ref();
    made.map_err(|error| anyhow!("{error:#}"))
}

impl Dist {
    fn make() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let native = static_binary::build()?;
        let mut foreign = fs::read(&native)?;
        let (place, machine) = ARM64;
        ensure!(
            foreign[place..][..2] != machine,
            "the tests know amd64 only"
        );
        foreign[place..][..2].copy_from_slice(&machine);
        let binaries = [native, folder.path().join("foreign")];
        fs::write(&binaries[1], foreign)?;
        let out = Command::new(repository("deploy/release"))
            .args(&binaries)
            .arg("--out")
            .arg(folder.path().join("dist"))
            .env_remove("SOURCE_DATE_EPOCH")
            .output()?;
        ensure!(out.status.success(), "{}", said(&out));
        let commit = Command::new("git")
            .args(["log", "-1", "--format=%ct"])
            .current_dir(repository(""))
            .output()?;
        let epoch = String::from_utf8(commit.stdout)?.trim().to_owned();
        Ok(Self {
            folder,
            binaries,
            epoch,
        })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("dist")
    }

    /// One of the files.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Of the image's index.
    pub(crate) fn digest(&self) -> Result<String> {
        let digest = fs::read_to_string(self.file("image-digest.txt"))?;
        let digest = digest.strip_suffix('\n').context("no end of line")?;
        Ok(digest.to_owned())
    }
}

/// What the script reads, in a folder where a test may change it.
pub(crate) struct Sources(TempDir);

impl Sources {
    pub(crate) fn copy() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("deploy"))?;
        for part in ["debian", "helm", "krew", "release", "shell", "systemd"]
            .map(|part| format!("deploy/{part}"))
        {
            copy(&part, folder.path())?;
        }
        for part in [
            "Cargo.toml",
            "CHANGELOG.md",
            "Dockerfile",
            "LICENSE-APACHE",
            "LICENSE-MIT",
        ] {
            copy(part, folder.path())?;
        }
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, file: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.path().join(file), text)?)
    }

    /// The text of a file with something in place of something that is there once.
    pub(crate) fn replace(&self, file: &str, from: &str, to: &str) -> Result<()> {
        let text = fs::read_to_string(self.path().join(file))?;
        ensure!(text.matches(from).count() == 1, "{from:?} in {file}");
        self.write(file, &text.replace(from, to))
    }

    /// Runs the script, at a fixed time.
    pub(crate) fn release(&self, binaries: &[PathBuf], flags: &[&str]) -> Result<Output> {
        let epoch = &dist()?.epoch;
        let mut command = Command::new(self.path().join("deploy/release"));
        command
            .args(flags)
            .args(binaries)
            .env("SOURCE_DATE_EPOCH", epoch);
        Ok(command.output()?)
    }
}

fn copy(part: &str, to: &Path) -> Result<()> {
    let copied = Command::new("cp")
        .arg("--recursive")
        .arg(repository(part))
        .arg(to.join(part))
        .output()?;
    ensure!(copied.status.success(), "{}", said(&copied));
    Ok(())
}

/// All that a program printed.
pub(crate) fn said(out: &Output) -> String {
    format!("{}: {}", out.status, printed(out))
}

/// What a program wrote to its standard output where all should go well.
pub(crate) fn expect_success(out: &Output) -> Result<String> {
    ensure!(out.status.success(), "{}", said(out));
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
