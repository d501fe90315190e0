//! What the demo's agent is to watch: a nameserver, a registry with private link and its public
//! twin, all on loopback addresses, and the files that tell the agent about them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use regprobe_lab::addresses::port_or_free;
use regprobe_lab::fakes::acr::{Acr, Answer, Route};
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::fakes::private_link::Endpoint;
use regprobe_lab::fakes::sockets::{self, Trap};
use regprobe_lab::pki::Pki;

use crate::folder::Folder;

const NAMESERVER: Ipv4Addr = Ipv4Addr::new(127, 10, 0, 53);
/// Ports that any user may listen on, and that are the same each time unless another program has them.
const NAMESERVER_PORT: u16 = 8053;
const REGISTRY_PORT: u16 = 8443;
/// Where the names of the login server and of the data endpoints lead with private link in place.
pub(crate) const PRIVATE: [Ipv4Addr; 3] = [
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
pub(crate) const REGIONS: [&str; 2] = ["westeurope", "northeurope"];
/// The address that a firewall would see this node come from.
const EGRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

/// Everything but the agent; it ends when dropped.
pub(crate) struct Ground {
    dns: Dns,
    private: Acr,
    _public: Acr,
    /// Where nothing answers, while a name leads there.
    dead: Option<Trap>,
}

impl Ground {
    pub(crate) fn new(folder: &Folder) -> Result<Self> {
        let pki = Pki::new()?;
        pki.write_ca(folder.file("ca.crt"))?;
        let dns = Dns::start((NAMESERVER, port_or_free(NAMESERVER_PORT)?))?;
        // All endpoints of a registry have one port.
        let port = port_or_free(REGISTRY_PORT)?;
        let mut ground = Self {
            private: registry(&dns, &pki, PRIVATE, port)?,
            _public: registry(&dns, &pki, PUBLIC, port)?,
            dns,
            dead: None,
        };
        ground.fix();
        ground.write_files(folder)?;
        Ok(ground)
    }

    pub(crate) fn nameserver(&self) -> SocketAddr {
        self.dns.addr()
    }

    pub(crate) fn server(&self) -> String {
        self.private.server()
    }

    /// Nothing is wrong, as at the start.
    pub(crate) fn fix(&mut self) {
        for (name, address) in names(&self.dns).into_iter().zip(PRIVATE) {
            name.linked([address]);
        }
        self.private.fix();
        self.dead = None;
    }

    /// All names lead to public addresses.
    pub(crate) fn unlink(&self) {
        for (name, address) in names(&self.dns).into_iter().zip(PUBLIC) {
            name.unlinked([address]);
        }
    }

    /// The second region's data endpoint has no record.
    pub(crate) fn lose_data_record(&self) {
        let [_, _, north] = names(&self.dns);
        north.record_missing();
    }

    /// The registry answers everything with 403, as its network rules make it do.
    pub(crate) fn close_firewall(&self) {
        for route in [Route::Ping, Route::Token] {
            self.private.answer(route, Answer::Firewall(EGRESS.into()));
        }
    }

    /// The login server's name leads where nothing answers.
    pub(crate) fn lead_to_dead_address(&mut self) -> Result<()> {
        self.dead = Some(sockets::unanswered((DEAD, self.private.addr().port()))?);
        let [login, ..] = names(&self.dns);
        login.linked([DEAD]);
        Ok(())
    }

    /// The configuration, and the files of the node that it names.
    fn write_files(&self, folder: &Folder) -> Result<()> {
        let (server, dns) = (self.server(), self.nameserver());
        let [resolv_conf, hosts, certs_d, ca_file] = ["resolv.conf", "hosts", "certs.d", "ca.crt"]
            .map(|name| folder.file(name).display().to_string());
        fs::write(
            &resolv_conf,
            format!("nameserver [{}]:{}\n", dns.ip(), dns.port()),
        )?;
        fs::write(&hosts, "")?;
        fs::write(
            folder.config(),
            format!(
                "registries:\n\
                 - server: {server}\n  \
                   name: contoso\n  \
                   regions: [{regions}]\n  \
                   private: [127.10.0.0/16]\n\
                 node: {{resolv_conf: {resolv_conf:?}, hosts: {hosts:?}, certs_d: {certs_d:?}, proxy: none}}\n\
                 schedule: {{network_interval: 1s, request_interval: 2s, token_interval: 4s, timeout: 3s}}\n\
                 fleet: {{size: 1}}\n\
                 tls: {{ca_file: {ca_file:?}}}\n",
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
