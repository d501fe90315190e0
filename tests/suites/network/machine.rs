//! The lab with the machine's programs: real servers, a real containerd, real network namespaces. If this
//! fails, no end-to-end test can be trusted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::need::Need;
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::addresses::{free_addr, loopback};
use regprobe_lab::fakes::acr::{Acr, Answer, Route};
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::fakes::sockets;
use regprobe_lab::image::Image;
use regprobe_lab::netns::{Direction, Namespace};
use regprobe_lab::pki::Pki;
use regprobe_lab::servers::{
    Bind, Containerd, Dnsmasq, DockerRegistry, Nginx, Prometheus, TokenServer,
};

pub(crate) fn suite() -> Suite {
    Suite::of([
        test("BIND serves zones and faults", bind_serves_zones_and_faults)
            .needs([Need::BIND, Need::DIG]),
        test(
            "a server that fails shows its log",
            failing_server_shows_its_log,
        )
        .needs([Need::BIND]),
        test("dnsmasq forwards and answers", dnsmasq_forwards_and_answers)
            .needs([Need::DNSMASQ, Need::DIG]),
        test("nginx fronts a registry", nginx_fronts_a_registry).needs([Need::NGINX, Need::CURL]),
        test(
            "Prometheus scrapes and answers",
            prometheus_scrapes_and_answers,
        )
        .needs([Need::PROMETHEUS]),
        test(
            "an open registry accepts an image",
            open_registry_takes_an_image,
        )
        .needs([Need::DOCKER_REGISTRY, Need::CURL]),
        test(
            "the real registry accepts our tokens",
            real_registry_takes_our_tokens,
        )
        .needs([Need::DOCKER_REGISTRY, Need::CURL]),
        test("containerd pulls from the fake registry", containerd_pulls)
            .needs([Need::Root, Need::CONTAINERD]),
        test(
            "a node pulls by name from another network",
            node_pulls_by_name,
        )
        .needs([Need::Root, Need::IPROUTE, Need::CONTAINERD]),
        test("networks lose and reject packets", networks_lose_and_reject).needs([
            Need::Root,
            Need::IPROUTE,
            Need::NFTABLES,
            Need::CURL,
        ]),
        test(
            "real servers live in a namespace",
            real_servers_in_a_namespace,
        )
        .needs([Need::Root, Need::IPROUTE, Need::BIND, Need::DIG]),
    ])
}

fn bind_serves_zones_and_faults() -> Result<()> {
    let ip = Ipv4Addr::LOCALHOST;
    let dead = sockets::closed((ip, 0))?;
    let many: String = (1..=60).map(|n| format!("many A 10.1.0.{n}\n")).collect();
    let bind = Bind::at((ip, 0))
        .zone(
            "azurecr.io",
            &format!("contoso CNAME contoso.privatelink\n{many}"),
        )
        .zone("privatelink.azurecr.io", "contoso A 10.240.1.4")
        .broken_zone("broken.example")
        .forward("dead.example", dead.addr())
        .max_udp_size(512)
        .start()?;
    let dig = |name, extra: &[&str]| dig(bind.addr(), name, extra);
    let chain = dig("contoso.azurecr.io", &[])?;
    says(&chain, "contoso.privatelink.azurecr.io.")?;
    says(&chain, "10.240.1.4")?;
    says(&dig("fabrikam.azurecr.io", &[])?, "status: NXDOMAIN")?;
    says(&dig("many.azurecr.io", &["+ignore"])?, "flags: qr aa tc")?;
    says(&dig("many.azurecr.io", &[])?, "10.1.0.60")?;
    says(&dig("a.broken.example", &[])?, "status: SERVFAIL")?;
    says(&dig("a.dead.example", &[])?, "status: SERVFAIL")
}

fn failing_server_shows_its_log() -> Result<()> {
    let twice = Bind::at((Ipv4Addr::LOCALHOST, 0))
        .zone("azurecr.io", "")
        .zone("azurecr.io", "");
    let error = twice
        .start()
        .err()
        .context("a zone given twice was accepted")?;
    says(&format!("{error:#}"), "already exists")
}

fn dnsmasq_forwards_and_answers() -> Result<()> {
    let ip = loopback();
    let upstream = Dns::start((ip, 0))?;
    upstream
        .zone("azurecr.io")
        .address("contoso.azurecr.io", [[10, 240, 1, 4]], 60);
    let dnsmasq = Dnsmasq::at((ip, 0))
        .address("pinned.example", [192, 0, 2, 7])
        .forward("azurecr.io", upstream.addr())
        .start()?;
    says(&dig(dnsmasq.addr(), "pinned.example", &[])?, "192.0.2.7")?;
    says(
        &dig(dnsmasq.addr(), "contoso.azurecr.io", &[])?,
        "10.240.1.4",
    )?;
    says(
        &dig(dnsmasq.addr(), "contoso.example", &[])?,
        "status: REFUSED",
    )?;
    says(&dnsmasq.log(), "forwarded contoso.azurecr.io")
}

