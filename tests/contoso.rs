//! A registry in good health, and a node that finds and trusts it: what a test breaks one thing of.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use regprobe_lab::acr::{Acr, Answer, Challenge, Route};
use regprobe_lab::addresses::loopback;
use regprobe_lab::dns::Dns;
use regprobe_lab::image::Image;
use regprobe_lab::pki::Pki;

use crate::node::{Check, Node, Report};

pub(crate) const LOGIN: &str = "contoso.azurecr.io";
pub(crate) const DATA: &str = "contoso.westeurope.data.azurecr.io";

/// A registry in good health with a data endpoint, and a node that finds and trusts it.
pub(crate) struct Contoso {
    pub(crate) pki: Pki,
    pub(crate) dns: Dns,
    pub(crate) acr: Acr,
    pub(crate) node: Node,
}

impl Contoso {
    pub(crate) fn new() -> Result<Self> {
        Self::at_addresses(1)
    }

    /// The login server at several addresses.
    pub(crate) fn at_addresses(count: usize) -> Result<Self> {
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

    pub(crate) fn ip(&self) -> IpAddr {
        self.acr.addr().ip()
    }

    pub(crate) fn checking(&self) -> Check<'_> {
        let data = self.acr.data_addr(0).map_or(443, |addr| addr.port());
        let setting = format!("data_endpoints: [\"{DATA}:{data}\"]");
        self.node.checking(&self.acr.server()).setting(&setting)
    }

    pub(crate) fn check(&self) -> Result<Report> {
        self.checking().run()
    }

    /// Answers `/v2/` with this challenge.
    pub(crate) fn challenges(&self, challenge: Challenge) -> Result<Report> {
        self.acr.answer(Route::Ping, Answer::Challenge(challenge));
        self.check()
    }

    /// The login server alone, from a node that asks another nameserver.
    pub(crate) fn through(&self, nameserver: SocketAddr) -> Result<Report> {
        let node = Node::asking([nameserver])?.trusting(&self.pki.ca_pem())?;
        node.check(&self.acr.server())
    }
}
