//! `containerd` and its `ctr`, with all state in its own folder: the client whose verdict the
//! agent predicts.

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
    /// Everything that `ctr` printed.
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
                disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
                [grpc]\n  address = \"{}\"\n\
                [plugins.\"io.containerd.metadata.v1.bolt\"]\n\
                content_sharing_policy = \"isolated\"\n",
                socket.display()
            ),
        )?;
        let mut command = Command::new("/usr/bin/containerd");
        command.arg("--config").arg(&config);
        let process = Process::start(command, folder.path(), || {
            let out = ctr(Command::new(TIMEOUT), &socket)
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

    fn pull_with(&self, timeout: Command, reference: &str) -> Result<Pull> {
        let began = Instant::now();
        let out = ctr(timeout, &self.socket)
            .args(["images", "pull", "--snapshotter", "native", "--hosts-dir"])
            .arg(self.certs_d())
            .arg(reference)
            .output()
            .context("failed to run ctr")?;
        Ok(Pull {
            ok: out.status.success(),
            took: began.elapsed(),
            said: String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned(),
        })
    }
}

const TIMEOUT: &str = "/usr/bin/timeout";

/// `ctr` under a deadline, since nothing in it has one, and without the machine's proxy.
fn ctr(mut timeout: Command, socket: &Path) -> Command {
    for variable in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        timeout.env_remove(variable);
    }
    timeout
        .args([PULL_LIMIT, "/usr/bin/ctr", "--address"])
        .arg(socket);
    timeout
}
