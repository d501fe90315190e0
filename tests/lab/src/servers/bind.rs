//! BIND's `named`, with the zones and the faults a test gives it.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

use super::nameserver_answers;
use crate::addresses;
use crate::process::Process;

/// A running `named`; it ends when dropped.
pub struct Bind {
    addr: SocketAddr,
    process: Process,
    _folder: TempDir,
}

/// A `named` about to be started.
#[must_use]
pub struct BindBuilder {
    at: SocketAddr,
    options: String,
    /// The zones' statements, and their files.
    zones: String,
    files: Vec<(String, String)>,
    recursion: bool,
}

impl Bind {
    /// A server without zones, which refuses every question. Unlike everything else of the lab it
    /// listens only on addresses that an interface has: on loopback that is 127.0.0.1 alone.
    pub fn at(at: impl Into<SocketAddr>) -> BindBuilder {
        BindBuilder {
            at: at.into(),
            options: String::new(),
            zones: String::new(),
            files: Vec::new(),
            recursion: false,
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

impl BindBuilder {
    /// A zone with these records, in the master file format (RFC 1035, section 5); SOA, NS and a
    /// TTL of 60 seconds are added.
    pub fn zone(self, name: &str, records: &str) -> Self {
        let head = "$TTL 60\n@ SOA ns hostmaster 1 3600 300 604800 10\n@ NS ns\nns A 192.0.2.53\n";
        self.zone_file(name, format!("{head}{records}\n"))
    }

    /// A zone whose file is damaged: SERVFAIL for every name in it.
    pub fn broken_zone(self, name: &str) -> Self {
        self.zone_file(name, "this is not a zone\n".to_owned())
    }

    /// Asks another server for everything below a name; SERVFAIL if that one is dead. It makes the
    /// server a recursive one, which looks for names of no zone on the Internet.
    pub fn forward(mut self, zone: &str, to: SocketAddr) -> Self {
        self.recursion = true;
        let _ = writeln!(
            self.zones,
            "zone \"{zone}\" {{ type forward; forward only; forwarders {{ {} port {}; }}; }};",
            to.ip(),
            to.port()
        );
        self
    }

    /// The largest answer over UDP, 512 or more; anything above has the TC bit.
    pub fn max_udp_size(mut self, bytes: u16) -> Self {
        let _ = writeln!(self.options, "max-udp-size {bytes};");
        self
    }

    /// Follows aliases from zone to zone, as a node's nameserver does. It will look for names of no
    /// zone on the Internet.
    pub fn recursive(mut self) -> Self {
        self.recursion = true;
        self
    }

    /// The order of a name's addresses, in BIND's words: `none` is the same each time, `cyclic`
    /// another.
    pub fn rrset_order(mut self, order: &str) -> Self {
        let _ = writeln!(self.options, "rrset-order {{ order {order}; }};");
        self
    }

    /// Has room for bursts of questions.
    pub fn deep_queue(mut self) -> Self {
        let _ = writeln!(self.options, "udp-receive-buffer {};", 4 << 20);
        self
    }

    pub fn start(self) -> Result<Bind> {
        let addr = addresses::with_port(self.at)?;
        let folder = tempfile::tempdir()?;
        for (file, text) in &self.files {
            fs::write(folder.path().join(file), text)?;
        }
        let config = folder.path().join("named.conf");
        fs::write(&config, self.config(addr, &folder.path().to_string_lossy()))?;
        let mut command = Command::new("/usr/sbin/named");
        command.args(["-g", "-n", "1", "-c"]).arg(&config);
        let process = Process::start(command, folder.path(), || nameserver_answers(addr))?;
        Ok(Bind {
            addr,
            process,
            _folder: folder,
        })
    }

    fn zone_file(mut self, name: &str, text: String) -> Self {
        let file = format!("{name}.zone");
        let _ = writeln!(
            self.zones,
            "zone \"{name}\" {{ type master; file \"{file}\"; }};"
        );
        self.files.push((file, text));
        self
    }

    fn config(&self, addr: SocketAddr, folder: &str) -> String {
        let Self { options, zones, .. } = self;
        let (ip, port) = (addr.ip(), addr.port());
        let recursion = if self.recursion { "yes" } else { "no" };
        format!(
            "options {{
                directory \"{folder}\";
                pid-file none;
                lock-file none;
                session-keyfile \"{folder}/session.key\";
                listen-on port {port} {{ {ip}; }};
                listen-on-v6 {{ none; }};
                dnssec-validation no;
                minimal-responses yes;
                notify no;
                recursion {recursion};
                allow-query {{ any; }};
                {options}
            }};
            controls {{ }};
            {zones}"
        )
    }
}
