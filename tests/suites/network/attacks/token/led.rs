//! Registries elsewhere that lead a probe to its node, its link or a metadata service: by an address in any
//! notation, by DNS, or by the node's own hosts file.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use regprobe_harness::program::{printed, regprobe};
use regprobe_harness::suite::Test;
use regprobe_lab::fakes::acr::{Acr, Answer, Challenge, Route};
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::image::Image;
use regprobe_lab::netns::Namespace;
use regprobe_lab::pki::Pki;
use serde_json::Value;
use tempfile::TempDir;

use crate::attacks::in_arena;

const NODE: Ipv4Addr = Ipv4Addr::new(10, 240, 0, 10);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 240, 0, 1);
/// A second address of the node, on its loopback.
const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 240, 7, 7);
const REGISTRY: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const NAME: &str = "lure.registry.example";
/// A second registry, which `hosts.toml` may put before the first.
const MIRROR: (&str, Ipv4Addr) = ("mirror.registry.example", Ipv4Addr::new(203, 0, 113, 8));

/// Hosts of realms. Nothing answers at most of them: that the agent says why it does not dial is enough.
const OFF_LIMITS: [&str; 18] = [
    "10.240.0.10",
    "10.240.7.7",
    "[::ffff:10.240.0.10]",
    "[::10.240.0.10]",
    "[64:ff9b::10.240.0.10]",
    "[2002:af0:a::1]",
    "by-dns.registry.example",
    "by-hosts-file.registry.example",
    "192.0.0.192",
    "[fd20:ce::254]",
    "[fd00:ec2::23]",
    "[fd00:c1::a9fe:a9fe]",
    "[fd00:42::42]",
    "[fd00:a9fe:a9fe::1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::169.254.169.254]",
    "[2002:a9fe:a9fe::1]",
    "[::169.254.169.254]",
];

pub(crate) fn tests() -> Vec<Test> {
    vec![
        in_arena("registry: realms off limits".to_owned(), realms),
        in_arena("registry: blobs off limits".to_owned(), blobs),
        in_arena("registry: mirrors that lead off limits".to_owned(), mirrors),
        in_arena(
            "registry: on the loopback, it leads to the metadata service".to_owned(),
            from_the_loopback,
        ),
    ]
}

fn realms() -> Result<()> {
    let scene = Scene::new(REGISTRY)?;
    for host in OFF_LIMITS {
        scene.acr.challenge(Some(realm(host)));
        scene.is_not_followed(host)?;
    }
    Ok(())
}

fn blobs() -> Result<()> {
    let scene = Scene::new(REGISTRY)?;
    for host in ["10.240.7.7", "by-dns.registry.example", "[fd20:ce::254]"] {
        let location = format!("https://{host}/blob");
        scene.acr.answer(Route::Blob, Answer::RedirectTo(location));
        scene.is_not_followed(host)?;
    }
    Ok(())
}

/// The mirror is asked first, and what it says of the manifest is a redirect.
fn mirrors() -> Result<()> {
    let scene = Scene::new(REGISTRY)?;
    let folder = scene.folder.path().join("certs.d").join(NAME);
    fs::create_dir_all(&folder)?;
    let hosts = format!("[host.\"https://{}\"]\n", MIRROR.0);
    fs::write(folder.join("hosts.toml"), hosts)?;
    let redirect = |to: &str| {
        let answer = Answer::RedirectTo(to.to_owned());
        scene.mirror.answer(Route::Manifest, answer);
    };
    for host in [
        "169.254.169.254",
        "127.0.0.1",
        "10.240.7.7",
        "[fe80::1]",
        "by-dns.registry.example",
        "2130706433",
    ] {
        redirect(&format!("https://{host}/v2/"));
        scene.is_not_followed(host)?;
    }
    Ok(())
}

/// A registry on the loopback may lead to its like, and to no other place.
fn from_the_loopback() -> Result<()> {
    let scene = Scene::new(Ipv4Addr::LOCALHOST)?;
    for host in ["169.254.169.254", "10.240.0.10", "[fd20:ce::254]"] {
        scene.acr.challenge(Some(realm(host)));
        scene.is_not_followed(host)?;
    }
    scene.acr.challenge(Some(realm("127.0.0.77")));
    let reason = scene.reason()?;
    ensure!(reason == "refused", "127.0.0.77: {reason}");
    Ok(())
}

fn realm(host: &str) -> Challenge {
    Challenge::Realm(format!("https://{host}/token"))
}

