//! `nginx` as a front: it ends TLS for a registry behind it, or answers by itself.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::addresses;
use crate::pki::Identity;
use crate::process::Process;

/// A running `nginx`; it ends when dropped.
pub struct Nginx {
    addr: SocketAddr,
    process: Process,
    _folder: TempDir,
}

/// An `nginx` about to be started.
#[must_use]
pub struct NginxBuilder {
    at: SocketAddr,
    identity: Option<Identity>,
    protocols: String,
    ciphers: Option<String>,
    locations: String,
    access_log: &'static str,
}

impl Nginx {
    /// A server of plain HTTP that answers 404 to everything.
    pub fn at(at: impl Into<SocketAddr>) -> NginxBuilder {
        NginxBuilder {
            at: at.into(),
            identity: None,
            protocols: "TLSv1.2 TLSv1.3".to_owned(),
            ciphers: None,
            locations: String::new(),
            access_log: "/dev/stdout",
        }
    }

    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

impl NginxBuilder {
    /// Speaks TLS with this certificate.
    pub fn tls(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    /// Speaks these versions only, as nginx writes them: `TLSv1.2`, `TLSv1.3`.
    pub fn protocols(mut self, protocols: &str) -> Self {
        protocols.clone_into(&mut self.protocols);
        self
    }

    /// Has these cipher suites only, as OpenSSL writes those of TLS 1.2.
    pub fn ciphers(mut self, ciphers: &str) -> Self {
        self.ciphers = Some(ciphers.to_owned());
        self
    }

    /// Passes everything on, over TLS.
    pub fn pass_to_tls(mut self, upstream: SocketAddr) -> Self {
        let _ = writeln!(
            self.locations,
            "location / {{
                proxy_pass https://{upstream};
                proxy_set_header Host $http_host;
                proxy_read_timeout 5s;
            }}"
        );
        self
    }

    /// Passes everything on, over plain HTTP, and tells the registry by which name and scheme it
    /// was asked, so that it can say so in its challenge and its redirects.
    pub fn pass_to(mut self, upstream: SocketAddr) -> Self {
        let _ = writeln!(
            self.locations,
            "location / {{
                proxy_pass http://{upstream};
                proxy_set_header Host $http_host;
                proxy_set_header X-Forwarded-Proto $scheme;
                proxy_read_timeout 5s;
            }}"
        );
        self
    }

    /// Answers one path by itself.
    pub fn answer(mut self, path: &str, status: u16, body: &str) -> Self {
        let _ = writeln!(
            self.locations,
            "location = {path} {{ return {status} '{body}'; }}"
        );
        self
    }

    /// Answers one path with 401 and this challenge, as a registry does.
    pub fn challenge(mut self, path: &str, challenge: &str) -> Self {
        let challenge = challenge.replace('"', "\\\"");
        let _ = writeln!(
            self.locations,
            "location = {path} {{
                add_header Www-Authenticate \"{challenge}\" always;
                add_header Docker-Distribution-Api-Version registry/2.0 always;
                default_type application/json;
                return 401 '{{\"errors\": [{{\"code\": \"UNAUTHORIZED\"}}]}}';
            }}"
        );
        self
    }

    /// Answers 401 unless the header `Authorization` is one of these.
    pub fn wants_authorization(mut self, known: &[&str]) -> Self {
        let known = known.iter();
        let known = known
            .map(|one| format!("if ($http_authorization = \"{one}\") {{ set $known yes; }}\n"));
        let _ = writeln!(
            self.locations,
            "set $known no; {} if ($known = no) {{ return 401; }}",
            known.collect::<String>()
        );
        self
    }

    /// Writes no line for each request.
    pub fn without_log(mut self) -> Self {
        self.access_log = "off";
        self
    }

    pub fn start(self) -> Result<Nginx> {
        let addr = addresses::with_port(self.at)?;
        let folder = tempfile::tempdir()?;
        let at = folder.path().display();
        let tls = match &self.identity {
            Some(identity) => {
                let files = identity.write(&folder)?;
                let ciphers = self.ciphers.iter();
                let ciphers = ciphers.map(|ciphers| format!("ssl_ciphers {ciphers};"));
                format!(
                    "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols {}; {}",
                    files.chain.display(),
                    files.key.display(),
                    self.protocols,
                    ciphers.collect::<String>()
                )
            }
            None => String::new(),
        };
        let ssl = if tls.is_empty() { "" } else { " ssl" };
        let (locations, access_log) = (&self.locations, self.access_log);
        // One process, so that ending it ends everything.
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log stderr;
            events {{ }}
            http {{
                access_log {access_log};
                client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;
                fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
                server {{ listen {addr}{ssl}; {tls} {locations} }}
            }}"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config)?;
        let mut command = Command::new("/usr/sbin/nginx");
        command
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .args(["-e", "stderr"]);
        let process = Process::start(command, folder.path(), || {
            TcpStream::connect_timeout(&addr, Duration::from_secs(1)).context("not listening")?;
            Ok(())
        })?;
        Ok(Nginx {
            addr,
            process,
            _folder: folder,
        })
    }
}
