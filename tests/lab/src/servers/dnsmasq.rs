//! `dnsmasq`, the small forwarder that stands for a node-local cache or a home-grown nameserver.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

use super::nameserver_answers;
use crate::addresses;
use crate::process::Process;

/// A running `dnsmasq`; it ends when dropped.
pub struct Dnsmasq {
    addr: SocketAddr,
    process: Process,
    _folder: TempDir,
}

/// A `dnsmasq` about to be started.
#[must_use]
pub struct DnsmasqBuilder {
    at: SocketAddr,
    arguments: Vec<String>,
}

impl Dnsmasq {
    /// A server that knows nothing and refuses what it would have to forward.
    pub fn at(at: impl Into<SocketAddr>) -> DnsmasqBuilder {
        DnsmasqBuilder {
            at: at.into(),
            arguments: Vec::new(),
        }
    }

    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it wrote, every query among it.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

impl DnsmasqBuilder {
    /// Answers for a name, and all below it, by itself.
    pub fn address(self, name: &str, ip: impl Into<IpAddr>) -> Self {
        self.argument(format!("--address=/{name}/{}", ip.into()))
    }

    /// Asks another server for a name and all below it.
    pub fn forward(self, name: &str, to: SocketAddr) -> Self {
        self.argument(format!("--server=/{name}/{}#{}", to.ip(), to.port()))
    }

    /// Asks another server for everything else.
    pub fn forward_all(self, to: SocketAddr) -> Self {
        self.argument(format!("--server={}#{}", to.ip(), to.port()))
    }

    /// Takes private addresses out of what others answer.
    pub fn stopping_rebind(self) -> Self {
        self.argument("--stop-dns-rebind".to_owned())
    }

    /// Keeps no answer; otherwise it keeps up to 150.
    pub fn without_cache(self) -> Self {
        self.argument("--cache-size=0".to_owned())
    }

    pub fn start(self) -> Result<Dnsmasq> {
        let addr = addresses::with_port(self.at)?;
        let folder = tempfile::tempdir()?;
        let mut command = Command::new("/usr/sbin/dnsmasq");
        command
            .args(["--keep-in-foreground", "--log-facility=-", "--log-queries"])
            .args([
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
                "--bind-interfaces",
            ])
            .arg(format!("--listen-address={}", addr.ip()))
            .arg(format!("--port={}", addr.port()))
            .arg(format!(
                "--pid-file={}",
                folder.path().join("pid").display()
            ))
            .args(self.arguments);
        let process = Process::start(command, folder.path(), || nameserver_answers(addr))?;
        Ok(Dnsmasq {
            addr,
            process,
            _folder: folder,
        })
    }

    fn argument(mut self, argument: String) -> Self {
        self.arguments.push(argument);
        self
    }
}
