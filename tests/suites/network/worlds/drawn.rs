//! Draws a world: a scenario whose expectations nobody looks at, as a document that a file of `tests/scenarios`
//! could hold.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

const NAMESERVERS: [&str; 3] = ["198.18.0.53", "198.18.0.54", "198.18.0.55"];
/// Up, up, closed, silent.
const LOGIN_AT: [&str; 4] = ["10.240.1.4", "10.240.1.14", "10.240.1.2", "10.240.1.99"];
const DATA_AT: [&str; 3] = ["10.240.1.5", "10.240.1.2", "10.240.1.99"];

/// The world of this seed; a pull has `patience` seconds.
pub(super) fn world(seed: u64, patience: f64) -> Value {
    let mut draw = Draw(StdRng::seed_from_u64(seed));
    let mut world = Map::new();
    let servers = draw.0.random_range(1..=3);
    let healthy = NAMESERVERS[..servers].iter().map(|at| json!({"at": at}));
    let mut nameservers: Vec<Value> = healthy.collect();
    let mut resolv_conf: Vec<String> = Vec::new();
    let mut hosts: Vec<String> = Vec::new();
    for _ in 0..draw.0.random_range(2..=4) {
        match draw.0.random_range(0..12) {
            0 | 1 => {
                let health = draw.one(&[
                    "silent",
                    "closed",
                    "failing",
                    "refusing",
                    "babbling",
                    "slow",
                    "truncating",
                    "truncating, with TCP closed",
                    "rotating",
                    "silent about data",
                    "looping",
                ]);
                draw.among(&mut nameservers)["is"] = json!(health);
            }
            2 | 3 => {
                let (key, names) = match draw.0.random_bool(0.5) {
                    true => ("login", draw.names(&LOGIN_AT, "203.0.113.10")),
                    false => ("data", draw.names(&DATA_AT, "203.0.113.11")),
                };
                draw.among(&mut nameservers)[key] = names;
            }
            4 => {
                let target = draw.one(&["login", "data", "10.240.1.4", "10.240.1.14"]);
                let packets = draw.one(&[
                    "dropped",
                    "refused",
                    "unreachable",
                    "prohibited",
                    "dropped when large",
                ]);
                insert(&mut world, "packets", target, json!(packets));
            }
            5 => {
                let option = draw.one(&[
                    "timeout:1",
                    "timeout:2",
                    "attempts:1",
                    "attempts:3",
                    "rotate",
                    "ndots:3",
                    "use-vc",
                    "single-request",
                ]);
                resolv_conf.push(format!("options {option}\n"));
            }
            6 => resolv_conf.push(format!(
                "search {}\n",
                draw.one(&["contoso.example", "contoso.example corp.example"])
            )),
            7 => hosts.push(match draw.0.random_bool(0.5) {
                true => format!("{} myregistry.azurecr.io\n", draw.one(&LOGIN_AT)),
                false => format!(
                    "{} myregistry.westeurope.data.azurecr.io\n",
                    draw.one(&DATA_AT)
                ),
            }),
            8 => {
                let site = draw.one(&["login", "data"]);
                let (key, fault) = draw.below_http();
                insert(&mut world, site, key, json!(fault));
            }
            9 | 10 => {
                let (site, key) = draw.one(&[
                    ("login", "answers"),
                    ("login", "token"),
                    ("login", "manifest"),
                    ("login", "blob"),
                    ("data", "answers"),
                ]);
                let answer = draw.answer();
                insert(&mut world, site, key, answer);
            }
            _ => draw.mirror(&mut world),
        }
    }
    if !resolv_conf.is_empty() {
        let listed = NAMESERVERS[..servers]
            .iter()
            .map(|at| format!("nameserver {at}\n"));
        world.insert(
            "resolv_conf".to_owned(),
            json!(listed.chain(resolv_conf).collect::<String>()),
        );
    }
    if !hosts.is_empty() {
        world.insert("hosts".to_owned(), json!(hosts.concat()));
    }
    world.insert("nameservers".to_owned(), json!(nameservers));
    json!({
        "story": format!("World {seed}."),
        // As the registry does; so a denial is a fault.
        "agent": {"anonymous_pull": true, "images": ["probe/hello:v1"]},
        "world": world,
        "containerd": {"does": "pulls", "within_seconds": patience},
        "verdict": "ok",
    })
}

