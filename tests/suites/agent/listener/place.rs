//! A folder with certificates, and an agent that listens with its web configuration.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use regprobe_harness::ground::Ground;
use regprobe_harness::program::REGPROBE;
use regprobe_lab::addresses::{free_addr, loopback};
use regprobe_lab::wait;

use super::SOON;

/// A folder with certificates and a configuration that probes very little.
pub(super) struct Place {
    pub(super) ground: Ground,
    pub(super) config: PathBuf,
}

impl Place {
    pub(super) fn new() -> Result<Self> {
        let ground = Ground::new()?;
        let plain = ground.plain("plain")?;
        let config = ground.config(&[&plain.entry])?;
        Ok(Self { ground, config })
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.ground.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        // As editors do: the file is complete at any time, old or new.
        let (new, file) = (self.file("new"), self.file(name));
        fs::write(&new, text)?;
        Ok(fs::rename(new, file)?)
    }

    pub(super) fn issue(&self, name: &str, names: &[&str]) -> Result<()> {
        let identity = self.ground.pki.leaf(names.iter().copied()).issue()?;
        self.write(&format!("{name}.crt"), identity.chain_pem())?;
        self.write(&format!("{name}.key"), identity.key_pem())
    }

    pub(super) fn command(&self, addr: SocketAddr) -> Result<Command> {
        let mut command = Command::new(&*REGPROBE);
        command
            .arg("run")
            .arg(format!("--config.file={}", self.config.display()))
            .arg(format!(
                "--web.config.file={}",
                self.file("web.yaml").display()
            ))
            .arg(format!("--web.listen-address={addr}"))
            .arg("--web.enable-lifecycle")
            .stdin(Stdio::null());
        Ok(command)
    }

    pub(super) fn listen(&self, settings: &str) -> Result<Listener> {
        self.write("web.yaml", settings)?;
        let addr = free_addr(loopback())?;
        let log = self.file("listener.log");
        let child = self.command(addr)?.stderr(File::create(&log)?).spawn()?;
        let folder = self.ground.folder.path().to_owned();
        let listener = Listener {
            addr,
            child,
            folder,
        };
        wait::until("it listens", SOON, || {
            Ok(TcpStream::connect_timeout(&addr, SOON).map(drop)?)
        })
        .with_context(|| listener.log())?;
        Ok(listener)
    }
}

pub(super) struct Listener {
    pub(super) addr: SocketAddr,
    pub(super) child: Child,
    pub(super) folder: PathBuf,
}

impl Listener {
    /// The status that curl gets; 000 without an answer.
    pub(super) fn curl(&self, more: &[&str]) -> Result<String> {
        self.curl_at("/metrics", more)
    }

    pub(super) fn curl_at(&self, path: &str, more: &[&str]) -> Result<String> {
        let port = self.addr.port();
        let out = Command::new("/usr/bin/curl")
            .current_dir(&self.folder)
            .args(["--silent", "--max-time", "60", "--cacert", "ca.crt"])
            .arg("--resolve")
            .arg(format!("localhost:{port}:{}", self.addr.ip()))
            .args(["--output", "/dev/null", "--write-out", "%{http_code}"])
            .args(more)
            .arg(format!("https://localhost:{port}{path}"))
            .output()?;
        Ok(String::from_utf8(out.stdout)?)
    }

    pub(super) fn curl_as(&self, name: &str) -> Result<String> {
        let [certificate, key] = ["crt", "key"].map(|kind| format!("{name}.{kind}"));
        self.curl(&["--cert", &certificate, "--key", &key])
    }

    /// Whether openssl completes a handshake of this version, with any cipher.
    pub(super) fn shakes_hands(&self, version: &str) -> Result<bool> {
        let out = Command::new("/usr/bin/openssl")
            .args(["s_client", "-connect", &self.addr.to_string(), version])
            .args(["-cipher", "ALL:@SECLEVEL=0"])
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&out.stdout);
        Ok(out.status.success() && said.contains("BEGIN CERTIFICATE"))
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("listener.log")).unwrap_or_default()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
