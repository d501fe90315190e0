//! Sixty nodes in namespaces of their own, with real agents: some have a drift, some hang, some are gone. One is a stub
//! of another version. The page, the command and the plugin of kubectl say the same about them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use regprobe_harness::agent::Agent;
use regprobe_harness::program::regprobe;
use regprobe_lab::netns::Namespace;
use serde_json::{Value, json};

use super::laptop::{self, Laptop};
use super::nodes::{Nodes, UNLINKED, name, place};
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
    notes: Vec<String>,
    conditions: BTreeMap<String, String>,
    causes: Vec<(String, Value)>,
    silent: usize,
    versions: Value,
}

pub(super) fn show_the_same() -> Result<()> {
    let network = Namespace::new("network")?;
    network.enter(|| on(&network))
}

/// In the namespace of this network, and so are the programs and threads that it starts.
fn on(network: &Namespace) -> Result<()> {
    let nodes = Nodes::new(network, NODES)?;
    nodes.serve(OTHERS, 1..NODES);
    nodes.serve(ALL, 0..NODES);
    let start = |number| nodes.agent(number, (1..=DRIFT).contains(&number), OTHERS);
    let mut agents: Vec<_> = (0..NODES - 1).map(start).collect::<Result<_>>()?;
    let mut other = summary(&name(NODES - 1));
    other["version"] = json!("9.9.9");
    let other = http("200 OK", &other.to_string());
    nodes.on(NODES - 1, || answers(place(NODES - 1), other))?;
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
    ensure!(page.silent == HUNG + GONE, "{page:#?}");
    let common =
        format!("All {DRIFT} have nameservers {UNLINKED}; no other node that answered does.");
    ensure!(page.notes.contains(&common), "{page:#?}");
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
    let file = nodes.config("laptop", ALL)?;
    let file = format!("--config.file={}", file.display());
    let mut command = regprobe(["fleet", "--output=json", &file]);
    let command = command.stdout(Stdio::piped()).output()?;
    println!("command: {:.1} s", begun.elapsed().as_secs_f64());
    let command: Value = serde_json::from_slice(&command.stdout)?;
    ensure!(
        truth(&command)? == page,
        "{:#?}\n{page:#?}",
        truth(&command)?
    );

    let laptop = Laptop::new(api_server)?;
    let begun = Instant::now();
    let plugin = laptop.plugin(&["--output=json"])?;
    println!("plugin: {:.1} s", begun.elapsed().as_secs_f64());
    let plugin: Value = serde_json::from_slice(&plugin.stdout)
        .with_context(|| String::from_utf8_lossy(&plugin.stderr).into_owned())?;
    ensure!(truth(&plugin)? == page, "{:#?}\n{page:#?}", truth(&plugin)?);
    drop(hung);
    Ok(())
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
        notes: serde_json::from_value(view["notes"].clone())?,
        conditions: known.collect(),
        causes: causes.collect(),
        silent: silent.count(),
        versions: json!(versions),
    })
}

/// Lists the agents' pods, and leads to the agents as the real one does.
fn api_server(client: TcpStream) -> Result<()> {
    let target = laptop::target(&client)?;
    let path = target.split('?').next().unwrap_or_default();
    let pods = || {
        let pod = |number| {
            let ports = json!([{"name": "metrics", "containerPort": place(number).port()}]);
            json!({"metadata": {"name": format!("regprobe-{number}"), "namespace": "kube-system"},
                   "spec": {"nodeName": name(number), "containers": [{"ports": ports}]}})
        };
        let pods: Vec<_> = (0..NODES).map(pod).collect();
        json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods})
    };
    let proxied = path.strip_prefix("/api/v1/namespaces/kube-system/pods/regprobe-");
    match (path, proxied) {
        ("/api/v1/pods", _) => laptop::reply(client, "200 OK", &pods()),
        (_, Some(pod)) => {
            let (number, rest) = pod.split_once(':').context("no port")?;
            let (_, path) = rest.split_once("/proxy").context("no proxy")?;
            match ask(place(number.parse()?), path) {
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

/// Waits for as long as the agent does not answer.
fn ask(at: SocketAddr, path: &str) -> Result<Vec<u8>> {
    let mut agent = TcpStream::connect_timeout(&at, Duration::from_secs(60))?;
    agent.write_all(
        format!("GET {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = Vec::new();
    agent.read_to_end(&mut answer)?;
    ensure!(!answer.is_empty(), "no answer");
    Ok(answer)
}
