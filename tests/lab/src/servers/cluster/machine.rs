//! The machine that a cluster runs on: namespaces of network, mounts and processes, with its own `/etc`, `/run`
//! and `/var`. When it is dropped, or the test ends in whatever way, the kernel ends everything in it.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::cgroups::Cgroup;
use crate::container::child_of;
use crate::netns::Namespace;

/// The first process of the machine. It takes in processes that lose their parents, as containers do, and
/// ends with the test, which holds the other end of its standard input. The mounts are shared among
/// containers, which some ask for, and with nobody outside. containerd is where packages put it.
const INIT: &str = "set -e
mount --make-rshared /
for folder in etc run var; do mount --bind \"$0/$folder\" \"/$folder\"; done
mount --bind \"$1/containerd\" /usr/bin/containerd
echo up
read -r";

pub(super) struct Machine {
    init: Child,
    /// The id of the first process.
    id: u32,
    folder: TempDir,
    cgroup: Cgroup,
    /// Where its programs are found.
    path: String,
}

impl Machine {
    /// A machine in a network, with the programs of a folder beside Debian's.
    pub(super) fn start(network: &Namespace, programs: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for part in ["etc", "run", "var/lib", "var/log", "var/tmp"] {
            fs::create_dir_all(folder.path().join(part))?;
        }
        std::os::unix::fs::symlink("/run", folder.path().join("var/run"))?;
        // The id of a pod's group ends up in names of its processes' groups, so it says whose it is.
        let cgroup = Cgroup::new(&format!("lab-{}", process::id()))?;
        let mut init = Command::new("/usr/bin/nsenter")
            .arg(format!("--net={}", network.path().display()))
            .args(["/usr/bin/unshare", "--mount", "--propagation=private"])
            .args(["--pid", "--fork", "--mount-proc", "/bin/bash", "-c", INIT])
            .args([folder.path(), programs])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = String::new();
        let output = init.stdout.take().context("no output")?;
        BufReader::new(output).read_line(&mut said)?;
        ensure!(said == "up\n", "the machine does not start");
        let id = child_of(init.id())?.context("no first process")?;
        Ok(Self {
            init,
            id,
            folder,
            cgroup,
            path: format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display()),
        })
    }

    /// Where a file of the machine is outside of it; below `/etc`, `/run` or `/var`.
    pub(super) fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    /// Writes a file of the machine.
    pub(super) fn write(&self, path: &str, text: impl AsRef<[u8]>) -> Result<()> {
        let file = self.file(path);
        fs::create_dir_all(file.parent().context("no folder")?)?;
        // In place, since it may be mounted.
        fs::write(&file, text).with_context(|| format!("failed to write {}", file.display()))
    }

    /// A program on the machine, with nothing of the test's environment, about to be started.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("/usr/bin/nsenter");
        command
            .arg(format!("--target={}", self.id))
            .args(["--net", "--mount", "--pid"])
            .arg("--")
            .arg(program)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", "/var/tmp");
        command
    }

    /// The group of all pods.
    pub(super) fn cgroup(&self) -> String {
        self.cgroup.path()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The end of its input ends the first process, and the kernel all others.
        drop(self.init.stdin.take());
        let _ = self.init.wait();
    }
}
