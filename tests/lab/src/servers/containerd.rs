//! The machine's `containerd` and its `ctr`, with all state in its own folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::netns::Namespace;
use crate::process::Process;

/// How long a pull may take, as `timeout` writes it.
const PULL_LIMIT: &str = "60s";

/// A running containerd; it ends when dropped.
pub struct Containerd {
    socket: PathBuf,
    process: Process,
    folder: TempDir,
}

/// How a pull went; a failed one is an answer too.
#[derive(Clone, Debug)]
pub struct Pull {
    pub ok: bool,
    pub took: Duration,
    /// Everything that the client printed.
    pub said: String,
}

impl Containerd {
    pub fn start() -> Result<Self> {
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
                [grpc]\n  address = \"{}\"\n",
                socket.display()
            ),
        )?;
        let mut command = Command::new("/usr/bin/containerd");
        command.arg("--config").arg(&config);
        let process = Process::start(command, folder.path(), || {
            let out = Command::new(CTR)
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
            socket,
            process,
            folder,
        })
    }

    /// Where `ctr` finds it.
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
            .args([PULL_LIMIT, CTR, "--address"])
            .arg(&self.socket)
            .args(["images", "pull", "--snapshotter", "native", "--hosts-dir"])
            .arg(self.certs_d());
        Pull::by(timeout.arg(reference))
    }
}

impl Pull {
    /// Runs a command that pulls. `timeout` is around it, since no client has a deadline.
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
const CTR: &str = "/usr/bin/ctr";
