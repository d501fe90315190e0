//! The view of the whole fleet on loopback: one agent, and other agents that are real or hostile.

mod crowd;
mod laptop;
mod nodes;
mod plugin;
mod prometheus;
mod prometheus_over_tls;
mod secured;
mod sixty;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::browser::look;
use regprobe_harness::ground::Ground;
use regprobe_harness::need::Need;
use regprobe_harness::program::regprobe;
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::addresses::{free_port, loopback};
use regprobe_lab::fakes::sockets;
use serde_json::{Value, json};

pub(crate) fn suite() -> Suite {
    Suite::of([
        test("an agent alone shows itself", alone),
        test(
            "agents that lie, hang, flood, redirect or are gone",
            hostile,
        ),
        test(
            "more agents than a DNS answer has room for",
            crowd::is_listed,
        ),
        test("a hundred viewers cost the others one request", viewers),
        test(
            "agents with TLS, passwords and client certificates",
            secured::hear_each_other,
        ),
        test("regprobe fleet shows the same", command),
        test("the page in a browser", page).needs(Need::BROWSER),
        test("kubectl regprobe shows the same", plugin::shows_the_same).needs([Need::KUBECTL]),
        test(
            "sixty nodes: page, command and plugin show the same",
            sixty::show_the_same,
        )
        .needs([Need::Root, Need::IPROUTE, Need::KUBECTL]),
        test(
            "a real Prometheus shows the same",
            prometheus::shows_the_same,
        )
        .needs([Need::PROMETHEUS]),
        test(
            "a Prometheus that lies, floods or redirects",
            prometheus::is_hostile,
        ),
        test(
            "a Prometheus that sends a byte now and then",
            prometheus::is_slow,
        ),
        test(
            "a Prometheus behind TLS with token or password",
            prometheus_over_tls::shows_the_same,
        )
        .needs([Need::PROMETHEUS, Need::NGINX]),
        test(
            "a token for Prometheus goes nowhere else",
            prometheus_over_tls::keeps_its_token,
        )
        .needs([Need::NGINX]),
        test("kubectl regprobe why names the cause", plugin::why).needs([Need::KUBECTL]),
        test(
            "kubectl regprobe why names the causes of a workload",
            plugin::why_of_a_workload,
        )
        .needs([Need::KUBECTL]),
    ])
}

const SERVICE: &str = "regprobe.kube-system.svc.cluster.local";

/// An agent whose fleet has these addresses, at this port.
struct Fleet {
    ground: Ground,
    port: u16,
}

impl Fleet {
    fn new() -> Result<Self> {
        let ground = Ground::new()?;
        ground.dns.zone("cluster.local");
        Ok(Self {
            ground,
            port: free_port()?,
        })
    }

    /// Where the next agent is.
    fn place(&self) -> SocketAddr {
        SocketAddr::new(loopback().into(), self.port)
    }

    fn config(&self, peers: &[SocketAddr], more: &str) -> Result<PathBuf> {
        let addresses = peers.iter().map(SocketAddr::ip);
        self.ground.dns.address(SERVICE, addresses, 5);
        let (dns, port) = (self.ground.dns.addr(), self.port);
        let fleet = format!(
            "fleet: {{size: 1, service: {SERVICE}, nameserver: \"{dns}\", port: {port}{more}}}\n"
        );
        self.ground
            .config_with(&[&self.ground.contoso_entry()], &fleet)
    }

    fn agent(&self, peers: &[SocketAddr]) -> Result<Agent> {
        let agent = Agent::start(&self.config(peers, "")?, &[])?;
        agent.until_rounds(&["contoso"])?;
        Ok(agent)
    }
}

/// A server that counts its clients and answers each with these bytes, at once.
fn answers(at: SocketAddr, bytes: Vec<u8>) -> Result<Arc<AtomicUsize>> {
    let listener = TcpListener::bind(at).with_context(|| at.to_string())?;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    thread::spawn(move || {
        for client in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            if let Ok(client) = client {
                let _ = answer(client, &bytes);
            }
        }
    });
    Ok(count)
}

fn answer(mut client: TcpStream, bytes: &[u8]) -> Result<()> {
    let mut request = [0; 2048];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        ensure!(client.read(&mut request)? > 0);
    }
    Ok(client.write_all(bytes)?)
}

