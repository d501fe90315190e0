//! Pods on several kinds of nodes: what they see of the node, and that they follow its changes.

use std::net::Ipv4Addr;

use std::fs;

use anyhow::{Result, ensure};
use regprobe_harness::program::repository;
use regprobe_lab::fakes::acr::Acr;
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::netns::Namespace;
use regprobe_lab::pki::Pki;
use serde_json::Value;

use super::helm::{Objects, chart};
use super::pod::{Node, Pod, Running};

/// Azure's DNS.
const AZURE_DNS: &str = "168.63.129.16";
const OTHER_DNS: &str = "10.240.0.53";
const LOGIN: Ipv4Addr = Ipv4Addr::new(10, 240, 1, 4);
const WEST: Ipv4Addr = Ipv4Addr::new(10, 240, 1, 5);
const NORTH: Ipv4Addr = Ipv4Addr::new(10, 240, 1, 6);
const MIRROR: Ipv4Addr = Ipv4Addr::new(10, 240, 2, 4);

/// `contoso` behind private link, and two nameservers that know it.
struct Contoso {
    pki: Pki,
    _acr: Acr,
    _dns: [Dns; 2],
}

impl Contoso {
    fn start(network: &Namespace) -> Result<Self> {
        for address in [LOGIN, WEST, NORTH, MIRROR] {
            network.address(&format!("{address}/32"))?;
        }
        for address in [AZURE_DNS, OTHER_DNS] {
            network.address(&format!("{address}/32"))?;
        }
        let pki = Pki::new()?;
        let dns = [AZURE_DNS, OTHER_DNS].map(|address| nameserver(network, address));
        let [azure, other] = dns;
        let acr = network.enter(|| {
            Acr::at("contoso.azurecr.io", (LOGIN, 443))
                .data("contoso.westeurope.data.azurecr.io", (WEST, 443))
                .data("contoso.northeurope.data.azurecr.io", (NORTH, 443))
                .tls(&pki)
                .start()
        })?;
        Ok(Self {
            pki,
            _acr: acr,
            _dns: [azure?, other?],
        })
    }
}

fn nameserver(network: &Namespace, address: &str) -> Result<Dns> {
    let address: Ipv4Addr = address.parse()?;
    let dns = network.enter(|| Dns::start((address, 53)))?;
    let names = dns.acr("contoso");
    names.login().linked([LOGIN]);
    names.data("westeurope").linked([WEST]);
    names.data("northeurope").linked([NORTH]);
    dns.zone("contoso.com")
        .address("mirror.contoso.com", [MIRROR], 60);
    Ok(dns)
}

pub(crate) fn pod(values: &str) -> Result<Pod> {
    Pod::new(Objects::of_file(&chart().join("ci").join(values))?)
}

fn has_verdict(verdict: &'static str) -> impl Fn(&Value) -> Result<()> {
    move |registry| {
        ensure!(registry["verdict"] == verdict, "not {verdict}");
        Ok(())
    }
}

/// Each lookup of the login server went to this nameserver, or to one that the values add.
fn asks(nameserver: &'static str) -> impl Fn(&Value) -> Result<()> {
    move |registry| {
        let lookups = registry["endpoints"][0]["lookups"].as_array();
        let mut lookups = lookups.into_iter().flatten();
        let asked = format!("{nameserver}:53");
        ensure!(
            lookups.any(|lookup| lookup["nameserver"] == asked),
            "{asked} was not asked"
        );
        Ok(())
    }
}

