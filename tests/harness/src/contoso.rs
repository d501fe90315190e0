//! A healthy registry, and a node that finds and trusts it: each test breaks one thing.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use regprobe_lab::addresses::loopback;
use regprobe_lab::fakes::acr::{Acr, Answer, Challenge, Route};
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::image::Image;
use regprobe_lab::pki::Pki;

use crate::node::{Check, Node, Report};

pub const LOGIN: &str = "contoso.azurecr.io";
pub const DATA: &str = "contoso.westeurope.data.azurecr.io";

/// A healthy registry with a data endpoint, and a node that finds and trusts it.
pub struct Contoso {
    pub pki: Pki,
    pub dns: Dns,
    pub acr: Acr,
    pub node: Node,
}

impl Contoso {
    pub fn new() -> Result<Self> {
        Self::at_addresses(1)
    }

    /// The login server at several addresses.
    pub fn at_addresses(count: usize) -> Result<Self> {
        let (pki, dns) = (Pki::new()?, Dns::start((loopback(), 0))?);
        let ips: Vec<_> = (0..count).map(|_| loopback()).collect();
        let data = loopback();
        let acr = Acr::at(LOGIN, (ips[0], 0))
            .data(DATA, (data, 0))
            .tls(&pki)
            .image(Image::hello()?);
        let acr = ips[1..]
            .iter()
            .fold(acr, |acr, ip| acr.also_at((*ip, 0)))
            .start()?;
        dns.zone("azurecr.io")
            .address(LOGIN, ips, 60)
            .address(DATA, [data], 60);
        let node = Node::asking([dns.addr()])?.trusting(&pki.ca_pem())?;
        Ok(Self {
            pki,
            dns,
            acr,
            node,
        })
    }

    pub fn ip(&self) -> IpAddr {
        self.acr.addr().ip()
    }

    pub fn checking(&self) -> Check<'_> {
        let data = self.acr.data_addr(0).map_or(443, |addr| addr.port());
        let setting = format!("data_endpoints: [\"{DATA}:{data}\"]");
        self.node.checking(&self.acr.server()).setting(&setting)
    }

    pub fn check(&self) -> Result<Report> {
        self.checking().run()
    }

    /// Answers `/v2/` with this challenge.
    pub fn challenges(&self, challenge: Challenge) -> Result<Report> {
        self.acr.answer(Route::Ping, Answer::Challenge(challenge));
        self.check()
    }

    /// The login server alone, from a node that asks another nameserver.
    pub fn through(&self, nameserver: SocketAddr) -> Result<Report> {
        let node = Node::asking([nameserver])?.trusting(&self.pki.ca_pem())?;
        node.check(&self.acr.server())
    }
}
