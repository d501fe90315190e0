//! `containerd` and its `ctr`, with all state in its own folder: the client whose verdict the
//! agent predicts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use crate::netns::Namespace;
use crate::process::Process;

/// How long a pull may take, as `timeout` writes it.
const PULL_LIMIT: &str = "60s";

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
            // Debian 12 stays with it.
            Self::V1_6 => "1.6.20",
            Self::V1_7 | Self::V2_1 | Self::V2_4 => self.as_str(),
        }
    }

    /// Whether it was brought.
    #[must_use]
    pub fn is_here(self) -> bool {
        self.programs().join("ctr").exists()
    }

    /// The daemon.
    #[must_use]
    pub fn program(self) -> PathBuf {
        self.programs().join("containerd")
    }

    fn programs(self) -> PathBuf {
        Path::new(ORACLES).join(self.as_str())
    }
}

const ORACLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../oracles/containerd");

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Those that are running, each since it was first needed.
#[derive(Default)]
pub struct Containerds(Mutex<BTreeMap<Release, Arc<Containerd>>>);

impl Containerds {
    pub fn of(&self, release: Release) -> Result<Arc<Containerd>> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(containerd) = running.get(&release) {
            return Ok(Arc::clone(containerd));
        }
        let started = Arc::new(Containerd::of(release)?);
        running.insert(release, Arc::clone(&started));
        Ok(started)
    }
}

/// A running containerd; it ends when dropped.
pub struct Containerd {
    /// Where `containerd` and its `ctr` are.
    programs: PathBuf,
    /// As since 2.0, unless told otherwise.
    leaves_pulls_to_the_daemon: bool,
    socket: PathBuf,
    process: Process,
    folder: TempDir,
}

/// How a pull went; a failed one is an answer too.
#[derive(Clone, Debug)]
pub struct Pull {
    pub ok: bool,
    pub took: Duration,
    /// Everything that `ctr` printed.
    pub said: String,
}

impl Containerd {
    /// The machine's own.
    pub fn start() -> Result<Self> {
        // Debian 12 has 1.6.
        Self::start_from(PathBuf::from("/usr/bin"), Release::V1_6)
    }

    /// One of those that nodes run.
    pub fn of(release: Release) -> Result<Self> {
        Self::start_from(release.programs(), release)
    }

    fn start_from(programs: PathBuf, release: Release) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = folder.path().display();
        let config = folder.path().join("config.toml");
        let socket = folder.path().join("socket");
        fs::write(
            &config,
            format!(
                "version = 2\n\
                root = \"{at}/root\"\n\
                state = \"{at}/state\"\n\
                disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.nri.v1.nri\"]\n\
                [grpc]\n  address = \"{}\"\n\
                [plugins.\"io.containerd.metadata.v1.bolt\"]\n\
                content_sharing_policy = \"isolated\"\n",
                socket.display()
            ),
        )?;
        let mut command = Command::new(programs.join("containerd"));
        command.arg("--config").arg(&config);
        let process = Process::start(command, folder.path(), || {
            let out = Command::new(programs.join("ctr"))
                .arg("--address")
                .arg(&socket)
                .arg("version")
                .output()?;
            ensure!(
                out.status.success(),
                "{}",
                String::from_utf8_lossy(&out.stderr)
            );
            Ok(())
        })?;
        Ok(Self {
            programs,
            leaves_pulls_to_the_daemon: release >= Release::V2_1,
            socket,
            process,
            folder,
        })
    }

    /// Where `ctr` finds it. A pull into a namespace of containerd's own finds nothing there, and
    /// so fetches everything, whatever was pulled before.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Trusts an authority for one registry, by the `hosts.toml` that a node would have. The server
    /// is named as in an image reference.
    pub fn trust(&self, server: &str, ca_pem: &str) -> Result<&Self> {
        let folder = self.certs_d().join(server);
        fs::create_dir_all(&folder)?;
        let ca = folder.join("ca.crt");
        fs::write(&ca, ca_pem)?;
        let hosts = format!(
            "server = \"https://{server}\"\n\
            [host.\"https://{server}\"]\n  ca = \"{}\"\n",
            ca.display()
        );
        fs::write(folder.join("hosts.toml"), hosts)?;
        Ok(self)
    }

    /// Where `hosts.toml` files go, a folder a registry.
    #[must_use]
    pub fn certs_d(&self) -> PathBuf {
        self.folder.path().join("certs.d")
    }

    /// Pulls `server/repository:tag` for this machine's platform.
    pub fn pull(&self, reference: &str) -> Result<Pull> {
        self.pull_with(Command::new(TIMEOUT), reference)
    }

    /// Pulls as from inside a namespace, with its network and its `resolv.conf`. It is `ctr` that
    /// fetches; the daemon, wherever it runs, only stores.
    pub fn pull_from(&self, namespace: &Namespace, reference: &str) -> Result<Pull> {
        self.pull_with(namespace.command(TIMEOUT), reference)
    }

    fn pull_with(&self, mut timeout: Command, reference: &str) -> Result<Pull> {
        // Without the machine's proxy.
        for variable in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            timeout.env_remove(variable);
        }
        timeout
            .arg(PULL_LIMIT)
            .args(self.pull_command("default", &self.certs_d()));
        Pull::by(timeout.arg(reference))
    }

    /// The command that pulls in a namespace of containerd's own; more flags and the reference follow.
    #[must_use]
    pub fn pull_command(&self, namespace: &str, certs_d: &Path) -> Vec<OsString> {
        let mut command: Vec<OsString> = vec![
            self.programs.join("ctr").into(),
            "--namespace".into(),
            namespace.into(),
            "--address".into(),
            self.socket().into(),
            "images".into(),
            "pull".into(),
            "--snapshotter".into(),
            "native".into(),
            "--hosts-dir".into(),
            certs_d.into(),
        ];
        if self.leaves_pulls_to_the_daemon {
            // Then the client pulls, in the network of its node.
            command.push("--local".into());
        }
        command
    }
}

impl Pull {
    /// Runs a command that pulls. `timeout` is around it, since nothing in `ctr` has a deadline.
    pub fn by(command: &mut Command) -> Result<Self> {
        let began = Instant::now();
        let out = command
            .output()
            .with_context(|| format!("failed to run {command:?}"))?;
        Ok(Self {
            ok: out.status.success(),
            took: began.elapsed(),
            said: String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned(),
        })
    }
}

pub(crate) const TIMEOUT: &str = "/usr/bin/timeout";