/// The layout of AKS on Ubuntu.
pub(crate) fn ubuntu() -> Result<()> {
    let node = Node::new("10.240.0.4")?;
    let contoso = Contoso::start(&node.network)?;
    node.link("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")?
        .write(
            "/run/systemd/resolve/resolv.conf",
            &format!("nameserver {AZURE_DNS}\n"),
        )?
        .write("/etc/hosts", "127.0.0.1 localhost\n")?
        .write("/etc/ssl/certs/ca-certificates.crt", &contoso.pki.ca_pem())?;
    let pod = pod("acr-private-link-values.yaml")?;
    let mut running = pod.start(&node)?;

    // MCR cannot be reached here, but the agent is ready.
    running.until_ready()?;
    running.until_registry("contoso", has_verdict("ok"))?;
    running.until_registry("mcr.microsoft.com", has_verdict("failing"))?;
    let metrics = running.get("/metrics")?.expect_status(200)?.text();
    ensure!(metrics.contains("\nregprobe_build_info{"), "{metrics}");
    let status = running.get("/api/v1/status")?.json()?;
    ensure!(status["node"] == "aks-system-0", "{status}");
    ensure!(running.of_process("Uid")? == ["65532"; 4].join("\t"));
    ensure!(running.of_process("CapEff")? == "0".repeat(16));

    node.write(
        "/run/systemd/resolve/resolv.conf",
        &format!("nameserver {OTHER_DNS}\n"),
    )?;
    running.until_registry("contoso", asks(OTHER_DNS))?;
    node.write("/etc/hosts", "10.240.9.9 contoso.azurecr.io\n")?;
    running.until_registry("contoso", |registry| {
        let findings = registry["findings"].as_array();
        let mut codes = findings
            .into_iter()
            .flatten()
            .map(|finding| &finding["code"]);
        ensure!(
            codes.any(|code| code == "HostsFileOverride"),
            "no HostsFileOverride"
        );
        Ok(())
    })?;

    pod.configure("{registries: [{server: fabrikam.azurecr.io}], node: {root: /host}}")?;
    running.until_registry("fabrikam.azurecr.io", has_verdict("failing"))?;
    let status = running.get("/api/v1/status")?.json()?;
    ensure!(
        status["registries"].as_array().map(Vec::len) == Some(1),
        "{status}"
    );
    Ok(())
}

