//! `openssl s_server`: old versions, broken certificates and client certificates, which nginx refuses.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use regprobe_lab::addresses::{free_addr, loopback};
use regprobe_lab::pki::Pki;
use regprobe_lab::wait;
use tempfile::TempDir;

use crate::contoso::LOGIN;
use crate::node::{Node, Report};

/// A server for the login server's name that answers any request with a page.
pub struct OpensslServer {
    addr: SocketAddr,
    /// The certificate of its authority.
    ca: String,
    _running: Running,
    _folder: TempDir,
}

impl OpensslServer {
    /// With a good certificate.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        let (pki, folder) = (Pki::new()?, tempfile::tempdir()?);
        let files = pki.leaf([LOGIN]).issue()?.write(&folder)?;
        Self::presenting(&files.chain, &files.key, pki.ca_pem(), folder, arguments)
    }

    /// With a certificate whose only flaw comes from these arguments of `openssl req`.
    pub fn certified(flaw: &str, arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let script = format!(
            "printf '[req]\ndistinguished_name=dn\n[dn]\n' > config
            req='openssl req -x509 -config config -nodes -days 9 -newkey rsa:2048'
            $req -subj '/CN=Lab openssl' -addext basicConstraints=critical,CA:TRUE \
                -keyout ca.key -out ca.pem
            $req -subj /CN={LOGIN} -addext subjectAltName=DNS:{LOGIN} {flaw} \
                -CA ca.pem -CAkey ca.key -keyout leaf.key -out leaf.pem"
        );
        let mut openssl = Command::new("sh");
        let out = openssl
            .args(["-ec", &script])
            .current_dir(&folder)
            .output()?;
        ensure!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        let path = |file| folder.path().join(file);
        let ca = fs::read_to_string(path("ca.pem"))?;
        Self::presenting(&path("leaf.pem"), &path("leaf.key"), ca, folder, arguments)
    }

    fn presenting(
        chain: &Path,
        key: &Path,
        ca: String,
        folder: TempDir,
        arguments: &[&str],
    ) -> Result<Self> {
        let addr = free_addr(loopback())?;
        let mut openssl = Command::new("openssl");
        openssl.args(["s_server", "-quiet", "-www", "-accept", &addr.to_string()]);
        openssl
            .arg("-cert")
            .arg(chain)
            .arg("-key")
            .arg(key)
            .args(arguments);
        let running = Running::start(&mut openssl)?;
        wait::until("s_server listens", Duration::from_secs(5), || {
            Ok(TcpStream::connect_timeout(&addr, Duration::from_secs(1))?)
        })?;
        Ok(Self {
            addr,
            ca,
            _running: running,
            _folder: folder,
        })
    }

    pub fn check(&self) -> Result<Report> {
        let node = Node::pinning(LOGIN, self.addr.ip())?.trusting(&self.ca)?;
        node.check(&format!("{LOGIN}:{}", self.addr.port()))
    }
}

/// A child process that ends when dropped.
pub struct Running(Child);

impl Running {
    pub fn start(command: &mut Command) -> Result<Self> {
        let silent = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Self(silent.spawn()?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
