//! The plugin for node-problem-detector, tested against its documented contract: the shipped configuration,
//! and the command in it, on a node where everything that can hang does.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use regprobe_harness::need::Need;
use regprobe_harness::program::{REGPROBE, repository};
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::fakes::acr::{Acr, Answer, Route};
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::fakes::proxy::{Proxy, Tunnel};
use regprobe_lab::fakes::sockets::{self, Trap};
use regprobe_lab::netns::{Direction, Namespace};
use regprobe_lab::pki::Pki;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

/// node-problem-detector kills a plugin after 5 s.
const LIMIT: Duration = Duration::from_secs(4);
const DNS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 53);
const LOGIN: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 4);
const PROXY: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 80);

pub(crate) fn suite() -> Suite {
    let network = [Need::Root, Need::IPROUTE, Need::NFTABLES];
    let hangs = [
        test("a healthy node", well),
        test("no packet gets through", nothing_gets_through),
        test("no SYN is answered", no_syn_is_answered),
        test("the handshake hangs", handshake_hangs),
        test("the registry hangs", registry_hangs),
        test("the proxy hangs", proxy_hangs),
        test("every one of many registries hangs", many_hang),
    ];
    let hangs = hangs.map(|test| test.needs(network));
    let others = [
        test(
            "node-problem-detector accepts the configuration",
            configuration,
        ),
        test("its pods have the agent's mounts", patch),
        test("errors mean unknown", unknown),
    ];
    // One at a time, because these tests measure time.
    Suite::of(hangs.into_iter().chain(others)).at_a_time(1)
}

/// A configuration of a custom plugin monitor. Source: node-problem-detector,
/// `docs/custom_plugin_monitor.md` and `pkg/custompluginmonitor/types`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Monitor {
    plugin: String,
    plugin_config: Plugin,
    source: String,
    metrics_reporting: bool,
    conditions: Vec<Condition>,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plugin {
    invoke_interval: String,
    timeout: String,
    max_output_length: usize,
    concurrency: usize,
    enable_message_change_based_condition_update: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    r#type: String,
    reason: String,
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    r#type: String,
    condition: String,
    reason: String,
    path: PathBuf,
    args: Vec<String>,
}

fn shipped(file: &str) -> PathBuf {
    repository("deploy/node-problem-detector").join(file)
}

fn monitor() -> Result<Monitor> {
    Ok(serde_json::from_slice(&fs::read(shipped(
        "regprobe.json",
    ))?)?)
}