fn http(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// What an honest agent says.
fn summary(node: &str) -> Value {
    json!({
        "schema": "regprobe-summary/v1", "node": node, "version": "9.9.9", "at": "2026-02-20T12:00:00Z",
        "nameservers": [], "subnet": null, "proxy": null, "registries": [], "ok": ["contoso"], "left_out": {},
    })
}

fn view(agent: &Agent) -> Result<Value> {
    agent.get("/api/v1/fleet")?.expect_status(200)?.json()
}

fn alone() -> Result<()> {
    let ground = Ground::new()?;
    let agent = Agent::ready(&ground.config(&[&ground.contoso_entry()])?, &[])?;
    let view = agent.until("shows itself", |agent| {
        let view = view(agent)?;
        ensure!(view["sentence"] == "All 1 node can pull.", "{view}");
        Ok(view)
    })?;
    let note = view["notes"][0].as_str().context("no note")?;
    ensure!(note.contains("fleet.service is not set"), "{note}");
    let page = agent.get("/fleet")?.expect_status(200)?;
    ensure!(page.header("content-security-policy").is_some());
    ensure!(page.text().contains("All 1 node can pull."));
    Ok(())
}

fn hostile() -> Result<()> {
    let fleet = Fleet::new()?;
    let trap = answers(fleet.place(), http("200 OK", &summary("trap").to_string()))?;
    let trap_at = fleet.place();
    let beyond = answers(trap_at, http("200 OK", &summary("beyond").to_string()))?;
    let (lie, markup, redirect, flood, endless, head) = (
        fleet.place(),
        fleet.place(),
        fleet.place(),
        fleet.place(),
        fleet.place(),
        fleet.place(),
    );
    let mut lies = summary("<script>alert(1)</script>");
    lies["registries"] = json!([{
        "name": "</td><img src=x>", "condition": "failing", "since": null,
        "findings": [{"code": "<b>Code</b>", "severity": "critical", "endpoint": "javascript:alert(1)",
                      "since": null, "message": "\u{1b}[2J\u{202e}", "remedy": "\"onload=\"x"}],
    }]);
    answers(lie, http("200 OK", &lies.to_string()))?;
    answers(markup, http("200 OK", "<html><script>owned</script>"))?;
    let location =
        format!("HTTP/1.1 302 Found\r\nlocation: http://{trap_at}/\r\ncontent-length: 0\r\n\r\n");
    answers(redirect, location.into_bytes())?;
    answers(flood, http("200 OK", &"x".repeat(50 << 20)))?;
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "y".repeat(1 << 20)).repeat(20);
    let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunk}");
    answers(endless, chunked.into_bytes())?;
    answers(
        head,
        format!("HTTP/1.1 200 OK\r\nx: {}", "z".repeat(5 << 20)).into_bytes(),
    )?;
    let [hung, closed] = [fleet.place(), fleet.place()];
    let _hung = sockets::stalls(hung)?;
    let _closed = sockets::closed(closed)?;
    let honest = fleet.place();
    answers(honest, http("200 OK", &summary("honest").to_string()))?;

    let peers = [
        lie, markup, redirect, flood, endless, head, hung, closed, honest,
    ];
    let agent = fleet.agent(&peers)?;
    let view = view(&agent)?;
    let nodes = view["nodes"].as_array().context("no nodes")?;
    let said: BTreeMap<&str, &str> = nodes
        .iter()
        .filter_map(|node| Some((node["node"].as_str()?, node["no_answer"].as_str()?)))
        .collect();
    for (peer, why) in [
        (markup, "its answer is not a summary"),
        (redirect, "it answers with status 302"),
        (flood, "its answer is too large"),
        (endless, "its answer is too large"),
        (head, "it breaks HTTP"),
        (hung, "nothing within 1.5 s"),
        (closed, "Connection refused"),
    ] {
        let ip = peer.ip().to_string();
        let seen = said.get(&*ip).copied().unwrap_or_default();
        ensure!(seen.contains(why), "{ip}: {seen:?}, not {why}");
    }
    ensure!(
        view["nodes_total"] == 10 && view["nodes_answered"] == 3,
        "{view}"
    );
    ensure!(
        nodes
            .iter()
            .any(|node| node["node"] == "honest" && node["condition"] == "ok")
    );
    ensure!(
        trap.load(Ordering::SeqCst) + beyond.load(Ordering::SeqCst) == 0,
        "a redirect was followed"
    );

    let page = agent.get("/fleet")?.expect_status(200)?.text();
    for markup in [
        "<script>alert",
        "<img",
        "<b>Code",
        "onload=\"",
        "\u{1b}",
        "\u{202e}",
        "javascript:alert(1)\"",
    ] {
        ensure!(!page.contains(markup), "{markup}: {page}");
    }
    Ok(())
}

