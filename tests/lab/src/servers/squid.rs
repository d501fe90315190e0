//! `squid`, the proxy that a node's `HTTPS_PROXY` most often names.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::User;
use tempfile::TempDir;

use crate::process::Process;

/// The user that squid becomes: it will not work as root.
const USER: &str = "proxy";

/// A running squid; it ends when dropped.
pub struct Squid {
    process: Process,
    _folder: TempDir,
}

/// A squid about to be started.
#[must_use]
pub struct SquidBuilder {
    at: SocketAddr,
    nameserver: IpAddr,
    rules: String,
}

impl Squid {
    /// A proxy that lets everybody go everywhere, and asks this nameserver for the way.
    pub fn at(at: impl Into<SocketAddr>, nameserver: impl Into<IpAddr>) -> SquidBuilder {
        SquidBuilder {
            at: at.into(),
            nameserver: nameserver.into(),
            rules: String::new(),
        }
    }

    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

impl SquidBuilder {
    /// Answers 403 for a domain and all below it.
    pub fn deny(mut self, domain: &str) -> Self {
        self.rules.push_str(&format!(
            "acl denied dstdomain .{domain}\nhttp_access deny denied\n"
        ));
        self
    }

    /// Answers 407 to everybody who does not say who they are.
    pub fn ask_for_credentials(mut self) -> Self {
        self.rules.push_str(
            "auth_param basic program /usr/lib/squid/basic_fake_auth\n\
            acl known proxy_auth REQUIRED\n\
            http_access deny !known\n",
        );
        self
    }

    pub fn start(self) -> Result<Squid> {
        let Self {
            at,
            nameserver,
            rules,
        } = self;
        let folder = tempfile::tempdir()?;
        let user = User::from_name(USER)?.context("squid's user is missing")?;
        chown(
            folder.path(),
            Some(user.uid.as_raw()),
            Some(user.gid.as_raw()),
        )?;
        let config = folder.path().join("squid.conf");
        fs::write(
            &config,
            format!(
                "http_port {at}\n\
                dns_nameservers {nameserver}\n\
                hosts_file none\n\
                cache deny all\n\
                access_log none\n\
                cache_log /dev/stderr\n\
                pid_filename none\n\
                pinger_enable off\n\
                coredump_dir {}\n\
                visible_hostname proxy.contoso.example\n\
                shutdown_lifetime 0 seconds\n\
                cache_effective_user {USER}\n\
                {rules}\
                http_access allow all\n",
                folder.path().display()
            ),
        )?;
        let mut command = Command::new("/usr/sbin/squid");
        command.args(["-N", "-f"]).arg(&config);
        let process = Process::start(command, folder.path(), || {
            TcpStream::connect_timeout(&at, Duration::from_secs(1)).context("not listening")?;
            Ok(())
        })?;
        Ok(Squid {
            process,
            _folder: folder,
        })
    }
}