fn configuration() -> Result<()> {
    let monitor = monitor()?;
    let plugin = &monitor.plugin_config;
    ensure!(monitor.plugin == "custom" && !monitor.source.is_empty());
    ensure!(monitor.metrics_reporting);
    ensure!(plugin.invoke_interval == "5m" && plugin.timeout == "5s");
    ensure!(plugin.max_output_length == 80 && plugin.concurrency == 1);
    // Otherwise the message would stay that of the first finding.
    ensure!(plugin.enable_message_change_based_condition_update);
    // Every rule sets the condition, so two rules would overwrite each other.
    let ([condition], [rule]) = (&*monitor.conditions, &*monitor.rules) else {
        anyhow::bail!("one condition and one rule are what works");
    };
    ensure!(condition.r#type == "RegistryUnreachable" && condition.r#type == rule.condition);
    ensure!(rule.r#type == "permanent");
    for reason in [&condition.reason, &rule.reason] {
        ensure!(
            reason.chars().all(char::is_alphabetic),
            "{reason} is no reason"
        );
    }
    ensure!(condition.reason != rule.reason && condition.message.len() <= 80);
    let readme = fs::read_to_string(shipped("README.md"))?;
    for word in [&rule.condition, &rule.reason, &condition.reason] {
        ensure!(readme.contains(word), "{word} is not in the README");
    }
    ensure!(readme.contains(&rule.path.display().to_string()));
    Ok(())
}

fn patch() -> Result<()> {
    let read = |path: &Path| -> Result<Vec<Value>> {
        let text = fs::read_to_string(path)?;
        let documents = serde_yaml::Deserializer::from_str(&text);
        Ok(documents
            .map(Value::deserialize)
            .collect::<Result<_, _>>()?)
    };
    let agents = read(&shipped("../kustomize/base/regprobe.yaml"))?;
    let mut agents = agents.iter().filter(|object| object["kind"] == "DaemonSet");
    let agent = &agents.next().context("no DaemonSet")?["spec"]["template"]["spec"];
    let patch = read(&shipped("patch.yaml"))?;
    let pod = &patch[0]["spec"]["template"]["spec"];
    for field in ["hostNetwork", "dnsPolicy"] {
        ensure!(pod[field] == agent[field], "{field}");
    }
    let mounted = |pod: &Value| {
        let volumes = pod["volumes"].as_array().into_iter().flatten();
        let volumes: Vec<_> = volumes
            .map(|one| (one["name"].clone(), one.clone()))
            .collect();
        let mounts = pod["containers"][0]["volumeMounts"]
            .as_array()
            .into_iter()
            .flatten();
        let mounts = mounts.map(|mount| {
            let named = |(name, _): &&(Value, Value)| *name == mount["name"];
            let volume = volumes.iter().find(named).map(|(_, volume)| volume.clone());
            let mut volume = volume.unwrap_or_default();
            volume["name"] = Value::Null;
            format!("{} {volume}", mount["mountPath"])
        });
        mounts.collect::<BTreeSet<_>>()
    };
    ensure!(
        mounted(pod) == mounted(agent),
        "{:?} and {:?}",
        mounted(pod),
        mounted(agent)
    );
    Ok(())
}

fn unknown() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(&*REGPROBE);
    command.args(arguments(folder.path())?);
    let told = Told::by(command)?;
    ensure!(told.status == 2, "{told:?}");
    ensure!(told.line.starts_with("unknown: "), "{told:?}");
    Ok(())
}

fn well() -> Result<()> {
    let site = Site::new()?;
    let _dns = site.dns()?;
    let _acr = site.acr()?;
    let told = site.check("")?;
    ensure!((told.status, &*told.line) == (0, "contoso ok"), "{told:?}");
    Ok(())
}

/// Every packet that leaves the node is lost.
fn nothing_gets_through() -> Result<()> {
    let site = Site::new()?;
    site.network.filter(Direction::In, "drop")?;
    site.check("")?.fails("NameserverDown")
}

fn no_syn_is_answered() -> Result<()> {
    let site = Site::new()?;
    let _dns = site.dns()?;
    site.network.filter(Direction::In, "tcp dport 443 drop")?;
    site.check("")?.fails("PrivateEndpointTimeout")
}

fn handshake_hangs() -> Result<()> {
    let site = Site::new()?;
    let _dns = site.dns()?;
    let _trap: Trap = site.network.enter(|| sockets::tls_stalls((LOGIN, 443)))?;
    site.check("")?.fails("TlsStalled")
}

/// containerd waits for longer than a plugin may.
fn registry_hangs() -> Result<()> {
    let site = Site::new()?;
    let _dns = site.dns()?;
    let acr = site.acr()?;
    acr.answer(Route::Ping, Answer::HangBeforeHeaders);
    site.check("")?.is_unknown()
}

fn proxy_hangs() -> Result<()> {
    let site = Site::new()?;
    let _dns = site.dns()?;
    let proxy = site.network.enter(|| Proxy::start((PROXY, 3128)))?;
    proxy.tunnel(Tunnel::Hangs);
    site.check(&proxy.url())?.fails("ProxyBroken")
}

/// Twenty at the same time take no longer than one.
fn many_hang() -> Result<()> {
    let site = Site::new()?;
    let _dns = site.dns()?;
    site.network.filter(Direction::In, "tcp dport 443 drop")?;
    let others: String = (0..19)
        .map(|n| format!("  - {{server: \"{LOGIN}:{}\", private: true}}\n", 8443 + n))
        .collect();
    site.network
        .filter(Direction::In, "tcp dport 8443-8461 drop")?;
    site.configure(&others)?;
    let told = site.check("")?;
    told.fails("PrivateEndpointTimeout")?;
    ensure!(told.line.ends_with(" more"), "{told:?}");
    Ok(())
}

/// A node, and the network at the other end of its cable.
struct Site {
    node: Namespace,
    network: Namespace,
    folder: TempDir,
    pki: Pki,
}

impl Site {
    fn new() -> Result<Self> {
        let site = Self {
            node: Namespace::new("npd-node")?,
            network: Namespace::new("npd-network")?,
            folder: tempfile::tempdir()?,
            pki: Pki::new()?,
        };
        site.node
            .cable("198.18.1.10/24", &site.network, "198.18.1.1/24")?;
        site.node.route("default", "198.18.1.1")?;
        for address in [DNS, LOGIN, PROXY] {
            site.network.address(&format!("{address}/32"))?;
        }
        let etc = site.folder.path().join("node/etc/ssl/certs");
        fs::create_dir_all(&etc)?;
        site.pki.write_ca(etc.join("ca-certificates.crt"))?;
        let resolv_conf = format!("nameserver {DNS}\n");
        fs::write(site.folder.path().join("node/etc/resolv.conf"), resolv_conf)?;
        site.configure("")?;
        Ok(site)
    }

    /// `contoso`, and other registries.
    fn configure(&self, others: &str) -> Result<()> {
        let text = format!(
            "registries:\n  - {{server: contoso.azurecr.io, name: contoso, private: true}}\n{others}\
             node: {{root: {}}}\n",
            self.folder.path().join("node").display()
        );
        Ok(fs::write(self.folder.path().join("config.yaml"), text)?)
    }

    fn dns(&self) -> Result<Dns> {
        let dns = self.network.enter(|| Dns::start((DNS, 53)))?;
        dns.acr("contoso").login().linked([LOGIN]);
        Ok(dns)
    }

    fn acr(&self) -> Result<Acr> {
        self.network.enter(|| {
            Acr::at("contoso.azurecr.io", (LOGIN, 443))
                .tls(&self.pki)
                .start()
        })
    }

    /// Runs the command of the rule on the node, with this proxy.
    fn check(&self, proxy: &str) -> Result<Told> {
        let mut command = self.node.command(&*REGPROBE);
        command.args(arguments(self.folder.path())?).env_clear();
        if !proxy.is_empty() {
            command.env("HTTPS_PROXY", proxy);
        }
        Told::by(command)
    }
}

/// The command of the rule, with the configuration in this directory.
fn arguments(folder: &Path) -> Result<Vec<String>> {
    let folder = folder.display().to_string();
    let arguments = monitor()?.rules.remove(0).args.into_iter();
    let arguments = arguments.map(|one| one.replace("/etc/regprobe", &folder));
    Ok(arguments.collect())
}

/// What node-problem-detector reads.
#[derive(Debug)]
struct Told {
    status: i32,
    line: String,
}

impl Told {
    /// Runs the command and checks the contract.
    fn by(mut command: Command) -> Result<Self> {
        let start = Instant::now();
        let Output { status, stdout, .. } = command.output()?;
        let took = start.elapsed();
        ensure!(
            took < LIMIT,
            "{took:?}: {}",
            String::from_utf8_lossy(&stdout)
        );
        let told = String::from_utf8(stdout)?;
        let line = told
            .strip_suffix('\n')
            .with_context(|| format!("no line: {told:?}"))?;
        ensure!(
            line.len() <= 80 && !line.contains('\n') && !line.is_empty(),
            "{told:?}"
        );
        Ok(Self {
            status: status.code().context("it was killed")?,
            line: line.to_owned(),
        })
    }

    /// Expects a registry of which it cannot tell.
    fn is_unknown(&self) -> Result<()> {
        ensure!(self.status == 2, "{self:?}");
        ensure!(self.line == "contoso unknown", "{self:?}");
        Ok(())
    }

    /// Expects a failing registry, with this reason first.
    fn fails(&self, code: &str) -> Result<()> {
        ensure!(self.status == 1, "{self:?}");
        ensure!(
            self.line.contains(&format!(" {code} ")),
            "{self:?} instead of {code}"
        );
        let known = Command::new(&*REGPROBE).args(["explain", code]).output()?;
        ensure!(known.status.success(), "{code} has no runbook");
        Ok(())
    }
}
