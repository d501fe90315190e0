//! What one look at the whole fleet costs the agent that makes the view, and the others: stubs answer as agents at
//! addresses of 127.0.0.0/8, and a stub answers as a Prometheus that scrapes 5,000.
//!
//! `cargo bench -p regprobe --bench view -- 5000` sets the number of agents; an answer of this nameserver has room for
//! 3,400, and the next one lists others.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_lab::addresses::free_port;
use regprobe_lab::fakes::acr::Acr;
use regprobe_lab::fakes::dns::{Dns, Fault};
use serde_json::{Value, json};

/// The fake nameserver repeats the name with each address, so that a long one leaves room for few.
const SERVICE: &str = "s.k";
/// Of the stub that answers as Prometheus.
const SCRAPED: usize = 5000;
const REGISTRIES: [&str; 3] = ["contoso", "fabrikam", "docker.io"];
const VIEWERS: usize = 100;
/// An agent has 32 connections.
const AT_ONCE: usize = 20;
/// Threads that answer as agents.
const ANSWERING: usize = 8;

fn main() -> Result<()> {
    let number = env::args().find_map(|argument| argument.parse().ok());
    let number = number.unwrap_or(5000);
    let folder = tempfile::tempdir()?;
    let server = Acr::at("127.0.0.1", (Ipv4Addr::UNSPECIFIED, 0)).start()?;
    let registry = format!(
        "registries: [{{server: \"http://127.0.0.1:{}\", name: contoso}}]\nnode: {{proxy: none}}\n",
        server.addr().port()
    );
    let agent = |name: &str, fleet: &str| {
        let config = folder.path().join(name);
        fs::write(&config, format!("{registry}fleet: {{size: 1, {fleet}}}\n"))?;
        Agent::ready(&config, &["--log.level=warn"])
    };

    let (port, asked) = agents()?;
    let dns = Dns::start((Ipv4Addr::LOCALHOST, 0))?;
    dns.zone("k");
    dns.address(SERVICE, (0..number).map(address), 60);
    dns.break_name(SERVICE, Fault::Rotate);
    let nameserver = dns.addr();
    let fleet = format!("service: {SERVICE}, nameserver: \"{nameserver}\", port: {port}");
    look(&agent("peers.yaml", &fleet)?, number + 1, "agents")?;
    println!(
        "the agents were asked {} times in all",
        asked.load(Ordering::SeqCst)
    );

    let prometheus = prometheus()?;
    let fleet = format!("prometheus: \"http://{prometheus}\"");
    look(
        &agent("prometheus.yaml", &fleet)?,
        SCRAPED,
        "nodes out of Prometheus",
    )
}

/// Looks once, then with many viewers, and prints what that cost.
fn look(agent: &Agent, nodes: usize, what: &str) -> Result<()> {
    let (before, begun) = (agent.processor_time()?, Instant::now());
    let view = loop {
        // 503 before anything is known.
        let answer = agent.get("/api/v1/fleet")?;
        if answer.status != 200 {
            continue;
        }
        let view: Value = answer.json()?;
        if view["nodes_awaited"] == 0 {
            break view;
        }
    };
    let took = begun.elapsed().as_secs_f64();
    let used = agent.processor_time()? - before;
    ensure!(
        view["nodes_total"] == nodes && view["nodes_answered"] == nodes,
        "{} of {}: {}",
        view["nodes_answered"],
        view["nodes_total"],
        view["notes"]
    );
    println!(
        "{nodes} {what}: {took:.1} s, {:.2} s of processor time, at most {:.0} MiB resident",
        used.as_secs_f64(),
        status(agent, "VmHWM:")? / 1024.0
    );
    let before = agent.processor_time()?;
    thread::scope(|scope| {
        let view = || {
            let mut looks = (0..VIEWERS / AT_ONCE).map(|_| agent.get("/fleet")?.expect_status(200));
            looks.try_for_each(|look| look.map(drop))
        };
        let viewers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(view)).collect();
        let mut viewers = viewers.into_iter();
        viewers.try_for_each(|viewer| viewer.join().expect("no panic"))
    })?;
    println!(
        "  {VIEWERS} viewers of the page, {AT_ONCE} at a time: {:.2} s of processor time, at most {:.0} MiB resident",
        (agent.processor_time()? - before).as_secs_f64(),
        status(agent, "VmHWM:")? / 1024.0
    );
    Ok(())
}

