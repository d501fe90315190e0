//! Everything that may be attached to a ticket: registries, a proxy and files of the node contain secrets
//! wherever possible, and send them; no document, page, report, log line or metric shows one.

mod identity;
mod memory;
mod proxy;
mod pull_secret;
mod wire;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::need::Need;
use regprobe_harness::node::{Node, Report};
use regprobe_harness::output::json::{items, text};
use regprobe_harness::output::schema;
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::addresses::loopback;
use regprobe_lab::fakes::acr::{Acr, Answer, Challenge, Route};
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::fakes::proxy::{Proxy, Tunnel};
use regprobe_lab::image::Image;
use regprobe_lab::pki::Pki;
use serde_json::Value;

const PASSWORD: &str = "hunter2";
/// `agent:hunter2`, encoded for a proxy.
const CREDENTIALS: &str = "YWdlbnQ6aHVudGVyMg==";
/// Of signed URLs.
const SIGNATURE: &str = "c2VjcmV0LW9mLXRoZS1sYWI";
const HEADER: &str = "swordfish";
/// Registries with different secrets.
const NAMES: [&str; 5] = [
    "contoso.azurecr.io",
    "fabrikam.azurecr.io",
    "northwind.azurecr.io",
    "adatum.azurecr.io",
    "tailspin.example",
];

pub(crate) fn suite() -> Suite {
    Suite::of([
        test("a check shows no secret", check),
        test("the agent shows no secret", agent),
        test("a ticket has what support needs", ticket),
        test(
            "a proxy that is not trusted gets no password",
            proxy::impostor,
        ),
        test("a pull secret is not shown", pull_secret::is_not_shown),
        test(
            "a changed pull secret is offered at once",
            pull_secret::is_offered_when_changed,
        ),
        test(
            "a pull secret goes nowhere but to its registry",
            pull_secret::goes_nowhere_else,
        ),
        test(
            "a pull secret is on the wire for its token service alone",
            wire::carries_it_to_its_token_service_alone,
        )
        .needs([Need::Root, Need::IPROUTE, Need::TCPDUMP]),
        test(
            "a token of the node's identity is on the wire for its registry alone",
            wire::carries_tokens_to_the_registry_alone,
        )
        .needs([Need::Root, Need::IPROUTE, Need::TCPDUMP]),
        test(
            "a token of the node's identity is not shown",
            identity::is_not_shown,
        )
        .needs([Need::Root, Need::IPROUTE]),
        test(
            "memory keeps no token of the node's identity",
            identity::is_not_kept,
        )
        .needs([Need::Root, Need::IPROUTE]),
        test(
            "a thousand rounds of identities leave no memory",
            identity::leaves_no_memory,
        )
        .needs([Need::Root, Need::IPROUTE])
        .within(Duration::from_secs(900)),
        test("memory keeps no pull secret", memory::keeps_none),
        test("a crash leaves no core", memory::leaves_no_core),
    ])
}

fn check() -> Result<()> {
    let ground = Ground::new()?;
    for output in ["json", "text", "npd"] {
        let out = ground
            .regprobe(&["check", &format!("--output={output}")])
            .arg(format!("--config.file={}", ground.config.display()))
            .output()?;
        ensure!(out.status.code() == Some(1), "{out:?}");
        let said = [out.stdout, out.stderr].concat();
        let said = String::from_utf8(said)?;
        ground.tells_none(&format!("--output={output}"), &said)?;
        if output == "json" {
            ground.said_all(&serde_json::from_str(&said)?)?;
        }
    }
    Ok(())
}

fn agent() -> Result<()> {
    let ground = Ground::new()?;
    let command = ground.regprobe(&["run"]);
    let agent = Agent::start_by(command, &ground.config, &["--log.level=debug"])?;
    agent.until("is ready", |agent| {
        agent.get("/-/ready")?.expect_status(200)
    })?;
    agent.until("has walked to all", |agent| {
        ground.said_all(&agent.status()?)
    })?;

    let history = agent.get("/api/v1/history")?.json()?;
    let ids = items(&history["rounds"]).map(|round| text(&round["id"]).to_owned());
    let rounds = ids.flat_map(|id| [format!("/round/{id}"), format!("/api/v1/history/{id}")]);
    let paths = ["/", "/api/v1/status", "/api/v1/bundle", "/metrics"].map(str::to_owned);
    for path in paths.into_iter().chain(rounds) {
        let answer = agent.get(&path)?.expect_status(200)?;
        ground.tells_none(&path, &answer.text())?;
    }
    ground.tells_none("the log", &agent.log().join("\n"))
}

