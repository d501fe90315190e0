//! The data for the pictures of the dashboards: a small fleet with events during a quarter of an hour, and
//! its Prometheus' answers to every query of every panel. The suite only runs by name, and writes the
//! answers to the folder `PICTURES`; `pictures/draw.mjs` draws them.

use std::env;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::{Ground, Plain};
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::addresses::{free_addr, loopback};
use regprobe_lab::fakes::acr::{Acr, Answer, Route};
use regprobe_lab::servers::Prometheus;
use regprobe_lab::wait;
use serde_json::{Map, Value, json};

use super::cluster::RULES;
use super::cluster::pullable;
use super::grafana::{Dashboard, Target, interpolate};

/// How long the fleet runs, which is also the range of the dashboards.
const SHOWN: Duration = Duration::from_secs(15 * 60);
/// Between two scrapes, and between two points of a line.
const STEP: u64 = 5;
/// The node whose path is drawn: the one with the most faults.
const NODE: &str = "node-5";

pub(crate) fn suite() -> Suite {
    let take = || {
        take(Path::new(
            &env::var_os("PICTURES").context("PICTURES is not set")?,
        ))
    };
    let limit = SHOWN + Duration::from_secs(300);
    Suite::of([test("the answers for the pictures are written", take).within(limit)])
}

fn take(folder: &Path) -> Result<()> {
    let fleet = Fleet::start()?;
    fleet.live()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let now = now.as_secs();
    for dashboard in Dashboard::read_all()? {
        let mut answers = Map::new();
        for panel in dashboard.panels() {
            let asked = panel.targets().map(|target| {
                let answer = fleet.ask(&dashboard, target, now);
                let answer = answer.with_context(|| target.expr().to_owned())?;
                Ok((target.id().to_owned(), answer))
            });
            let of_panel = asked.collect::<Result<Map<_, _>>>()?;
            answers.insert(panel.0["id"].to_string(), of_panel.into());
        }
        let told = json!({
            "dashboard": dashboard.0,
            "node": NODE,
            "from": (now - SHOWN.as_secs()) * 1000,
            "to": now * 1000,
            "step": STEP * 1000,
            "answers": answers,
        });
        let file = folder.join(format!("{}.answers.json", dashboard.uid()));
        fs::write(&file, serde_json::to_vec(&told)?)?;
        println!("{}", file.display());
    }
    Ok(())
}

/// Five nodes in two clusters, and a sixth whose agent is gone.
struct Fleet {
    ground: Ground,
    broken: Plain,
    prometheus: Prometheus,
    _agents: Vec<Agent>,
    _hello: Acr,
}

impl Fleet {
    fn start() -> Result<Self> {
        let ground = Ground::new()?;
        let broken = ground.plain("fabrikam")?;
        let (hello, entry_of_hello) = pullable("mirror")?;
        let entries = [&*ground.contoso_entry(), &broken.entry, &entry_of_hello];
        let config = ground.config_with(&entries, "")?;
        let mut targets = String::new();
        let mut agents = Vec::new();
        for (cluster, node) in [
            ("east", 1),
            ("east", 2),
            ("east", 3),
            ("west", 4),
            ("west", 5),
        ] {
            let mut config = config.clone();
            if format!("node-{node}") == NODE {
                // Its first nameserver is dead.
                let text = fs::read_to_string(&config)?;
                let dead = free_addr(loopback())?;
                let other = ground.dns.addr();
                let file = config.with_file_name("resolv-5.conf");
                let nameserver = |addr: std::net::SocketAddr| {
                    format!("nameserver [{}]:{}\n", addr.ip(), addr.port())
                };
                fs::write(&file, nameserver(dead) + &nameserver(other))?;
                config = config.with_file_name("node-5.yaml");
                fs::write(&config, text.replace("/resolv.conf", "/resolv-5.conf"))?;
            }
            let agent = Agent::ready(&config, &[])?;
            targets += &target(&agent.addr.to_string(), cluster, node);
            agents.push(agent);
        }
        targets += &target(&free_addr(loopback())?.to_string(), "west", 6);
        let prometheus = Prometheus::configured(
            &format!(
                "global: {{scrape_interval: {STEP}s, scrape_timeout: {STEP}s, evaluation_interval: {STEP}s}}\n\
                 rule_files: [\"{RULES}\"]\n\
                 scrape_configs:\n\
                 - job_name: regprobe\n  \
                   static_configs:\n{targets}"
            ),
            (loopback(), 0),
        )?;
        Ok(Self {
            ground,
            broken,
            prometheus,
            _agents: agents,
            _hello: hello,
        })
    }

    /// A drift that is fixed, a data endpoint that breaks, and another drift.
    fn live(&self) -> Result<()> {
        let later = |part: u32| wait::pause(SHOWN * part / 15);
        later(4);
        self.ground.unlink();
        later(3);
        self.ground.link();
        later(2);
        self.broken.acr.answer(Route::Data, Answer::Reset);
        later(2);
        self.ground
            .dns
            .acr("contoso")
            .data("westeurope")
            .record_missing();
        later(4);
        Ok(())
    }

    /// Prometheus' answer to a query as Grafana would send it.
    fn ask(&self, dashboard: &Dashboard, target: Target<'_>, now: u64) -> Result<Value> {
        let mut query = target.expr().to_owned();
        for (name, seconds) in [
            ("$__rate_interval", 4 * STEP),
            ("$__interval", STEP),
            ("$__range", SHOWN.as_secs()),
        ] {
            query = query.replace(name, &format!("{seconds}s"));
        }
        let chosen = dashboard.variables().map(|variable| {
            let value = variable.all().unwrap_or(NODE).to_owned();
            (variable.name(), value)
        });
        let query = interpolate(&query, &chosen.collect::<Vec<_>>())?;
        let from = now - SHOWN.as_secs();
        let [from, now, step] = [from, now, STEP].map(|seconds| seconds.to_string());
        if target.is_instant() {
            let parameters = [("query", &*query), ("time", &now)];
            return self.prometheus.ask("/api/v1/query", &parameters);
        }
        let parameters = [
            ("query", &*query),
            ("start", &from),
            ("end", &now),
            ("step", &step),
        ];
        self.prometheus.ask("/api/v1/query_range", &parameters)
    }
}

fn target(addr: &str, cluster: &str, node: u32) -> String {
    format!("  - {{targets: [\"{addr}\"], labels: {{cluster: {cluster}, node: node-{node}}}}}\n")
}