fn nginx_fronts_a_registry() -> Result<()> {
    let ip = loopback();
    let identity = Pki::new()?.leaf([ip.to_string()]).issue()?;
    let registry = Acr::at("contoso.azurecr.io", (ip, 0)).start()?;
    let nginx = Nginx::at((ip, 0))
        .tls(&identity)
        .protocols("TLSv1.2")
        .answer("/portal", 200, "Please log in.")
        .pass_to(registry.addr())
        .start()?;
    let challenge = curl(&["-vk", &format!("https://{}/v2/", nginx.addr())])?;
    says(&challenge, "TLSv1.2")?;
    says(&challenge, "Www-Authenticate: Bearer")?;
    let portal = curl(&["-k", &format!("https://{}/portal", nginx.addr())])?;
    says(&portal, "Please log in.")
}

fn prometheus_scrapes_and_answers() -> Result<()> {
    let itself = free_addr(loopback())?;
    let prometheus = Prometheus::scraping(itself, itself)?;
    let scrapes = prometheus.value("count_over_time(up[1m]) > 1", Duration::from_secs(15))?;
    ensure!(scrapes > 1.0);
    Ok(())
}

fn open_registry_takes_an_image() -> Result<()> {
    let registry = DockerRegistry::open((loopback(), 0))?;
    registry.push(&Image::hello()?)?;
    let manifest = format!("http://{}/v2/probe/hello/manifests/v1", registry.addr());
    says(&curl(&["-H", ACCEPT, &manifest])?, "HTTP/1.1 200")
}

fn real_registry_takes_our_tokens() -> Result<()> {
    let ip = loopback();
    let tokens = TokenServer::start((ip, 0))?;
    let registry = DockerRegistry::with_tokens((ip, 0), &tokens)?;
    registry.push_with_token(&Image::hello()?, &tokens)?;
    let base = format!("http://{}/v2/", registry.addr());
    let manifest = format!("{base}probe/hello/manifests/v1");
    says(&curl(&[&base])?, &format!("realm=\"{}\"", tokens.realm()))?;
    says(&curl(&[&manifest])?, "HTTP/1.1 401")?;

    let (realm, service) = (tokens.realm(), tokens.service());
    let token = format!("{realm}?service={service}&scope=repository:probe/hello:pull");
    says(&curl(&[&token])?, "HTTP/1.1 401")?;
    tokens.grant("probe/hello");
    let granted = curl(&[&token])?;
    let token = granted.split('"').find(|word| word.starts_with("ey"));
    let bearer = format!("Authorization: Bearer {}", token.context(granted.clone())?);
    let pulled = curl(&["-H", ACCEPT, "-H", &bearer, &manifest])?;
    says(&pulled, "HTTP/1.1 200").with_context(|| registry.log())
}

fn containerd_pulls() -> Result<()> {
    let pki = Pki::new()?;
    let (login, data) = (loopback(), loopback());
    let acr = Acr::at(&login.to_string(), (login, 0))
        .data(&data.to_string(), (data, 0))
        .tls(&pki)
        .image(Image::hello()?)
        .anonymous_pull()
        .start()?;
    let reference = format!("{}/probe/hello:v1", acr.server());

    let containerd = Containerd::start()?;
    containerd.trust(&acr.server(), &pki.ca_pem())?;
    let pulled = containerd.pull(&reference)?;
    ensure!(pulled.ok, "{}", pulled.said);
    ensure!(
        !acr.seen_on(Route::Data).is_empty(),
        "no blob came from the data endpoint"
    );
    let with_bearer = |route| {
        let seen = acr.seen_on(route);
        seen.iter()
            .any(|seen| seen.header("authorization").is_some())
    };
    ensure!(with_bearer(Route::Manifest));

    acr.answer(Route::Token, Answer::Firewall([203, 0, 113, 9].into()));
    let refused = containerd.pull(&reference)?;
    ensure!(!refused.ok);
    says(&refused.said, "403 Forbidden")
}

/// A node, Azure at the other end of a cable, and a registry there with its real names and ports.
struct Cluster {
    node: Namespace,
    azure: Namespace,
    dns: Dns,
    acr: Acr,
    pki: Pki,
}