/// A node, a registry, and listeners on the node that nobody may reach.
struct Scene {
    acr: Acr,
    mirror: Acr,
    node: Namespace,
    canaries: Vec<TcpListener>,
    folder: TempDir,
    _network: Namespace,
    _dns: Dns,
}

impl Scene {
    fn new(registry: Ipv4Addr) -> Result<Self> {
        let (node, network) = (Namespace::new("node")?, Namespace::new("network")?);
        let ends = [NODE, ROUTER].map(|address| format!("{address}/24"));
        let _cable = node.cable(&ends[0], &network, &ends[1])?;
        node.route("default", &ROUTER.to_string())?;
        node.address(&format!("{SERVICE}/32"))?;
        network.address(&format!("{REGISTRY}/32"))?;
        network.address(&format!("{}/32", MIRROR.1))?;
        let pki = Pki::new()?;
        let acr = || {
            let acr = Acr::at(NAME, (registry, 443)).tls(&pki);
            acr.image(Image::hello()?).anonymous_pull().start()
        };
        let acr = match registry.is_loopback() {
            true => node.enter(acr)?,
            false => network.enter(acr)?,
        };
        let mirror = Acr::at(MIRROR.0, (MIRROR.1, 443)).tls(&pki);
        let mirror = mirror.image(Image::hello()?).anonymous_pull();
        let mirror = network.enter(|| mirror.start())?;
        let dns = network.enter(|| Dns::start((ROUTER, 53)))?;
        dns.zone("registry.example");
        dns.address("by-dns.registry.example", [NODE], 1);
        dns.address(MIRROR.0, [MIRROR.1], 1);
        let folder = tempfile::tempdir()?;
        let at = folder.path();
        pki.write_ca(at.join("ca.crt"))?;
        fs::write(at.join("resolv.conf"), format!("nameserver {ROUTER}\n"))?;
        let hosts = format!("{registry} {NAME}\n{NODE} by-hosts-file.registry.example\n");
        fs::write(at.join("hosts"), hosts)?;
        let path = at.display();
        let config = format!(
            "registries: [{{server: {NAME}, images: [\"probe/hello:v1\"], anonymous_pull: true}}]\n\
             schedule: {{timeout: 5s}}\n\
             node: {{resolv_conf: {path}/resolv.conf, hosts: {path}/hosts, certs_d: {path}/certs.d, containerd: 2.4}}\n\
             tls: {{ca_file: {path}/ca.crt}}\n"
        );
        fs::write(at.join("regprobe.yaml"), config)?;
        let canaries = node.enter(|| {
            [NODE, SERVICE]
                .map(|address| {
                    let canary = TcpListener::bind((address, 443))?;
                    canary.set_nonblocking(true)?;
                    Ok(canary)
                })
                .into_iter()
                .collect()
        })?;
        Ok(Self {
            acr,
            mirror,
            node,
            canaries,
            folder,
            _network: network,
            _dns: dns,
        })
    }

    fn is_not_followed(&self, host: &str) -> Result<()> {
        let reason = self.reason().with_context(|| host.to_owned())?;
        ensure!(reason == "not_followed", "{host}: {reason}");
        for canary in &self.canaries {
            let led = canary.accept().is_ok();
            ensure!(!led, "{host} led to {}", canary.local_addr()?);
        }
        Ok(())
    }

    /// Why the only stage that fails does, in a check.
    fn reason(&self) -> Result<String> {
        let mut check = regprobe(["check", "--output=json"]);
        let config = self.folder.path().join("regprobe.yaml");
        check.arg(format!("--config.file={}", config.display()));
        check.stdout(Stdio::piped());
        let out = self.node.enter(move || Ok(check.output()?))?;
        let document: Value = serde_json::from_slice(&out.stdout).with_context(|| printed(&out))?;
        let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let endpoints = items(&document["registries"][0]["endpoints"]).into_iter();
        let addresses = endpoints.flat_map(|endpoint| items(&endpoint["addresses"]));
        let stages = addresses.flat_map(|address| items(&address["stages"]));
        let failed: Vec<_> = stages.filter(|stage| stage["ok"] == false).collect();
        let [stage] = &failed[..] else {
            anyhow::bail!("{} stages fail: {document}", failed.len());
        };
        let reason = stage["reason"].as_str();
        Ok(reason.with_context(|| stage.to_string())?.to_owned())
    }
}
