//! The registries that the agent probes in tests, and the configurations that name them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, Result};
use regprobe_lab::addresses::{free_port, loopback};
use regprobe_lab::fakes::acr::Acr;
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::fakes::private_link::Endpoint;
use regprobe_lab::image::Image;
use regprobe_lab::pki::Pki;
use regprobe_lab::servers::{DockerRegistry, Nginx, TokenServer};
use tempfile::TempDir;

/// A nameserver, an Azure registry `contoso` with two data endpoints and private link, and its
/// public twin.
pub struct Ground {
    pub folder: TempDir,
    pub pki: Pki,
    pub dns: Dns,
    pub contoso: Acr,
    private: [Ipv4Addr; 3],
    _twin: Acr,
    public: [Ipv4Addr; 3],
}

/// The files of a node, and short intervals.
const SETTINGS: &str = "\
schedule: {network_interval: 1s, request_interval: 1s, token_interval: 2s, image_interval: 2s, timeout: 2s}
";

impl Ground {
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let pki = Pki::new()?;
        pki.write_ca(folder.path().join("ca.crt"))?;
        let dns = Dns::start((loopback(), 0))?;
        dns.zone("registry.example");
        let addresses = || [loopback(), loopback(), loopback()];
        let (private, public) = (addresses(), addresses());
        let port = free_port()?;
        let ground = Self {
            contoso: azure(&dns, &pki, private, port)?,
            private,
            _twin: azure(&dns, &pki, public, port)?,
            public,
            folder,
            pki,
            dns,
        };
        ground.link();
        Ok(ground)
    }

    /// The names of `contoso` lead to private addresses.
    pub fn link(&self) {
        for (name, address) in names(&self.dns).into_iter().zip(self.private) {
            name.linked([address]);
        }
    }

    /// They lead to the public twin.
    pub fn unlink(&self) {
        for (name, address) in names(&self.dns).into_iter().zip(self.public) {
            name.unlinked([address]);
        }
    }

    /// Its endpoints as labels, the login server first.
    pub fn contoso_endpoints(&self) -> [String; 3] {
        let port = self.contoso.addr().port();
        names(&self.dns).map(|name| format!("{}:{port}", name.host()))
    }

    /// Its entry in a config.
    pub fn contoso_entry(&self) -> String {
        let [a, b, c] = self.private;
        format!(
            "- server: {}\n  name: contoso\n  regions: [westeurope, northeurope]\n  \
             private: [{a}, {b}, {c}]\n",
            self.contoso.server()
        )
    }

    /// The label of the nameserver.
    pub fn nameserver(&self) -> String {
        self.dns.addr().to_string()
    }

    /// Writes a config with these entries.
    pub fn config(&self, entries: &[&str]) -> Result<PathBuf> {
        self.config_with(entries, "")
    }

    /// Writes a config with these entries and further sections.
    pub fn config_with(&self, entries: &[&str], sections: &str) -> Result<PathBuf> {
        let at = self.folder.path().display();
        let dns = self.dns.addr();
        fs::write(
            self.folder.path().join("resolv.conf"),
            format!("nameserver [{}]:{}\n", dns.ip(), dns.port()),
        )?;
        fs::write(self.folder.path().join("hosts"), "")?;
        self.write_config(&format!(
            "registries:\n{}{SETTINGS}\
             node: {{resolv_conf: {at}/resolv.conf, hosts: {at}/hosts, certs_d: {at}/certs.d, containerd: 2.4}}\n\
             tls: {{ca_file: {at}/ca.crt}}\n{sections}",
            entries.concat()
        ))
    }

    /// Writes this text as the configuration.
    pub fn write_config(&self, text: &str) -> Result<PathBuf> {
        let path = self.folder.path().join("regprobe.yaml");
        fs::write(&path, text)?;
        Ok(path)
    }

    /// A registry of plain HTTP at an address, with one data endpoint, and its entry.
    pub fn plain(&self, name: &str) -> Result<Plain> {
        let (login, data) = (loopback(), loopback());
        let acr = Acr::at(&login.to_string(), (login, 0))
            .data(&data.to_string(), (data, 0))
            .start()?;
        let data = acr.data_addr(0).context("no data endpoint")?;
        Ok(Plain {
            entry: format!(
                "- server: http://{}\n  name: {name}\n  data_endpoints: [\"http://{data}\"]\n",
                acr.addr()
            ),
            data,
            acr,
        })
    }
}

/// The login server's name and those of the data endpoints.
fn names(dns: &Dns) -> [Endpoint<'_>; 3] {
    let contoso = dns.acr("contoso");
    [
        contoso.login(),
        contoso.data("westeurope"),
        contoso.data("northeurope"),
    ]
}

fn azure(dns: &Dns, pki: &Pki, at: [Ipv4Addr; 3], port: u16) -> Result<Acr> {
    let [login, west, north] = names(dns);
    Acr::at(login.host(), (at[0], port))
        .data(west.host(), (at[1], port))
        .data(north.host(), (at[2], port))
        .tls(pki)
        .start()
}

/// A registry without DNS and TLS.
pub struct Plain {
    pub acr: Acr,
    pub data: SocketAddr,
    pub entry: String,
}

/// Debian's registry three times: open, with tokens of another host, and behind TLS.
pub struct Real {
    pub open: DockerRegistry,
    pub with_tokens: DockerRegistry,
    pub tokens: TokenServer,
    pub front: Nginx,
    _behind: DockerRegistry,
}

impl Real {
    pub fn start(ground: &Ground) -> Result<Self> {
        let tokens = TokenServer::start((loopback(), 0))?;
        tokens.grant(Image::hello()?.repository());
        let behind = DockerRegistry::open((loopback(), 0))?;
        let name = "tls.registry.example";
        let front = Nginx::at((loopback(), 0))
            .tls(&ground.pki.leaf([name]).issue()?)
            .pass_to(behind.addr())
            .start()?;
        let real = Self {
            open: DockerRegistry::open((loopback(), 0))?,
            with_tokens: DockerRegistry::with_tokens((loopback(), 0), &tokens)?,
            tokens,
            front,
            _behind: behind,
        };
        real.with_tokens
            .push_with_token(&Image::hello()?, &real.tokens)?;
        for (name, addr) in [
            ("open", real.open.addr()),
            ("tokens", real.with_tokens.addr()),
            ("tls", real.front.addr()),
        ] {
            let name = format!("{name}.registry.example");
            ground.dns.address(&name, [addr.ip()], 60);
        }
        Ok(real)
    }

    pub fn entries(&self) -> String {
        format!(
            "- {{server: \"http://open.registry.example:{}\", name: open}}\n\
             - {{server: \"http://tokens.registry.example:{}\", name: tokens, \
                anonymous_pull: true, images: [\"probe/hello:v1\"]}}\n\
             - {{server: \"tls.registry.example:{}\", name: tls}}\n",
            self.open.addr().port(),
            self.with_tokens.addr().port(),
            self.front.addr().port(),
        )
    }
}
