//! The registries of the arena, the proxy, and the configuration that names them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::path::Path;

use anyhow::Result;
use regprobe_lab::fakes::acr::Acr;
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::fakes::proxy::Proxy;
use regprobe_lab::image::Image;
use regprobe_lab::pki::Pki;

use super::{
    ATTACKED, BEHIND, BYSTANDER, HTTPS, LIMIT, OFF_LIMITS, PROXIED, PROXY, PROXY_PORT, REGISTRY,
};

/// A registry that is not attacked.
pub(super) struct Bystander {
    pub(super) name: String,
    pub(super) host: String,
    pub(super) port: u16,
}

impl Bystander {
    pub(super) fn new(number: u16) -> Self {
        let name = format!("bystander-{number}");
        Self {
            host: format!("{name}.registry.example"),
            name,
            port: HTTPS + number,
        }
    }
}

pub(super) fn servers(pki: &Pki, dns: &Dns, bystanders: &[Bystander]) -> Result<(Vec<Acr>, Proxy)> {
    let mut acrs = Vec::new();
    let attacked = [(ATTACKED.1, REGISTRY, HTTPS), (PROXIED.1, BEHIND, HTTPS)];
    let bystanders = bystanders
        .iter()
        .map(|Bystander { host, port, .. }| (host.as_str(), BYSTANDER, *port));
    for (host, address, port) in attacked.into_iter().chain(bystanders) {
        let acr = Acr::at(host, (address, port))
            .tls(pki)
            .image(Image::hello()?)
            .anonymous_pull();
        acrs.push(acr.start()?);
        dns.address(host, [address], 1);
    }
    let proxy = Proxy::start((PROXY, PROXY_PORT))?;
    let proxied = format!("{}:{HTTPS}", PROXIED.1);
    proxy.host(&proxied, SocketAddr::from((BEHIND, HTTPS)));
    Ok((acrs, proxy))
}

/// A connection to one of them proves a redirect.
pub(super) fn canaries() -> Result<Vec<StdListener>> {
    let mut canaries = Vec::new();
    for address in OFF_LIMITS.into_iter().chain([Ipv4Addr::LOCALHOST]) {
        for port in [80, HTTPS] {
            let canary = StdListener::bind((address, port))?;
            canary.set_nonblocking(true)?;
            canaries.push(canary);
        }
    }
    Ok(canaries)
}

pub(super) fn config_in(folder: &Path, bystanders: &[Bystander]) -> String {
    let at = folder.display();
    let attacked = [ATTACKED, PROXIED].map(|(name, host)| {
        format!(
            "- {{server: \"{host}:{HTTPS}\", name: {name}, images: [\"probe/hello:v1\"], \
             anonymous_pull: true, throughput: {{bytes: 256KiB, floor: 1MiB/s}}}}\n"
        )
    });
    let bystanders = bystanders.iter().map(|Bystander { name, host, port }| {
        format!("- {{server: \"{host}:{port}\", name: {name}}}\n")
    });
    let entries = attacked.into_iter().chain(bystanders);
    format!(
        "registries:\n{}\
         node: {{resolv_conf: {at}/resolv.conf, hosts: {at}/hosts, certs_d: {at}/certs.d, containerd: 2.4}}\n\
         schedule: {{network_interval: 1s, request_interval: 1s, token_interval: 1s, \
         image_interval: 1s, timeout: {}s}}\n",
        entries.collect::<String>(),
        LIMIT.as_secs(),
    )
}