/// With the symbolic links of Azure Linux, and a mirror whose CA `hosts.toml` names by its path on the
/// node.
pub(crate) fn azure_linux() -> Result<()> {
    let node = Node::new("10.240.0.4")?;
    let contoso = Contoso::start(&node.network)?;
    let others = Pki::new()?;
    let mirror = node.network.enter(|| {
        Acr::at("mirror.contoso.com", (MIRROR, 443))
            .tls(&others)
            .start()
    })?;
    node.link("/etc/resolv.conf", "../run/systemd/resolve/resolv.conf")?
        .write(
            "/run/systemd/resolve/resolv.conf",
            &format!("nameserver {AZURE_DNS}\n"),
        )?
        .link("/etc/ssl/certs", "../pki/tls/certs")?
        .link(
            "/etc/pki/tls/certs/ca-bundle.crt",
            "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        )?
        .write(
            "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
            &contoso.pki.ca_pem(),
        )?
        .write("/etc/pki/mirror.pem", &others.ca_pem())?
        .write(
            "/etc/containerd/certs.d/contoso.azurecr.io/hosts.toml",
            "[host.'https://mirror.contoso.com']\nca = '/etc/pki/mirror.pem'\n",
        )?;
    let pod = pod("acr-private-link-values.yaml")?;
    let mut running = pod.start(&node)?;
    running.until_ready()?;
    running.until_registry("contoso", has_verdict("ok"))?;
    ensure!(!mirror.seen().is_empty(), "the mirror was not asked");
    Ok(())
}

/// The directories of the lean values, another port, and a registry that the node cannot resolve.
pub(crate) fn lean() -> Result<()> {
    let node = Node::new("10.240.0.4")?;
    node.write(
        "/run/systemd/resolve/resolv.conf",
        &format!("nameserver {AZURE_DNS}\n"),
    )?
    .write("/etc/containerd/certs.d/README", "")?
    .write("/etc/ssl/certs/ca-certificates.crt", &Pki::new()?.ca_pem())?;
    let pod = pod("lean-values.yaml")?;
    let mut running = pod.start(&node)?;
    running.until_ready()?;
    running.until_registry("example", has_verdict("failing"))?;
    running.until_registry("example", asks(AZURE_DNS))
}

/// The number of series of a node with one private registry in two regions: about the documented number,
/// and for a cluster that number times the number of its nodes.
pub(crate) fn series() -> Result<()> {
    const ALL: usize = 340;
    const WITHOUT_HISTOGRAMS: usize = 85;
    let page = fs::read_to_string(repository("docs/cost.md"))?;
    for nodes in [10, 500, 5_000] {
        let row = [nodes, nodes * ALL, nodes * WITHOUT_HISTOGRAMS].map(in_thousands);
        let row = format!("| {} |", row.join(" | "));
        ensure!(page.contains(&row), "no row {row}");
    }
    for (histograms, about) in [(true, ALL), (false, WITHOUT_HISTOGRAMS)] {
        ensure!(
            page.contains(&format!("about {about}")),
            "{about} is not said"
        );
        let node = Node::new("10.240.0.4")?;
        let contoso = Contoso::start(&node.network)?;
        node.write("/etc/resolv.conf", &format!("nameserver {AZURE_DNS}\n"))?
            .write("/etc/ssl/certs/ca-certificates.crt", &contoso.pki.ca_pem())?;
        let pod = Pod::new(Objects::rendered(&[
            "--set=config.registries[0].server=contoso.azurecr.io",
            "--set=config.registries[0].name=contoso",
            "--set=config.registries[0].regions={westeurope,northeurope}",
            "--set=config.registries[0].private=true",
            &format!("--set=config.metrics.histograms={histograms}"),
        ])?)?;
        let mut running = pod.start(&node)?;
        running.until_ready()?;
        running.until_registry("contoso", has_verdict("ok"))?;
        let metrics = running.get("/metrics")?.expect_status(200)?.text();
        let series = metrics
            .lines()
            .filter(|line| !line.starts_with('#'))
            .count();
        ensure!(
            series.abs_diff(about) * 20 < about,
            "{series}, not about {about}"
        );
    }
    Ok(())
}

/// A number as the documentation writes it: 1,700,000.
fn in_thousands(number: usize) -> String {
    match (number / 1_000, number % 1_000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{},{rest:03}", in_thousands(thousands)),
    }
}

/// `$(HOST_IP):9118` must work for both families.
pub(crate) fn ipv6() -> Result<()> {
    let node = Node::new("fd00:240::4")?;
    node.write("/etc/ssl/certs/ca-certificates.crt", &Pki::new()?.ca_pem())?;
    let pod = pod("default-values.yaml")?;
    let mut running = pod.start(&node)?;
    running.until_ready()
}

/// Somebody edits the ConfigMap: agents that start later take the configuration that Helm installed, say so,
/// and load the other once it is right.
pub(crate) fn broken_by_hand() -> Result<()> {
    let node = Node::new("10.240.0.4")?;
    node.write("/etc/ssl/certs/ca-certificates.crt", &Pki::new()?.ca_pem())?;
    let pod = pod("default-values.yaml")?;
    let good = pod
        .objects
        .config()?
        .replacen("fleet:\n", "fleet:\n  size: 1\n", 1);
    pod.configure("registries: [{server: contoso}]\n")?;
    let mut running = pod.start(&node)?;
    running.until_ready()?;
    let has = |line: &'static str| {
        move |pod: &Running<'_>| {
            let metrics = pod.get("/metrics")?.expect_status(200)?.text();
            ensure!(metrics.lines().any(|other| other == line), "no {line}");
            Ok(())
        }
    };
    running.until(
        "the file is refused",
        has("regprobe_config_last_reload_successful 0"),
    )?;
    let status = running.get("/api/v1/status")?.json()?;
    ensure!(
        status["registries"][0]["name"] == "mcr.microsoft.com",
        "{status}"
    );
    let why = status["config"]["reload_error"]
        .as_str()
        .unwrap_or_default();
    ensure!(why.contains("is not a full host name"), "{status}");
    pod.configure(&good)?;
    running.until(
        "the file is loaded",
        has("regprobe_config_last_reload_successful 1"),
    )
}