fn insert(world: &mut Map<String, Value>, section: &str, key: &str, value: Value) {
    let section = world.entry(section).or_insert_with(|| json!({}));
    section[key] = value;
}

struct Draw(StdRng);

impl Draw {
    fn one<T: Copy>(&mut self, choices: &[T]) -> T {
        *choices.choose(&mut self.0).expect("there is a choice")
    }

    fn among<'a>(&mut self, values: &'a mut [Value]) -> &'a mut Value {
        let at = self.0.random_range(0..values.len());
        &mut values[at]
    }

    /// What a nameserver says of a name.
    fn names(&mut self, private: &[&str], public: &str) -> Value {
        match self.0.random_range(0..4) {
            0 => json!(self.one(&[
                "not linked",
                "public",
                "record missing",
                "record missing",
                "no address",
                "unknown"
            ])),
            1 => json!({"public at": [public]}),
            2 => json!({"linked to": [self.one(private)]}),
            _ => {
                let first = self.one(private);
                let second = self.one(private);
                let mut both = vec![first, second];
                both.dedup();
                json!({"linked to": both})
            }
        }
    }

    /// What goes wrong between dial and HTTP.
    fn below_http(&mut self) -> (&'static str, &'static str) {
        match self.0.random_bool(0.5) {
            true => (
                "certificate",
                self.one(&[
                    "expired",
                    "not yet valid",
                    "ends in three days",
                    "by an unknown issuer",
                    "for another name",
                    "without names",
                    "by an intermediate",
                    "by an intermediate that is not sent",
                    "self-signed",
                ]),
            ),
            false => (
                "connection",
                self.one(&[
                    "closes",
                    "resets",
                    "stalls",
                    "closes after the hello",
                    "resets after the hello",
                    "stalls after the hello",
                    "drops large hellos",
                    "speaks plain HTTP",
                    "ends at TLS 1.1",
                    "ends at TLS 1.2",
                    "agrees to nothing",
                ]),
            ),
        }
    }

    fn answer(&mut self) -> Value {
        match self.0.random_range(0..3) {
            0 => {
                json!({"status": self.one(&[200, 400, 401, 403, 404, 405, 408, 418, 500, 502, 503, 504])})
            }
            1 => json!(self.one(&[
                "as the firewall",
                "throttled",
                "hangs",
                "hangs in the body",
                "hangs up",
                "resets",
                "garbage",
                "half of a JSON",
                "a page to log in",
                "a redirect away",
                "a redirect to itself",
            ])),
            _ => json!(self.one(&[
                "in HTTP/1.0",
                "in chunks",
                "once a connection",
                "empty JSON"
            ])),
        }
    }

    /// A mirror in front of the registry, and what is wrong with it.
    fn mirror(&mut self, world: &mut Map<String, Value>) {
        let capabilities = self.one(&[r#"["pull", "resolve"]"#, r#"["pull"]"#]);
        let toml = format!(
            "server = \"https://myregistry.azurecr.io\"\n[host.\"https://mirror.contoso.example\"]\n  \
             capabilities = {capabilities}\n"
        );
        insert(world, "hosts_toml", "myregistry.azurecr.io", json!(toml));
        match self.0.random_range(0..4) {
            0 => insert(
                world,
                "packets",
                "mirror",
                json!(self.one(&["dropped", "refused"])),
            ),
            1 => {
                let (key, fault) = self.below_http();
                insert(world, "mirror", key, json!(fault));
            }
            2 => {
                let answer = self.answer();
                insert(world, "mirror", "answers", answer);
            }
            _ => {}
        }
        // It is there, whatever is wrong with the way to it.
        world.entry("mirror").or_insert_with(|| json!({}));
    }
}
