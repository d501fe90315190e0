//! What the demo's agent is to watch: a nameserver, a registry with private link and its public
//! twin, all on loopback addresses, and what the agent is told of them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Result;
use regprobe_lab::acr::{Acr, Answer, Route};
use regprobe_lab::addresses::free_port;
use regprobe_lab::dns::Dns;
use regprobe_lab::pki::Pki;
use regprobe_lab::private_link::Endpoint;
use regprobe_lab::sockets::{self, Trap};
use tempfile::TempDir;

/// Where the names of the login server and of the data endpoints lead with private link in place.
pub(super) const PRIVATE: [Ipv4Addr; 3] = [
    Ipv4Addr::new(127, 10, 0, 4),
    Ipv4Addr::new(127, 10, 0, 5),
    Ipv4Addr::new(127, 10, 0, 6),
];
/// Where the login server's private endpoint was once.
const DEAD: Ipv4Addr = Ipv4Addr::new(127, 10, 0, 9);
/// The part of the public internet here.
const PUBLIC: [Ipv4Addr; 3] = [
    Ipv4Addr::new(127, 20, 0, 1),
    Ipv4Addr::new(127, 20, 0, 2),
    Ipv4Addr::new(127, 20, 0, 3),
];
pub(super) const REGIONS: [&str; 2] = ["westeurope", "northeurope"];
/// The address that a firewall would see this node come from.
const EGRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

/// Everything but the agent; it ends when dropped.
pub(super) struct Ground {
    dns: Dns,
    private: Acr,
    _public: Acr,
    /// Where nothing answers, while a name leads there.
    dead: Option<Trap>,
    folder: TempDir,
}

impl Ground {
    pub(super) fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let pki = Pki::new()?;
        pki.write_ca(folder.path().join("ca.crt"))?;
        let dns = Dns::start((Ipv4Addr::LOCALHOST, 0))?;
        // All endpoints of a registry have one port.
        let port = free_port()?;
        let mut ground = Self {
            private: registry(&dns, &pki, PRIVATE, port)?,
            _public: registry(&dns, &pki, PUBLIC, port)?,
            dns,
            dead: None,
            folder,
        };
        ground.mend();
        ground.write_config()?;
        Ok(ground)
    }

    /// Where the files of the demo are, `regprobe.yaml` among them.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the agent is told.
    pub(super) fn config(&self) -> PathBuf {
        self.folder().join("regprobe.yaml")
    }

    pub(super) fn nameserver(&self) -> SocketAddr {
        self.dns.addr()
    }

    pub(super) fn server(&self) -> String {
        self.private.server()
    }

    /// All is well, as at the start.
    pub(super) fn mend(&mut self) {
        for (name, address) in names(&self.dns).into_iter().zip(PRIVATE) {
            name.linked([address]);
        }
        self.private.mend();
        self.dead = None;
    }

    /// All names lead to public addresses.
    pub(super) fn unlink(&self) {
        for (name, address) in names(&self.dns).into_iter().zip(PUBLIC) {
            name.unlinked([address]);
        }
    }

    /// The second region's data endpoint has no record.
    pub(super) fn lose_data_record(&self) {
        let [_, _, north] = names(&self.dns);
        north.record_missing();
    }

    /// The registry answers everything with 403, as its network rules make it do.
    pub(super) fn close_firewall(&self) {
        for route in [Route::Ping, Route::Token] {
            self.private.answer(route, Answer::Firewall(EGRESS.into()));
        }
    }

    /// The login server's name leads where nothing answers.
    pub(super) fn lead_to_dead_address(&mut self) -> Result<()> {
        self.dead = Some(sockets::unanswered((DEAD, self.private.addr().port()))?);
        let [login, ..] = names(&self.dns);
        login.linked([DEAD]);
        Ok(())
    }

    fn write_config(&self) -> Result<()> {
        let path = |name| self.folder().join(name);
        let (server, dns) = (self.server(), self.nameserver());
        let [resolv_conf, hosts, certs_d, ca_file] = ["resolv.conf", "hosts", "certs.d", "ca.crt"]
            .map(|name| path(name).display().to_string());
        fs::write(
            path("resolv.conf"),
            format!("nameserver [{}]:{}\n", dns.ip(), dns.port()),
        )?;
        fs::write(path("hosts"), "")?;
        fs::write(
            self.config(),
            format!(
                "registries:\n\
                 - server: {server}\n  \
                   name: contoso\n  \
                   regions: [{regions}]\n  \
                   private: [127.10.0.0/16]\n\
                 node: {{resolv_conf: {resolv_conf}, hosts: {hosts}, certs_d: {certs_d}, proxy: none}}\n\
                 schedule: {{network_interval: 1s, request_interval: 2s, token_interval: 4s, timeout: 3s}}\n\
                 fleet: {{size: 1}}\n\
                 tls: {{ca_file: {ca_file}}}\n",
                regions = REGIONS.join(", ")
            ),
        )?;
        Ok(())
    }
}

/// The login server's name and those of the data endpoints.
fn names(dns: &Dns) -> [Endpoint<'_>; 3] {
    let contoso = dns.acr("contoso");
    [
        contoso.login(),
        contoso.data(REGIONS[0]),
        contoso.data(REGIONS[1]),
    ]
}

fn registry(dns: &Dns, pki: &Pki, at: [Ipv4Addr; 3], port: u16) -> Result<Acr> {
    let [login, west, north] = names(dns);
    Acr::at(login.host(), (at[0], port))
        .data(west.host(), (at[1], port))
        .data(north.host(), (at[2], port))
        .tls(pki)
        .start()
}
