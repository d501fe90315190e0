//! Sixty agents, nearly all of them real: some have a drift, some hang, some are gone, one is of another version. The
//! page, the command and the plugin of kubectl say the same about them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::Ground;
use regprobe_harness::program::regprobe;
use regprobe_lab::addresses::{free_port, loopback};
use serde_json::{Value, json};

use super::laptop::{self, Laptop};
use super::{answers, http, summary};

const NODES: usize = 60;
const DRIFT: usize = 10;
const HUNG: usize = 3;
const GONE: usize = 2;
/// For the page: without the agent that makes it.
const OTHERS: &str = "others.kube-system.svc.cluster.local";
/// For the command.
const ALL: &str = "all.kube-system.svc.cluster.local";

/// What a view says, without what depends on who looks.
#[derive(Debug, PartialEq)]
struct Truth {
    sentence: Value,
    conditions: BTreeMap<String, String>,
    causes: Vec<(String, Value)>,
    silent: usize,
    versions: Value,
}

pub(super) fn show_the_same() -> Result<()> {
    let (well, drift) = (Ground::new()?, Ground::new()?);
    well.dns.zone("cluster.local");
    drift.unlink();
    let port = free_port()?;
    let places: Vec<_> = (0..NODES)
        .map(|_| SocketAddr::new(loopback().into(), port))
        .collect();
    for (service, agents) in [(OTHERS, &places[1..]), (ALL, &places[..])] {
        let agents = agents.iter().map(SocketAddr::ip);
        well.dns
            .address(service, agents.collect::<Vec<IpAddr>>(), 60);
    }
    let config = |ground: &Ground, service: &str| {
        let nameserver = well.dns.addr();
        let fleet = format!(
            "fleet: {{size: 1, service: {service}, nameserver: \"{nameserver}\", port: {port}}}\n"
        );
        seldom(&ground.config_with(&[&ground.contoso_entry()], &fleet)?)
    };
    let (well_config, drift_config) = (config(&well, OTHERS)?, config(&drift, OTHERS)?);
    let start = |(number, at): (usize, &SocketAddr)| {
        let config = if (1..=DRIFT).contains(&number) {
            &drift_config
        } else {
            &well_config
        };
        let mut command = regprobe(["run"]);
        command.env("NODE_NAME", name(number));
        Agent::start_at(*at, command, config, &[], Ok)
    };
    let mut agents: Vec<_> = places[..NODES - 1]
        .iter()
        .enumerate()
        .map(start)
        .collect::<Result<_>>()?;
    let mut other = summary(&name(NODES - 1));
    other["version"] = json!("9.9.9");
    answers(places[NODES - 1], http("200 OK", &other.to_string()))?;
    agents.iter().try_for_each(Agent::until_ready)?;
    let gone = agents.split_off(agents.len() - GONE);
    drop(gone);
    let hung = Hung::stop(&agents[agents.len() - HUNG..])?;

    let begun = Instant::now();
    let page = agents[0].until("asks them all", |agent| {
        let view: Value = agent.get("/api/v1/fleet")?.expect_status(200)?.json()?;
        ensure!(view["nodes_awaited"] == 0, "{}", view["nodes_awaited"]);
        Ok(view)
    })?;
    println!("page: {:.1} s", begun.elapsed().as_secs_f64());
    let page = truth(&page)?;
    println!("{:#?}", page.sentence);
    ensure!(page.silent == HUNG + GONE, "{page:#?}");
    let drifting: Vec<_> = (1..=DRIFT).map(name).collect();
    let zone = page
        .causes
        .iter()
        .find(|(code, _)| code == "PrivateLinkZoneNotLinked");
    ensure!(
        zone.is_some_and(|(_, nodes)| *nodes == json!(drifting)),
        "{page:#?}"
    );
    ensure!(page.conditions.len() == NODES - HUNG - GONE, "{page:#?}");

    let begun = Instant::now();
    let file = format!("--config.file={}", config(&well, ALL)?.display());
    let mut command = regprobe(["fleet", "--output=json", &file]);
    let command = command.stdout(Stdio::piped()).output()?;
    println!("command: {:.1} s", begun.elapsed().as_secs_f64());
    let command: Value = serde_json::from_slice(&command.stdout)?;
    ensure!(
        truth(&command)? == page,
        "{:#?}\n{page:#?}",
        truth(&command)?
    );

    let places = Arc::new(places);
    let laptop = Laptop::new(move |client| api_server(client, &places))?;
    let begun = Instant::now();
    let plugin = laptop.plugin(&["--output=json"])?;
    println!("plugin: {:.1} s", begun.elapsed().as_secs_f64());
    let plugin: Value = serde_json::from_slice(&plugin.stdout)
        .with_context(|| String::from_utf8_lossy(&plugin.stderr).into_owned())?;
    ensure!(truth(&plugin)? == page, "{:#?}\n{page:#?}", truth(&plugin)?);
    drop(hung);
    Ok(())
}