/// The address of an agent; 127.0.x.y is where everything else on the machine listens.
fn address(number: usize) -> IpAddr {
    let [_, _, high, low] = u32::try_from(number).unwrap_or_default().to_be_bytes();
    Ipv4Addr::new(127, 77, high, low).into()
}

/// One listener answers at all addresses; returns its port and how often it was asked.
fn agents() -> Result<(u16, Arc<AtomicUsize>)> {
    let port = free_port()?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    let asked = Arc::new(AtomicUsize::new(0));
    for _ in 0..ANSWERING {
        let (listener, asked) = (listener.try_clone()?, asked.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                asked.fetch_add(1, Ordering::SeqCst);
                let _ = client
                    .local_addr()
                    .map_err(Into::into)
                    .and_then(|at| answer(client, &summary(at)));
            }
        });
    }
    Ok((port, asked))
}

/// Every hundredth has a drift.
fn summary(at: SocketAddr) -> Value {
    let mut summary = json!({
        "schema": "regprobe-summary/v1", "node": format!("node-{}", at.ip()), "version": "9.9.9",
        "at": "2026-02-20T12:00:00Z", "nameservers": ["10.0.0.10"], "subnet": "10.1.0.0/16", "proxy": null,
        "registries": [], "ok": REGISTRIES, "left_out": {},
    });
    if at.ip().to_string().ends_with("00") {
        summary["ok"] = json!(REGISTRIES[1..]);
        summary["registries"] = json!([{
            "name": "contoso", "condition": "failing", "since": "2026-02-20T11:00:00Z",
            "findings": [{
                "code": "PrivateLinkZoneNotLinked", "severity": "critical", "endpoint": "contoso.azurecr.io:443",
                "since": "2026-02-20T11:00:00Z",
            }],
        }]);
    }
    summary
}

/// Answers the queries of the view.
fn prometheus() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let at = listener.local_addr()?;
    let node = |number: usize| format!("aks-pool1-12345678-vmss{number:06}");
    let sample = |metric: Value, value: &str| json!({"metric": metric, "value": [1.0, value]});
    let vector = |samples: Vec<Value>| json!({"status": "success", "data": {"resultType": "vector", "result": samples}});
    let nodes = (0..SCRAPED).map(|n| sample(json!({"node": node(n), "version": "9.9.9"}), "1"));
    let nodes = vector(nodes.collect());
    let verdicts = (0..SCRAPED).flat_map(|n| {
        REGISTRIES.map(|registry| {
            let value = if n % 100 == 0 { "2" } else { "0" };
            sample(json!({"node": node(n), "registry": registry}), value)
        })
    });
    let verdicts = vector(verdicts.collect());
    let nothing = vector(Vec::new());
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let _ = request(&client).and_then(|asked| {
                let said = if asked.contains("registry_verdict") {
                    &verdicts
                } else if asked.contains("up+%3D%3D") || asked.contains("regprobe_finding") {
                    &nothing
                } else {
                    &nodes
                };
                reply(client, said)
            });
        }
    });
    Ok(at)
}

fn answer(client: TcpStream, said: &Value) -> Result<()> {
    request(&client)?;
    reply(client, said)
}

fn request(mut client: &TcpStream) -> Result<String> {
    let (mut text, mut piece) = (Vec::new(), [0; 2048]);
    while !text.ends_with(b"\r\n\r\n") {
        let read = client.read(&mut piece)?;
        ensure!(read > 0, "no request");
        text.extend_from_slice(&piece[..read]);
    }
    Ok(String::from_utf8(text)?)
}

fn reply(mut client: TcpStream, said: &Value) -> Result<()> {
    let body = said.to_string();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    Ok(client.write_all((head + &body).as_bytes())?)
}

/// A line of `status` of proc(5), in KiB.
fn status(agent: &Agent, line: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.id()))?;
    let mut lines = status.lines().filter_map(|text| text.strip_prefix(line));
    let value = lines.next().context("no such line")?;
    let number = value.split_whitespace().next().context("no number")?;
    Ok(number.parse()?)
}