/// A check as JSON and the status page's support bundle are documents of one schema, with all that a
/// ticket needs.
fn ticket() -> Result<()> {
    let ground = Ground::new()?;
    let out = ground
        .regprobe(&["check", "--output=json"])
        .arg(format!("--config.file={}", ground.config.display()))
        .output()?;
    let checked = Report::of(&out)?.document;
    let agent = Agent::start_by(ground.regprobe(&["run"]), &ground.config, &[])?;
    agent.until("is ready", |agent| {
        agent.get("/-/ready")?.expect_status(200)
    })?;
    let answer = agent.get("/api/v1/bundle")?.expect_status(200)?;
    ensure!(
        answer.header("content-disposition")
            == Some("attachment; filename=\"regprobe-lab-node.json\"")
    );
    let bundle = answer.json()?;
    for document in [&checked, &bundle] {
        schema::validate(document)?;
        let settings = &document["node_settings"];
        let nameserver = ground.dns.addr().to_string();
        ensure!(
            settings["nameservers"][0]["address"] == nameserver,
            "{settings}"
        );
        ensure!(
            settings["resolver"]["search"][0] == "lab.example.",
            "{settings}"
        );
        ensure!(settings["kernel"].is_string(), "{settings}");
        let proxy = format!("http://***@{}", ground.proxy.addr());
        ensure!(settings["https_proxy"] == proxy, "{settings}");
        ensure!(settings["no_proxy"][0] == ".azurecr.io", "{settings}");
        ensure!(!text(&document["version"]).is_empty(), "{document}");
        let contoso = &document["registries"][0]["endpoints"][0];
        ensure!(
            items(&contoso["lookups"][0]["chain"]).count() == 1,
            "{contoso}"
        );
        let stages = || items(&contoso["addresses"][0]["stages"]);
        ensure!(
            stages().any(|stage| stage["certificates"][0]["sha256"].is_string()),
            "{contoso}"
        );
        ensure!(
            stages().any(|stage| stage["response"]["correlation_id"].is_string()),
            "{contoso}"
        );
    }
    let page = agent.get("/")?.text();
    ensure!(page.contains("<a href=\"./api/v1/bundle\""), "{page}");
    Ok(())
}

/// Registries, a proxy and a node full of secrets.
struct Ground {
    dns: Dns,
    proxy: Proxy,
    node: Node,
    config: PathBuf,
    acrs: Vec<Acr>,
    secrets: Vec<String>,
}

impl Ground {
    fn new() -> Result<Self> {
        let (pki, dns) = (Pki::new()?, Dns::start((loopback(), 0))?);
        let proxy = Proxy::start((loopback(), 0))?;
        dns.zone("azurecr.io");
        let mut acrs = Vec::new();
        for name in NAMES {
            let (ip, data) = (loopback(), loopback());
            let data_name = format!("data.{name}");
            let acr = Acr::at(name, (ip, 0))
                .data(&data_name, (data, 0))
                .tls(&pki)
                .image(Image::hello()?)
                .anonymous_pull()
                .start()?;
            dns.address(name, [ip], 60).address(&data_name, [data], 60);
            acrs.push(acr);
        }
        // Support needs the chain of aliases.
        let contoso = format!("real.{}", NAMES[0]);
        dns.address(&contoso, [acrs[0].addr().ip()], 60)
            .alias(NAMES[0], &contoso, 60);
        let node = Node::asking([dns.addr()])?.trusting(&pki.ca_pem())?;
        let resolv_conf = fs::read_to_string(node.path("resolv.conf"))?;
        let search = "search lab.example\noptions ndots:1 timeout:2\n";
        fs::write(node.path("resolv.conf"), resolv_conf + search)?;
        let mut ground = Self {
            config: node.path("regprobe.yaml"),
            dns,
            proxy,
            node,
            acrs,
            secrets: [PASSWORD, CREDENTIALS, SIGNATURE, HEADER]
                .map(str::to_owned)
                .into(),
        };
        ground.configure()?;
        ground.learn_token()?;
        ground.let_all_speak()?;
        Ok(ground)
    }

    fn configure(&self) -> Result<()> {
        let entries = self.acrs.iter().map(|acr| {
            let server = acr.server();
            format!("  - {{server: \"{server}\", images: [\"probe/hello:v1\"]}}\n")
        });
        let path = |file| self.node.path(file).display().to_string();
        let config = format!(
            "registries:\n{}node: {{resolv_conf: {}, hosts: {}, certs_d: {}, containerd: 2.4}}\n\
             schedule: {{network_interval: 1s, request_interval: 1s, token_interval: 1s, \
             image_interval: 1s, timeout: 2s}}\n",
            entries.collect::<String>(),
            path("resolv.conf"),
            path("hosts"),
            path("certs.d"),
        );
        Ok(fs::write(&self.config, config)?)
    }