fn name(number: usize) -> String {
    format!("node-{number:02}")
}

/// Sixty agents on one machine have other things to do than to probe every second.
fn seldom(config: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string(config)?;
    let text = text
        .replace("interval: 1s", "interval: 60s")
        .replace("interval: 2s", "interval: 60s");
    fs::write(config, text)?;
    Ok(config.to_owned())
}

/// Agents that accept connections and do nothing, until dropped.
struct Hung<'a>(&'a [Agent]);

impl<'a> Hung<'a> {
    fn stop(agents: &'a [Agent]) -> Result<Self> {
        let hung = Self(agents);
        agents
            .iter()
            .try_for_each(|agent| agent.signal(Signal::SIGSTOP))?;
        Ok(hung)
    }
}

impl Drop for Hung<'_> {
    fn drop(&mut self) {
        for agent in self.0 {
            let _ = agent.signal(Signal::SIGCONT);
        }
    }
}

fn truth(view: &Value) -> Result<Truth> {
    let nodes = view["nodes"].as_array().context("no nodes")?;
    let known = nodes.iter().filter_map(|node| {
        let text = |key: &str| node[key].as_str().map(str::to_owned);
        Some((text("node")?, text("condition")?))
    });
    let causes = view["causes"].as_array().context("no causes")?;
    let causes = causes.iter().map(|cause| {
        let code = cause["code"].as_str().unwrap_or_default();
        (code.to_owned(), cause["nodes"].clone())
    });
    let silent = nodes.iter().filter(|node| node["no_answer"].is_string());
    let versions = nodes
        .iter()
        .map(|node| (node["node"].to_string(), &node["version"]));
    let versions: BTreeMap<_, _> = versions
        .filter(|(_, version)| version.is_string())
        .collect();
    Ok(Truth {
        sentence: view["sentence"].clone(),
        conditions: known.collect(),
        causes: causes.collect(),
        silent: silent.count(),
        versions: json!(versions),
    })
}

/// Lists the agents' pods, and leads to the agents as the real one does.
fn api_server(client: TcpStream, places: &[SocketAddr]) -> Result<()> {
    let target = laptop::target(&client)?;
    let path = target.split('?').next().unwrap_or_default();
    let pods = || {
        let pod = |(number, at): (usize, &SocketAddr)| {
            let ports = json!([{"name": "metrics", "containerPort": at.port()}]);
            json!({"metadata": {"name": format!("regprobe-{number}"), "namespace": "kube-system"},
                   "spec": {"nodeName": name(number), "containers": [{"ports": ports}]}})
        };
        let pods: Vec<_> = places.iter().enumerate().map(pod).collect();
        json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods})
    };
    let proxied = path.strip_prefix("/api/v1/namespaces/kube-system/pods/regprobe-");
    match (path, proxied) {
        ("/api/v1/pods", _) => laptop::reply(client, "200 OK", &pods()),
        (_, Some(pod)) => {
            let (number, rest) = pod.split_once(':').context("no port")?;
            let (_, path) = rest.split_once("/proxy").context("no proxy")?;
            let place = places
                .get(number.parse::<usize>()?)
                .context("no such pod")?;
            match ask(*place, path) {
                Ok(answer) => Ok({ client }.write_all(&answer)?),
                Err(error) => {
                    let message = format!("error trying to reach service: {error:#}");
                    let status = json!({"kind": "Status", "apiVersion": "v1", "message": message});
                    laptop::reply(client, "503 Service Unavailable", &status)
                }
            }
        }
        _ => laptop::reply(client, "200 OK", &laptop::discovery(path)),
    }
}

fn ask(at: SocketAddr, path: &str) -> Result<Vec<u8>> {
    let limit = Duration::from_secs(1);
    let mut agent = TcpStream::connect_timeout(&at, limit)?;
    agent.set_read_timeout(Some(limit))?;
    agent.write_all(
        format!("GET {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = Vec::new();
    agent.read_to_end(&mut answer)?;
    ensure!(!answer.is_empty(), "no answer");
    Ok(answer)
}