/// Three of twelve cannot pull, one has another version, and two are gone.
fn page() -> Result<()> {
    let fleet = Fleet::new()?;
    let mut peers = Vec::new();
    for number in 0..10 {
        let mut said = summary(&format!("aks-pool1-12345678-vmss00000{number}"));
        said["version"] = json!(if number == 9 { "9.9.8" } else { "9.9.9" });
        if number < 3 {
            said["ok"] = json!([]);
            said["registries"] = json!([{
                "name": "contoso", "condition": "failing", "since": "2026-02-20T11:14:00Z",
                "findings": [{
                    "code": "PrivateLinkZoneNotLinked", "severity": "critical",
                    "endpoint": "contoso.azurecr.io:443", "since": "2026-02-20T11:14:00Z",
                    "message": "contoso.azurecr.io resolves to the public address 203.0.113.10",
                    "remedy": "Link the private DNS zone privatelink.azurecr.io to the virtual network.",
                }],
            }]);
        }
        let place = fleet.place();
        answers(place, http("200 OK", &said.to_string()))?;
        peers.push(place);
    }
    let gone = [fleet.place(), fleet.place()];
    let _gone = gone.map(sockets::closed);
    peers.extend(gone);
    let agent = fleet.agent(&peers)?;
    look(&agent, "fleet", || ())
}

fn viewers() -> Result<()> {
    let fleet = Fleet::new()?;
    let peers: Vec<_> = (0..5).map(|_| fleet.place()).collect();
    let counts = peers
        .iter()
        .map(|peer| answers(*peer, http("200 OK", &summary("x").to_string())));
    let counts = counts.collect::<Result<Vec<_>>>()?;
    let config = fleet.config(&peers, "")?;
    let text =
        fs::read_to_string(&config)?.replace("network_interval: 1s", "network_interval: 60s");
    let text = text.replace(
        "request_interval: 1s, token_interval: 2s, image_interval: 2s",
        "request_interval: 60s",
    );
    fs::write(&config, text)?;
    let agent = Agent::ready(&config, &[])?;
    thread::scope(|scope| {
        let looks = (0..10).map(|_| {
            scope.spawn(|| {
                for path in ["/fleet", "/api/v1/fleet"].repeat(5) {
                    agent.get(path)?.expect_status(200)?;
                }
                Ok(())
            })
        });
        let looks: Vec<_> = looks.collect();
        looks
            .into_iter()
            .try_for_each(|look| look.join().expect("no panic"))
    })
    .and_then(|()| {
        let counts: Vec<_> = counts
            .iter()
            .map(|count| count.load(Ordering::SeqCst))
            .collect();
        ensure!(counts == [1; 5], "{counts:?}");
        Ok(())
    })
}

fn command() -> Result<()> {
    let fleet = Fleet::new()?;
    let [well, ill, gone] = [fleet.place(), fleet.place(), fleet.place()];
    answers(well, http("200 OK", &summary("well").to_string()))?;
    let mut failing = summary("ill");
    failing["ok"] = json!([]);
    failing["registries"] =
        json!([{"name": "contoso", "condition": "failing", "since": null, "findings": []}]);
    answers(ill, http("200 OK", &failing.to_string()))?;
    let _gone = sockets::closed(gone)?;
    let config = fleet.config(&[well, ill, gone], "")?;
    let file = format!("--config.file={}", config.display());
    let out = regprobe(["fleet", &file]).stdout(Stdio::piped()).output()?;
    let text = String::from_utf8(out.stdout)?;
    ensure!(out.status.code() == Some(1), "{text}");
    ensure!(
        text.starts_with("FAILING  1 of 3 nodes cannot pull from contoso."),
        "{text}"
    );
    ensure!(
        text.contains(&format!("{}  NO ANSWER", gone.ip())),
        "{text}"
    );
    let out = regprobe(["fleet", "--output=json", &file])
        .stdout(Stdio::piped())
        .output()?;
    let document: Value = serde_json::from_slice(&out.stdout)?;
    ensure!(
        document["schema"] == "regprobe-fleet/v1" && document["nodes_total"] == 3,
        "{document}"
    );
    Ok(())
}
