//! Draws a world: a scenario whose expectations nobody looks at, as a document that a file of `tests/scenarios`
//! could hold. A world is a registry in good health, of which there are several kinds, with two to four faults.

mod answers;
mod credentials;
mod detours;
mod draw;
mod faults;
mod homes;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use self::draw::Draw;
use self::faults::FAULTS;
use self::homes::{HOMES, Home};

const NAMESERVERS: [&str; 3] = ["198.18.0.53", "198.18.0.54", "198.18.0.55"];

/// The world of this seed; a pull has `patience` seconds.
pub(super) fn world(seed: u64, patience: f64) -> Value {
    let mut draw = Draw::of(seed);
    let home = draw.weighted(&HOMES);
    let mut draft = Draft::of(home, draw);
    for _ in 0..draft.draw.number(2, 4) {
        let fault = draft.draw.weighted(&FAULTS);
        fault(&mut draft);
    }
    draft.finish(seed, patience)
}

/// A world to which faults are added.
struct Draft {
    draw: Draw,
    home: &'static Home,
    /// The `world` of the scenario, but for what is below.
    world: Map<String, Value>,
    nameservers: Vec<Value>,
    /// Lines of `resolv.conf`, behind the nameservers.
    resolv_conf: Vec<String>,
    /// Lines of the hosts file.
    hosts: Vec<String>,
    /// Hosts of `hosts.toml`, in their order: the URL and its settings.
    turns: Vec<(String, Vec<String>)>,
    /// The `server` of `hosts.toml`, if it shall be another than the registry.
    server: Option<&'static str>,
    /// `hosts.toml` is that of `_default`.
    for_all: bool,
    /// What the agent knows of the node's credentials.
    credentials: Map<String, Value>,
    /// As whom containerd pulls, if not as nobody.
    user: Option<String>,
}

impl Draft {
    fn of(home: &'static Home, mut draw: Draw) -> Self {
        let world = serde_json::from_str(home.world).expect("a home's world is a mapping");
        let servers = draw.number(1, 3);
        let nameservers = NAMESERVERS[..servers].iter();
        let mut draft = Self {
            draw,
            home,
            world,
            nameservers: nameservers.map(|at| json!({"at": at})).collect(),
            resolv_conf: Vec::new(),
            hosts: Vec::new(),
            turns: Vec::new(),
            server: None,
            for_all: false,
            credentials: Map::new(),
            user: None,
        };
        if home.is_public {
            for nameserver in &mut draft.nameservers {
                nameserver["login"] = json!("public");
                nameserver["data"] = json!("public");
            }
        }
        if home.is_in_hosts_toml {
            draft.turn(home.url, &[]);
        }
        draft
    }

    /// Sets a key of a section of the world.
    fn set(&mut self, section: &str, key: &str, value: impl Into<Value>) {
        let section = self.world.entry(section).or_insert_with(|| json!({}));
        section[key] = value.into();
    }

    /// Opens a server that is there only where a world names it.
    fn open(&mut self, section: &str) {
        self.world.entry(section).or_insert_with(|| json!({}));
    }

    /// A host of `hosts.toml` has these settings; the last one holds.
    fn turn(&mut self, url: &str, settings: &[String]) {
        let at = self.turns.iter().position(|(known, _)| known == url);
        let at = at.unwrap_or_else(|| {
            self.turns.push((url.to_owned(), Vec::new()));
            self.turns.len() - 1
        });
        self.turns[at].1.extend_from_slice(settings);
    }

    fn finish(mut self, seed: u64, patience: f64) -> Value {
        let resolv_conf = self.resolv_conf();
        let hosts_toml = self.hosts_toml();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                self.world.insert(key.to_owned(), value);
            }
        };
        put("resolv_conf", resolv_conf);
        put("hosts_toml", hosts_toml);
        let hosts = self.hosts.concat();
        put("hosts", (!hosts.is_empty()).then(|| json!(hosts)));
        put("nameservers", Some(json!(self.nameservers)));
        let mut scenario = json!({
            "story": format!("World {seed}."),
            "agent": {
                "server": self.home.server,
                "private": if self.home.is_public { json!(false) } else { json!(["10.240.0.0/16"]) },
                // As the registry does; so a denial is a fault.
                "anonymous_pull": true,
                "images": ["probe/hello:v1"],
                // As by default: some faults are late by seconds.
                "timeout_seconds": 10,
            },
            "world": self.world,
            "containerd": {"does": "pulls", "within_seconds": patience},
            "verdict": "ok",
        });
        if let Some(user) = self.user {
            scenario["containerd"]["as"] = json!(user);
            scenario["agent"]["anonymous_pull"] = json!(false);
            for (key, value) in self.credentials {
                scenario["agent"][key] = value;
            }
        }
        scenario
    }

    fn resolv_conf(&self) -> Option<Value> {
        let servers = self.nameservers.iter();
        let servers = servers.filter_map(|nameserver| nameserver["at"].as_str());
        let servers = servers.map(|at| format!("nameserver {at}\n"));
        let lines = servers.chain(self.resolv_conf.iter().cloned());
        (!self.resolv_conf.is_empty()).then(|| json!(lines.collect::<String>()))
    }

    fn hosts_toml(&self) -> Option<Value> {
        if self.turns.is_empty() && self.server.is_none() {
            return None;
        }
        let mut toml = match self.server {
            Some(server) => format!("server = \"{server}\"\n"),
            None => String::new(),
        };
        for (url, settings) in &self.turns {
            // A key may stand in a table only once.
            let keys: BTreeMap<_, _> = settings
                .iter()
                .filter_map(|setting| setting.split_once(" = "))
                .collect();
            toml.push_str(&format!("[host.\"{url}\"]\n"));
            toml.extend(
                keys.iter()
                    .map(|(key, value)| format!("  {key} = {value}\n")),
            );
        }
        let folder = match self.for_all {
            true => "_default",
            false => self.home.folder(),
        };
        Some(json!({folder: toml}))
    }
}