const LOGIN: [u8; 4] = [10, 240, 1, 4];
const DATA: [u8; 4] = [10, 240, 1, 5];
const NAMESERVER: [u8; 4] = [198, 18, 0, 53];

impl Cluster {
    fn new() -> Result<Self> {
        let node = Namespace::new("node")?;
        let azure = Namespace::new("azure")?;
        node.cable("198.18.0.10/24", &azure, "198.18.0.53/24")?;
        node.route("10.240.0.0/16", "198.18.0.53")?;
        azure.address("10.240.1.4/32")?;
        azure.address("10.240.1.5/32")?;
        node.etc("resolv.conf", "nameserver 198.18.0.53\n")?;

        let dns = azure.enter(|| Dns::start((NAMESERVER, 53)))?;
        let names = dns.acr("contoso");
        names.login().linked([LOGIN]);
        names.data("westeurope").linked([DATA]);
        let pki = Pki::new()?;
        let acr = azure.enter(|| {
            Acr::at(names.login().host(), (LOGIN, 443))
                .data(names.data("westeurope").host(), (DATA, 443))
                .tls(&pki)
                .image(Image::hello()?)
                .anonymous_pull()
                .start()
        })?;
        Ok(Self {
            node,
            azure,
            dns,
            acr,
            pki,
        })
    }

    fn ping(&self) -> Result<String> {
        run(self
            .node
            .command("curl")
            .args(CURL)
            .args(["-k", "https://contoso.azurecr.io/v2/"]))
    }
}

fn node_pulls_by_name() -> Result<()> {
    let cluster = Cluster::new()?;
    let pull = || {
        let containerd = Containerd::start()?;
        containerd.trust(&cluster.acr.server(), &cluster.pki.ca_pem())?;
        containerd.pull_from(&cluster.node, "contoso.azurecr.io/probe/hello:v1")
    };
    let pulled = pull()?;
    ensure!(pulled.ok, "{}", pulled.said);

    cluster
        .dns
        .acr("contoso")
        .data("westeurope")
        .record_missing();
    let failed = pull()?;
    ensure!(!failed.ok);
    says(&failed.said, "httpReadSeeker: failed open")?;
    says(&failed.said, "no such host")
}

fn networks_lose_and_reject() -> Result<()> {
    let cluster = Cluster::new()?;
    says(&cluster.ping()?, "HTTP/1.1 401")?;
    cluster.azure.filter(Direction::In, "tcp dport 443 drop")?;
    says(&cluster.ping()?, "Connection timed out")?;
    cluster.azure.clear_filters()?;
    cluster
        .azure
        .filter(Direction::In, "tcp dport 443 reject with tcp reset")?;
    says(&cluster.ping()?, "Couldn't connect")?;
    cluster.azure.clear_filters()?;
    says(&cluster.ping()?, "HTTP/1.1 401")?;

    let cable = cluster
        .node
        .cable("198.18.1.1/24", &cluster.azure, "198.18.1.2/24")?;
    cable.unplug()?;
    let unplugged = run(cluster
        .node
        .command("curl")
        .args(CURL)
        .arg("http://198.18.1.2/"))?;
    says(&unplugged, "Couldn't connect")?;
    cable.plug_in()
}

fn real_servers_in_a_namespace() -> Result<()> {
    let node = Namespace::new("node")?;
    node.address("10.240.0.53/32")?;
    let _bind = node.enter(|| {
        Bind::at(([10, 240, 0, 53], 53))
            .zone("azurecr.io", "contoso A 10.240.1.4")
            .start()
    })?;
    let said = run(node
        .command("dig")
        .args(["@10.240.0.53", "contoso.azurecr.io", "+short"]))?;
    says(&said, "10.240.1.4")
}

const ACCEPT: &str = "Accept: application/vnd.oci.image.index.v1+json";
const CURL: [&str; 5] = ["--noproxy", "*", "-sSi", "--max-time", "2"];

fn curl(arguments: &[&str]) -> Result<String> {
    run(Command::new("curl").args(CURL).args(arguments))
}

fn dig(server: SocketAddr, name: &str, extra: &[&str]) -> Result<String> {
    let ip: IpAddr = server.ip();
    run(Command::new("dig")
        .args([&format!("@{ip}"), "-p", &server.port().to_string(), name])
        .args(["+tries=1", "+time=5"])
        .args(extra))
}

fn run(command: &mut Command) -> Result<String> {
    let out = command.output()?;
    Ok(String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
}

fn says(text: &str, expected: &str) -> Result<()> {
    ensure!(text.contains(expected), "expected {expected:?} in {text}");
    Ok(())
}
