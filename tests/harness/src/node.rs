//! A node for one test: the files that the agent reads there, checks that run on it, and the documents
//! that they print. The lab has the servers.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use regprobe_lab::netns::Namespace;
use regprobe_lab::pki::Pki;
use serde_json::Value;
use tempfile::TempDir;

use crate::output::json::{items, text};
use crate::output::schema;
use crate::program::REGPROBE;

/// How long one stage may take in tests.
pub const TIMEOUT: Duration = Duration::from_secs(2);
/// Limit for a whole check: a round may take the timeouts of three stages and 3 s, and a busy machine some more
/// to start a program.
const DEADLINE: Duration = Duration::from_millis(3 * 2000 + 3000 + 2500);

/// A node with a resolv.conf, a hosts file, a CA bundle and a configuration.
pub struct Node {
    folder: TempDir,
}

impl Node {
    /// A node that asks these nameservers, with an empty hosts file and no trusted certificate of a test.
    pub fn asking(nameservers: impl IntoIterator<Item = SocketAddr>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let lines = nameservers
            .into_iter()
            .map(|server| format!("nameserver [{}]:{}\n", server.ip(), server.port()));
        let node = Self { folder };
        fs::write(node.path("resolv.conf"), lines.collect::<String>())?;
        // An empty bundle would be another fault.
        node.trusting(&Pki::new()?.ca_pem())
    }

    /// A node whose hosts file has this name, without a nameserver.
    pub fn pinning(name: &str, address: impl Into<IpAddr>) -> Result<Self> {
        let node = Self::asking([])?;
        fs::write(node.path("hosts"), format!("{} {name}\n", address.into()))?;
        Ok(node)
    }

    /// Adds a certificate to the node's bundle.
    pub fn trusting(self, pem: &str) -> Result<Self> {
        let mut bundle = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("bundle.pem"))?;
        bundle.write_all(pem.as_bytes())?;
        Ok(self)
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Writes a configuration with these registries, each a YAML mapping on one line.
    pub fn configure(&self, registries: &[String]) -> Result<PathBuf> {
        let path = |file| self.path(file).display().to_string();
        let config = format!(
            "registries: [{}]\n\
            node: {{resolv_conf: {}, hosts: {}, proxy: none, containerd: 2.4}}\n\
            schedule: {{network_interval: 1s, request_interval: 1s, token_interval: 1s, timeout: {}s}}\n",
            registries.join(", "),
            path("resolv.conf"),
            path("hosts"),
            TIMEOUT.as_secs(),
        );
        fs::write(self.path("config.yml"), config)?;
        Ok(self.path("config.yml"))
    }

    /// The agent on this node, about to be started with these arguments.
    pub fn regprobe<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        self.by(Command::new(&*REGPROBE), arguments)
    }

    /// A check of one registry, about to be made.
    pub fn checking(&self, server: &str) -> Check<'_> {
        Check {
            node: self,
            command: Command::new(&*REGPROBE),
            registry: format!("server: \"{server}\""),
        }
    }

    /// Checks one registry.
    pub fn check(&self, server: &str) -> Result<Report> {
        self.checking(server).run()
    }

    /// `command` is the agent or something that becomes it.
    fn by<A: AsRef<OsStr>>(
        &self,
        mut command: Command,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        command
            .args(arguments)
            .env("SSL_CERT_FILE", self.path("bundle.pem"))
            .env_remove("SSL_CERT_DIR")
            .env("NODE_NAME", "lab-node");
        command
    }
}

/// A check about to be made.
#[must_use]
pub struct Check<'node> {
    node: &'node Node,
    command: Command,
    registry: String,
}

impl Check<'_> {
    /// One more key of the registry's configuration, such as `anonymous_pull: true`.
    pub fn setting(mut self, setting: &str) -> Self {
        self.registry += ", ";
        self.registry += setting;
        self
    }

    /// From inside a network namespace.
    pub fn inside(mut self, namespace: &Namespace) -> Self {
        self.command = namespace.command(&*REGPROBE);
        self
    }

    /// With this limit of open files.
    pub fn with_descriptors(mut self, limit: u32) -> Self {
        self.command = Command::new("sh");
        let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
        self.command.args(["-c", &script]).arg(&*REGPROBE);
        self
    }

    pub fn output(self) -> Result<Output> {
        let config = self.node.configure(&[format!("{{{}}}", self.registry)])?;
        let arguments = ["check", "--output=json", "--config.file"].map(OsStr::new);
        let mut command = self
            .node
            .by(self.command, arguments.into_iter().chain([config.as_ref()]));
        Ok(command.output()?)
    }

    pub fn run(self) -> Result<Report> {
        let start = Instant::now();
        let report = Report::of(&self.output()?)?;
        let took = start.elapsed();
        ensure!(took < DEADLINE, "the check took {took:?}: {report:?}");
        Ok(report)
    }
}

/// The result of a check.
#[derive(Debug)]
pub struct Report {
    pub status: Option<i32>,
    pub document: Value,
}

/// Role, stage and reason.
pub type Failure = (String, String, String);

impl Report {
    pub fn of(output: &Output) -> Result<Self> {
        let said = String::from_utf8_lossy(&output.stderr);
        let document = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("no document, but {said}"))?;
        schema::validate(&document)?;
        ensure!(said.is_empty(), "a document, and {said}");
        Ok(Self {
            status: output.status.code(),
            document,
        })
    }

    pub fn verdict(&self) -> &str {
        text(&self.document["registries"][0]["verdict"])
    }

    /// The first endpoint with this role.
    pub fn endpoint(&self, role: &str) -> Result<&Value> {
        let found = self
            .endpoints()
            .find(|endpoint| endpoint["role"] == role)
            .with_context(|| format!("no endpoint of role {role} in {}", self.document))?;
        Ok(found)
    }

    /// The answer of the first nameserver for the login server.
    pub fn lookup(&self) -> Result<&Value> {
        Ok(&self.endpoint("login")?["lookups"][0])
    }

    /// The result of a stage at the first address of the endpoint with this role.
    pub fn stage(&self, role: &str, stage: &str) -> Result<&Value> {
        items(&self.endpoint(role)?["addresses"][0]["stages"])
            .find(|outcome| outcome["stage"] == stage)
            .with_context(|| format!("no stage {stage} of {role} in {}", self.document))
    }

    /// All failures.
    pub fn failures(&self) -> BTreeSet<Failure> {
        let mut failures = BTreeSet::new();
        for endpoint in self.endpoints() {
            let mut fail = |stage: &Value, reason: &Value| {
                failures.insert((
                    text(&endpoint["role"]).to_owned(),
                    text(stage).to_owned(),
                    text(reason).to_owned(),
                ));
            };
            for lookup in items(&endpoint["lookups"]) {
                if lookup["result"] != "noerror" {
                    fail(&Value::from("resolve"), &lookup["result"]);
                }
            }
            for address in items(&endpoint["addresses"]) {
                for stage in items(&address["stages"]).filter(|stage| stage["ok"] != true) {
                    fail(&stage["stage"], &stage["reason"]);
                }
            }
        }
        failures
    }

    fn endpoints(&self) -> impl Iterator<Item = &Value> {
        items(&self.document["registries"]).flat_map(|registry| items(&registry["endpoints"]))
    }
}
