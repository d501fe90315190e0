//! The containerd of a node, with all state in its own folder, and the pull that a kubelet has it make: the client
//! whose verdict the agent predicts.

use std::fmt;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;
use tempfile::TempDir;

use super::containerd::{Pull, TIMEOUT};
use crate::process::Process;

/// A release of containerd that nodes run, and that `tests/oracles/bring` brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Release {
    #[serde(rename = "1.6")]
    V1_6,
    #[serde(rename = "1.7")]
    V1_7,
    #[serde(rename = "2.1")]
    V2_1,
    #[serde(rename = "2.4")]
    V2_4,
}

impl Release {
    pub const ALL: [Self; 4] = [Self::V1_6, Self::V1_7, Self::V2_1, Self::V2_4];
    pub const NEWEST: Self = Self::V2_4;

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_6 => "1.6",
            Self::V1_7 => "1.7",
            Self::V2_1 => "2.1",
            Self::V2_4 => "2.4",
        }
    }

    /// Its version, as a node's configuration would name it.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            // Debian 12 and 13 stay with these.
            Self::V1_6 => "1.6.20",
            Self::V1_7 => "1.7.24",
            Self::V2_1 | Self::V2_4 => self.as_str(),
        }
    }

    /// Whether it was brought, and its client.
    #[must_use]
    pub fn is_here(self) -> bool {
        self.program().exists() && client().exists()
    }

    /// The daemon.
    #[must_use]
    pub fn program(self) -> PathBuf {
        oracles()
            .join("containerd")
            .join(self.as_str())
            .join("containerd")
    }

    /// Its configuration in this folder: images are unpacked without what a file system has to know for it.
    fn config(self, folder: &Path, certs_d: &Path) -> String {
        let (folder, certs_d) = (folder.display(), certs_d.display());
        let (version, images) = match self {
            Self::V1_6 | Self::V1_7 => (
                2,
                format!(
                    "[plugins.'io.containerd.grpc.v1.cri'.containerd]\n\
                     snapshotter = 'native'\n\
                     [plugins.'io.containerd.grpc.v1.cri'.registry]\n\
                     config_path = '{certs_d}'\n"
                ),
            ),
            Self::V2_1 | Self::V2_4 => (
                3,
                format!(
                    "[plugins.'io.containerd.cri.v1.images']\n\
                     snapshotter = 'native'\n\
                     [plugins.'io.containerd.cri.v1.images'.registry]\n\
                     config_path = '{certs_d}'\n\
                     [[plugins.'io.containerd.transfer.v1.local'.unpack_config]]\n\
                     platform = 'linux/amd64'\n\
                     snapshotter = 'native'\n"
                ),
            ),
        };
        format!(
            "version = {version}\n\
             root = '{folder}/root'\n\
             state = '{folder}/state'\n\
             disabled_plugins = ['io.containerd.nri.v1.nri']\n\
             [grpc]\n\
             address = '{folder}/socket'\n\
             {images}"
        )
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A running containerd, which has pulled nothing yet; it ends when dropped.
pub struct Cri {
    _process: Process,
    folder: TempDir,
}

impl Cri {
    /// Starts one that reads these `hosts.toml` files. `on_node` makes the command of a program that runs where it pulls
    /// from.
    pub fn start(
        release: Release,
        certs_d: &Path,
        on_node: impl FnOnce(&Path) -> Command,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("config.toml");
        fs::write(&config, release.config(folder.path(), certs_d))?;
        let mut containerd = on_node(&release.program());
        containerd.arg("--config").arg(&config);
        let socket = folder.path().join("socket");
        let process = Process::start(containerd, folder.path(), || {
            UnixStream::connect(&socket)?;
            Ok(())
        })?;
        Ok(Self {
            _process: process,
            folder,
        })
    }

    /// Pulls for this machine's platform, with these credentials (`user:password`), and no longer than this.
    pub fn pull(
        &self,
        reference: &str,
        credentials: Option<&str>,
        patience: Duration,
    ) -> Result<Pull> {
        let endpoint = format!("unix://{}/socket", self.folder.path().display());
        let mut pull = Command::new(TIMEOUT);
        pull.arg("--kill-after=1s")
            .arg(format!("{}s", patience.as_secs_f64()))
            .arg(client())
            .arg(format!("--runtime-endpoint={endpoint}"))
            .arg(format!("--image-endpoint={endpoint}"))
            .arg("pull")
            .args(credentials.map(|credentials| format!("--creds={credentials}")))
            .arg(reference);
        let mut pull = Pull::by(&mut pull)?;
        pull.said = answer_in(&pull.said);
        Ok(pull)
    }
}

/// What containerd answers, which the client logs as an error; or all it says.
fn answer_in(log: &str) -> String {
    let mut errors = log.lines().filter_map(|line| {
        let (_, quoted) = line.split_once("level=error msg=\"")?;
        quoted.strip_suffix('"')
    });
    let answer = errors.next_back().unwrap_or(log);
    answer.replace("\\\"", "\"").replace("\\\\", "\\")
}

fn client() -> PathBuf {
    oracles().join("crictl/bin/crictl")
}

fn oracles() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../oracles"))
}
