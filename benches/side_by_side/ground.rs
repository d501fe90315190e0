//! The common environment of all contenders: one network namespace with one nameserver and one registry
//! front end, and a name and an address for each registry.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::Result;
use regprobe_lab::{
    netns::Namespace,
    pki::Pki,
    servers::{Bind, Nginx},
};
use tempfile::TempDir;

/// The registries, each with its own name and address.
pub(crate) const REGISTRIES: u16 = 400;
const DOMAIN: &str = "bench.example";
pub(crate) const NAMESERVER: Ipv4Addr = Ipv4Addr::LOCALHOST;

pub(crate) struct Ground {
    pub(crate) namespace: Namespace,
    folder: TempDir,
    _nginx: Nginx,
    _bind: Bind,
}

impl Ground {
    pub(crate) fn new() -> Result<Self> {
        let namespace = Namespace::new("bench")?;
        let resolv_conf = format!("nameserver {NAMESERVER}\n");
        namespace.etc("resolv.conf", &resolv_conf)?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("resolv.conf"), &resolv_conf)?;
        let pki = Pki::new()?;
        pki.write_ca(folder.path().join("ca.crt"))?;
        let identity = pki.leaf([format!("*.{DOMAIN}")]).issue()?;
        let (nginx, bind) = namespace.enter(|| {
            let challenge = "Bearer realm=\"https://$host/token\",service=\"bench\"";
            let nginx = Nginx::at((Ipv4Addr::UNSPECIFIED, 443))
                .tls(&identity)
                .without_log()
                .challenge("/v2/", challenge)
                .answer("/token", 200, "{\"token\": \"opaque\"}")
                .answer("/", 200, "{}")
                .start()?;
            let names =
                (0..REGISTRIES).map(|number| format!("r{number:03} A {}\n", address(number)));
            let zone = Bind::at((NAMESERVER, 53)).zone(DOMAIN, &names.collect::<String>());
            Ok((nginx, zone.deep_queue().start()?))
        })?;
        Ok(Self {
            namespace,
            folder,
            _nginx: nginx,
            _bind: bind,
        })
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.file("ca.crt")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.file(name);
        fs::write(&file, text)?;
        Ok(file)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The address on which the contender with this port listens.
pub(crate) fn web(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

pub(crate) fn host(number: u16) -> String {
    format!("r{number:03}.{DOMAIN}")
}

pub(crate) fn address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}