    /// The token that the lab's registries grant.
    fn learn_token(&mut self) -> Result<()> {
        let mut check = self.regprobe(&["check"]);
        check.arg(format!("--config.file={}", self.config.display()));
        check.output()?;
        let manifests = self.acrs[0].seen_on(Route::Manifest);
        let mut sent = manifests
            .iter()
            .filter_map(|seen| seen.header("authorization"));
        let (_, token) = sent
            .next()
            .context("no token was sent")?
            .split_once(' ')
            .context("no token")?;
        self.secrets.push(token.to_owned());
        Ok(())
    }

    fn let_all_speak(&self) -> Result<()> {
        let token = self.secrets.last().context("no token")?;
        let echo = format!(
            "{token} and \"Bearer {token}\" and 'Basic {CREDENTIALS}' may not see \
             https://reader:{PASSWORD}@data.example/blob?sig={SIGNATURE}, nor sig={SIGNATURE}"
        );
        let [contoso, fabrikam, northwind, adatum, _] = &self.acrs[..] else {
            anyhow::bail!("another number of registries");
        };
        // The target of a signed redirect.
        contoso.answer(Route::Data, Answer::Refused(403, echo.clone()));
        fabrikam.answer(Route::Manifest, Answer::Refused(403, echo.clone()));
        let elsewhere = format!("https://reader:{PASSWORD}@portal.example/v2/?sig={SIGNATURE}");
        northwind.answer(Route::Ping, Answer::RedirectTo(elsewhere));
        let realm = format!("https://reader:{PASSWORD}@auth.example/token?sig={SIGNATURE}");
        adatum.answer(Route::Manifest, Answer::Challenge(Challenge::Realm(realm)));
        let line = format!("407 Basic {CREDENTIALS} is no leave of agent:{PASSWORD}@proxy.example");
        self.proxy.tunnel(Tunnel::Line(line));
        self.write_hosts_toml(
            fabrikam,
            &format!(
                "[host.\"https://reader:{PASSWORD}@127.0.0.1:1/v2?sig={SIGNATURE}\"]\n\
                 override_path = true\n\
                 [host.\"https://reader:{PASSWORD}@127.0.0.1:1/v2?sig={SIGNATURE}\".header]\n\
                 Authorization = \"Basic {HEADER}\"\n"
            ),
        )?;
        self.write_hosts_toml(
            adatum,
            &format!(
                "[host.\"https://mirror.example\"]\nheader = \"Basic {HEADER}\"\nserver = [\n"
            ),
        )
    }

    fn write_hosts_toml(&self, acr: &Acr, text: &str) -> Result<()> {
        let folder = self.node.path("certs.d").join(acr.server());
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join("hosts.toml"), text)?)
    }

    /// The agent on the node, with a proxy in its environment.
    fn regprobe(&self, arguments: &[&str]) -> Command {
        let mut command = self.node.regprobe(arguments);
        let proxy = format!("http://agent:{PASSWORD}@{}", self.proxy.addr());
        command.env("HTTPS_PROXY", proxy).env(
            "NO_PROXY",
            format!(".azurecr.io,agent:{PASSWORD}@proxy.example"),
        );
        command
    }

    /// Whether every registry has sent its secret.
    fn said_all(&self, document: &Value) -> Result<()> {
        let registries: Vec<_> = items(&document["registries"]).collect();
        ensure!(registries.len() == NAMES.len(), "{document}");
        for (registry, (stage, reason)) in registries.iter().zip([
            ("blob", "forbidden"),
            ("manifest", "forbidden"),
            ("challenge", "not_followed"),
            ("token", "not_followed"),
            ("proxy", "auth_required"),
        ]) {
            let endpoints = items(&registry["endpoints"]);
            let addresses = endpoints.flat_map(|endpoint| items(&endpoint["addresses"]));
            let mut stages = addresses.flat_map(|address| items(&address["stages"]));
            ensure!(
                stages.any(|seen| seen["stage"] == stage && seen["reason"] == reason),
                "no {stage} that fails as {reason} in {registry:#}"
            );
        }
        Ok(())
    }

    fn tells_none(&self, what: &str, text: &str) -> Result<()> {
        ensure!(!text.is_empty(), "{what}: nothing");
        for secret in &self.secrets {
            if let Some(at) = text.find(secret.as_str()) {
                let from = text.floor_char_boundary(at.saturating_sub(200));
                anyhow::bail!("{what} tells {secret}: {}", &text[from..at + secret.len()]);
            }
        }
        Ok(())
    }
}
