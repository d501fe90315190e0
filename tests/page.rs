//! The page that the agent serves, in a real Chromium: that it says what holds in every state, that
//! it can be used by mouse, by keyboard, without JavaScript and on a phone, that axe-core has nothing
//! to say, and that a hostile registry writes text and nothing else.

#[path = "agent/ground.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests of the agent, which use more of it"
)]
mod ground;
#[path = "agent/process.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests of the agent, which use more of it"
)]
mod process;
#[path = "agent/scrape.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests of the agent, which use more of it"
)]
mod scrape;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use regprobe_lab::acr::{Acr, Answer, Challenge, Route};
use regprobe_lab::dns::Fault;
use regprobe_lab::scenario::{Names, Scenario};
use regprobe_lab::suite::{self, Need, test};
use regprobe_lab::world::{LISTENS_AT, World};
use serde_json::json;

use self::ground::Ground;
use self::process::Agent;

const BROWSER: [Need; 3] = [
    Need::CHROMIUM,
    Need::Tool("node_modules/playwright-core/package.json"),
    Need::Tool("node_modules/axe-core/axe.min.js"),
];

fn main() -> ExitCode {
    suite::run([
        test("healthy", healthy).needs(BROWSER),
        test("a drift in the fault lab", fault_lab)
            .needs(BROWSER)
            .needs(World::NEEDS),
        test("an update arrives without a reload", update).needs(BROWSER),
        test("many faults", many_faults).needs(BROWSER),
        test("two hundred endpoints", many_endpoints).needs(BROWSER),
        test("a hostile registry stays text", hostile).needs(BROWSER),
        test("every answer keeps browsers in check", headers),
        test("what the history gets wrong is said", bad_queries),
    ])
}

fn healthy() -> Result<()> {
    let ground = Ground::new()?;
    let agent = Agent::ready(&ground.config(&[&ground.contoso_entry()])?, &[])?;
    agent.until_rounds(&["contoso"; 3])?;
    look(&agent, "healthy", || ())
}

/// Addresses, names and ports as on a real node; the README's pictures are taken here.
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
    let agent = scene.run(Path::new(env!("CARGO_BIN_EXE_regprobe")), &schedule)?;
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

/// The entries of registries with as many endpoints each. One server stands for all: it listens on
/// every loopback address. The token service of each registry is the last endpoint.
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

const MARKUP: &str = "<script>window.owned=1</script><img src=x onerror=window.owned=1>";

fn hostile() -> Result<()> {
    let ground = Ground::new()?;
    let plain = ground.plain("hostile")?;
    let realm = Challenge::Realm(format!("ftp://{MARKUP}"));
    plain.acr.answer(Route::Ping, Answer::Challenge(realm));
    // A certificate for a name of markup, which fails and is described.
    let name = ground.contoso_endpoints()[0].clone();
    let host = name.rsplit_once(':').context("no port")?.0.to_owned();
    let identity = ground.pki.leaf([MARKUP]).without_san().issue()?;
    ground.contoso.present(&host, &identity)?;
    let entries = [ground.contoso_entry(), plain.entry.clone()];
    let config = ground.config(&entries.each_ref().map(String::as_str))?;
    let agent = Agent::ready(&config, &[])?;
    agent.until_rounds(&["contoso", "hostile"])?;
    let page = agent.get("/")?.text();
    ensure!(!page.contains("<script>window"), "{page}");
    look(&agent, "hostile", || ())?;
    let unescaped = |text: &str| text.chars().any(|c| c.is_control() && c != '\n');
    ensure!(!unescaped(&agent.log().join("\n")) && !unescaped(&agent.scrape()?.text));
    Ok(())
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
    // Page by page it is the whole.
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
    regprobe_lab::schema::validate(&document)
}

fn look(agent: &Agent, story: &str, change: impl FnOnce()) -> Result<()> {
    browse(Command::new("node"), agent.addr, story, || {
        change();
        Ok(())
    })
}

/// Runs a story of `page/look.mjs`; when it has looked once, `change` comes to pass.
fn browse(
    mut node: Command,
    agent: SocketAddr,
    story: &str,
    change: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    fs::create_dir_all(&pictures)?;
    let mut child = node
        .arg(here.join("page/look.mjs"))
        .arg(suite::tool("node_modules"))
        .arg(format!("http://{agent}"))
        .args([story.as_ref(), pictures.as_os_str()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("node does not start")?;
    let mut said = BufReader::new(child.stdout.take().context("no output")?);
    let mut line = String::new();
    said.read_line(&mut line)?;
    change()?;
    said.read_to_string(&mut line)?;
    let mut errors = String::new();
    child
        .stderr
        .take()
        .context("no errors")?
        .read_to_string(&mut errors)?;
    ensure!(child.wait()?.success(), "{story}: {line}{errors}");
    Ok(())
}
