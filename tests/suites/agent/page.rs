//! The status page in a real Chromium: it shows every state correctly, it works by mouse, by keyboard,
//! without JavaScript and on a phone, and axe-core finds no fault. `hostile.rs` has the hostile registries.

use std::{fs, net::Ipv4Addr};

use anyhow::{Context, Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::browser::{browse, look};
use regprobe_harness::ground::Ground;
use regprobe_harness::need::Need;
use regprobe_harness::program::REGPROBE;
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::fakes::acr::{Acr, Answer, Route};
use regprobe_lab::fakes::dns::Fault;
use regprobe_lab::scenario::{Names, Scenario};
use regprobe_lab::world::{LISTENS_AT, World};
use serde_json::json;

pub(crate) fn suite() -> Suite {
    Suite::of([
        test("healthy", healthy).needs(Need::BROWSER),
        test("a drift in the fault lab", fault_lab)
            .needs(Need::BROWSER)
            .needs(Need::WORLD),
        test("an update arrives without a reload", update).needs(Need::BROWSER),
        test("many faults", many_faults).needs(Need::BROWSER),
        test("two hundred endpoints", many_endpoints).needs(Need::BROWSER),
        test(
            "a configuration that was not loaded is a banner",
            failed_reload,
        ),
        test("every answer has the security headers", headers),
        test("wrong queries of the history are explained", bad_queries),
    ])
}

fn healthy() -> Result<()> {
    let ground = Ground::new()?;
    let agent = Agent::ready(&ground.config(&[&ground.contoso_entry()])?, &[])?;
    agent.until_rounds(&["contoso"; 3])?;
    look(&agent, "healthy", || ())
}

/// Addresses, names and ports are those of a real node; the README's pictures come from here.
fn fault_lab() -> Result<()> {
    let scenario = Scenario::parse(
        "story: The zone loses its link while somebody looks.\n\
         world: {nameservers: [{at: 198.18.0.53, is: changing}]}\n\
         containerd: {does: pulls}\n\
         verdict: ok\n",
    )?;
    let mut world = World::new()?;
    let scene = world.set(&scenario)?;
    let schedule =
        json!({"network_interval": "1s", "request_interval": "1s", "token_interval": "5s"});
    let agent = scene.run(&REGPROBE, &schedule)?;
    let mut drifted = scenario.world.nameservers[0].clone();
    drifted.login = Names::NotLinked;
    drifted.data = Names::NotLinked;
    browse(agent.beside("node"), LISTENS_AT, "lab", || {
        scene.change(&drifted)
    })
}

fn update() -> Result<()> {
    let ground = Ground::new()?;
    let agent = Agent::ready(&ground.config(&[&ground.contoso_entry()])?, &[])?;
    look(&agent, "drift", || ground.unlink())
}

fn many_faults() -> Result<()> {
    let ground = Ground::new()?;
    let (refused, firewall) = (ground.plain("refused")?, ground.plain("firewall")?);
    let denied = Answer::Firewall([203, 0, 113, 9].into());
    firewall.acr.answer(Route::Ping, denied);
    refused.acr.answer(Route::Ping, Answer::Status(503));
    ground.dns.break_all(Fault::ServFail);
    let entries = [
        ground.contoso_entry(),
        refused.entry.clone(),
        firewall.entry.clone(),
    ];
    let config = ground.config(&entries.each_ref().map(String::as_str))?;
    let agent = Agent::ready(&config, &[])?;
    agent.until_rounds(&["refused", "firewall"])?;
    look(&agent, "faults", || ())
}

fn many_endpoints() -> Result<()> {
    let ground = Ground::new()?;
    let (_server, entries) = registries(4, 50)?;
    let agent = Agent::ready(&ground.config(&[&entries])?, &[])?;
    look(&agent, "large", || ())
}

/// The entries of registries with this many endpoints each. One server serves all: it listens on every
/// loopback address. The last endpoint of each registry is its token service.
fn registries(count: u8, endpoints: u8) -> Result<(Acr, String)> {
    let server = Acr::at("127.0.0.1", (Ipv4Addr::UNSPECIFIED, 0)).start()?;
    let port = server.addr().port();
    let entry = |registry| {
        let at = |n: u8| format!("\"http://127.30.{registry}.{n}:{port}\"");
        let data: Vec<_> = (2..endpoints).map(at).collect();
        format!(
            "- server: {}\n  name: myregistry{registry}\n  data_endpoints: [{}]\n",
            at(1),
            data.join(", ")
        )
    };
    let entries = (1..=count).map(entry).collect();
    Ok((server, entries))
}

fn failed_reload() -> Result<()> {
    let ground = Ground::new()?;
    let config = ground.config(&[&ground.contoso_entry()])?;
    let agent = Agent::ready(&config, &["--web.enable-lifecycle"])?;
    let banner = "The configuration could not be loaded.";
    ensure!(!agent.get("/")?.text().contains(banner));
    fs::write(&config, "registries: [")?;
    agent.post("/-/reload")?;
    agent.until("says so", |agent| {
        let page = agent.get("/")?;
        let page = page.text();
        ensure!(page.contains(banner) && page.contains("contoso"), "{page}");
        Ok(())
    })
}

fn headers() -> Result<()> {
    let ground = Ground::new()?;
    let agent = Agent::ready(&ground.config(&[&ground.contoso_entry()])?, &[])?;
    let page = agent.get("/")?;
    let policy = page
        .header("content-security-policy")
        .context("no policy")?;
    ensure!(
        policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    ensure!(page.header("etag").is_some());
    for path in [
        "/",
        "/metrics",
        "/static/page.js",
        "/api/v1/history",
        "/nowhere",
    ] {
        let answer = agent.get(path)?;
        ensure!(
            answer.header("x-content-type-options") == Some("nosniff"),
            "{path}"
        );
        ensure!(
            answer.header("referrer-policy") == Some("no-referrer"),
            "{path}"
        );
    }
    Ok(())
}

fn bad_queries() -> Result<()> {
    let ground = Ground::new()?;
    let agent = Agent::ready(&ground.config(&[&ground.contoso_entry()])?, &[])?;
    for (query, status) in [
        ("?form=1", 400),
        ("?from=yesterday", 400),
        ("?limit=0", 400),
        ("?registry=nobody", 404),
        ("/nonsense", 400),
        ("/7", 404),
    ] {
        let answer = agent.get(&format!("/api/v1/history{query}"))?;
        ensure!(answer.status == status, "{query}: {}", answer.status);
        ensure!(answer.json()?["error"].is_string(), "{query}");
    }
    // All pages together are the whole history.
    agent.until_rounds(&["contoso"; 4])?;
    let first = agent
        .get("/api/v1/history?registry=contoso&limit=1")?
        .json()?;
    let next = first["next"].as_str().context("no next page")?;
    let second = agent
        .get(&format!("/api/v1/history?from={next}&limit=1"))?
        .json()?;
    let id = second["rounds"][0]["id"].as_str().context("no round")?;
    ensure!(first["rounds"][0]["id"] != *id);
    let document = agent.get(&format!("/api/v1/history/{id}"))?.json()?;
    regprobe_harness::output::schema::validate(&document)
}
