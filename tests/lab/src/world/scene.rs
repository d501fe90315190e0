//! A world set for one scenario: the node's files as the scenario has them, and the two clients
//! that are sent through it, containerd's and the agent.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::running::{LISTENS_AT, Running};
use super::{Servers, World, wanted_nameservers};
use crate::container::debug_shell::DebugShell;
use crate::container::{self, Container};
use crate::scenario::{Client, Nameserver, Scenario, Told};
use crate::servers::{Cri, Provided, Pull, Release, azure_json};

/// How long one stage of the agent may take.
pub const STAGE_TIMEOUT: Duration = Duration::from_secs(3);

/// A world as a scenario wants it, until dropped.
pub struct Scene<'w> {
    world: &'w World,
    scenario: &'w Scenario,
    /// The node's files; those of the scene before are not among them.
    folder: PathBuf,
    servers: Option<Servers>,
}

/// What `regprobe check` said.
#[derive(Debug)]
pub struct Checked {
    /// The JSON document; null if there was none.
    pub document: Value,
    pub took: Duration,
    pub complaint: String,
}

impl<'w> Scene<'w> {
    pub(super) fn new(world: &'w World, scenario: &'w Scenario) -> Result<Self> {
        let folder = world.folder.path().join(world.scenes.to_string());
        fs::create_dir_all(folder.join("certs.d"))?;
        // Go looks for more authorities in a folder; there shall be none.
        fs::create_dir_all(folder.join("no-more-authorities"))?;
        fs::write(folder.join("corporate.pem"), world.pki.corporate.ca_pem())?;
        let client = world.pki.nodes.leaf(["node"]).issue()?;
        client.write(&folder)?;
        let both = [client.chain_pem(), client.key_pem()].concat();
        fs::write(folder.join("both.pem"), both)?;
        let mut scene = Self {
            world,
            scenario,
            folder,
            servers: None,
        };
        scene.turn(scenario)?;
        Ok(scene)
    }

    /// From now on the world is as this scenario has it, also for an agent that runs. What an agent is told when it
    /// starts stays: its configuration, its environment and its bundle.
    pub fn turn(&mut self, scenario: &'w Scenario) -> Result<()> {
        let is_first = self.servers.is_none();
        // Their addresses are needed.
        self.servers = None;
        let servers = self.world.arrange(&scenario.world)?;
        if is_first {
            let bundle = self.world.pki.nodes.ca_pem() + &servers.trusted;
            fs::write(self.folder.join("ca.pem"), bundle)?;
        }
        self.servers = Some(servers);
        self.scenario = scenario;
        fs::remove_dir_all(self.certs_d())?;
        fs::create_dir_all(self.certs_d())?;
        self.write_node()
    }

    /// Pulls as containerd of this release would.
    pub fn pull(&self, release: Release) -> Result<Pull> {
        let scenario = self.scenario.with(release);
        let Client {
            image, credentials, ..
        } = &scenario.containerd;
        if !scenario.is_pulled_as_identity() {
            return self.pull_as(release, credentials.as_deref());
        }
        let repository = image.split(':').next().unwrap_or_default();
        let provided = self.provide(repository)?;
        let mut pull = Pull {
            ok: false,
            took: provided.took,
            said: String::new(),
        };
        // The provider's answer has an empty entry beside the credential, with which a kubelet tries next.
        for credential in provided.credential.iter().map(Some).chain([None]) {
            let tried = self.pull_as(release, credential.map(String::as_str))?;
            pull.ok = tried.ok;
            pull.took += tried.took;
            pull.said.push_str(&tried.said);
            if tried.ok {
                break;
            }
        }
        Ok(pull)
    }

    /// What the node's credential provider gives for a repository of the registry.
    pub fn provide(&self, repository: &str) -> Result<Provided> {
        let Told {
            server,
            managed_identity,
            ..
        } = &self.scenario.agent;
        let named = managed_identity.as_ref();
        let settings = azure_json(named.and_then(|identity| identity.client_id.as_deref()));
        let file = self.folder.join("azure.json");
        fs::write(&file, settings)?;
        let image = format!("{server}/{repository}");
        Provided::by(self.command(TIMEOUT), &file, &image)
    }

    fn pull_as(&self, release: Release, credentials: Option<&str>) -> Result<Pull> {
        let client = &self.scenario.with(release).containerd;
        let on_node = |program: &Path| self.command(&program.to_string_lossy());
        let containerd = Cri::start(release, &self.certs_d(), on_node)?;
        let reference = format!("{}/{}", self.scenario.agent.server, client.image);
        containerd.pull(&reference, credentials, client.patience())
    }

    /// Runs the agent, from its binary, once, as confined as the chart has it, on a node with this release.
    pub fn check(&self, regprobe: &Path, release: Release) -> Result<Checked> {
        self.check_under(&container::profile()?, regprobe, release)
    }

    /// What it is set for.
    #[must_use]
    pub fn scenario(&self) -> &Scenario {
        self.scenario
    }

    /// The same under another seccomp profile.
    pub fn check_under(
        &self,
        profile: &Value,
        regprobe: &Path,
        release: Release,
    ) -> Result<Checked> {
        let timeout = format!("{}s", self.scenario.agent.timeout_seconds);
        let config = self.write_config(release, &json!({"timeout": timeout}))?;
        let mut check = self.with_environment(Command::new(regprobe));
        check
            .arg("check")
            .arg(format!("--config.file={}", config.display()))
            .arg("--output=json");
        let confined = self.confined(&check, profile)?;
        let (out, took) = timed(Command::new(TIMEOUT).arg("60s").args(confined))?;
        let document = serde_json::from_slice(&out.stdout).unwrap_or(Value::Null);
        Ok(Checked {
            document,
            took,
            complaint: String::from_utf8_lossy(&out.stderr).into_owned(),
        })
    }

    /// Runs the agent until dropped, with this as the config's `schedule`.
    pub fn run(&self, regprobe: &Path, schedule: &Value) -> Result<Running<'w>> {
        let config = self.write_config(Release::NEWEST, schedule)?;
        let mut run = self.with_environment(Command::new(regprobe));
        run.env("NODE_NAME", "aks-nodepool1-12345678-vmss000000")
            .arg("run")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.listen-address={}", LISTENS_AT));
        let confined = self.confined(&run, &container::profile()?)?;
        let mut command = Command::new(&confined[0]);
        command.args(&confined[1..]);
        Running::start(&self.world.node, command, &self.folder)
    }

    /// Pastes a script into a shell on the node, and returns everything that appears.
    pub fn paste(&self, script: &str) -> Result<String> {
        let shell = DebugShell {
            node: &self.world.node,
            authorities: &self.folder.join("ca.pem"),
            certs_d: &self.certs_d(),
            environment: &self.scenario.world.environment,
        };
        let folder = tempfile::tempdir()?;
        shell.paste(script, folder.path())
    }

    /// From now on a nameserver that `is: changing` says what is wanted.
    pub fn change(&self, wanted: &Nameserver) -> Result<()> {
        let servers = self.world.nameservers.lock();
        let servers = servers.unwrap_or_else(PoisonError::into_inner);
        let mut served = servers.iter();
        let (_, server) = served
            .find(|(served, _)| served.at == wanted.at)
            .with_context(|| format!("no nameserver is at {}", wanted.at))?;
        server.change(wanted)
    }

    /// A program on the node, with the node's environment and nothing of the machine's.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        self.with_environment(self.world.node.command(program))
    }

    /// The command line that runs a program in a container on the node.
    fn confined(&self, program: &Command, profile: &Value) -> Result<Vec<String>> {
        Container::of(program)?
            .under(profile.clone())
            .on(&self.world.node)
            .reading(&self.folder)
            .command_line(self.world.folder.path())
    }

    fn with_environment(&self, mut command: Command) -> Command {
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("SSL_CERT_FILE", self.folder.join("ca.pem"))
            .env("SSL_CERT_DIR", self.folder.join("no-more-authorities"))
            // A Go program may leave lookups to glibc, whose rules are others; containerd's node
            // image has no reason to.
            .env("GODEBUG", "netdns=go")
            .envs(&self.scenario.world.environment);
        command
    }

    fn write_config(&self, release: Release, schedule: &Value) -> Result<PathBuf> {
        let told = &self.scenario.agent;
        let nameservers: Vec<_> = told
            .nameservers
            .iter()
            .map(|beside| json!({"name": beside.name, "address": beside.address}))
            .collect();
        let mut registry = json!({
            "server": told.server,
            "private": told.private,
            "anonymous_pull": told.anonymous_pull,
            "images": told.images,
        });
        if told.server.ends_with(".azurecr.io") {
            registry["regions"] = json!(told.regions);
        }
        if let Some(secret) = &told.pull_secret {
            let file = self.folder.join("dockerconfig.json");
            fs::write(&file, secret)?;
            registry["credentials"]["docker_config"] = json!(file);
        }
        if let Some(identity) = &told.managed_identity {
            registry["credentials"]["managed_identity"] = json!(identity);
        }
        if let Some(throughput) = &told.throughput {
            registry["throughput"] = throughput.clone();
        }
        let containerd = match told.knows_containerd {
            true => release.version(),
            false => "auto",
        };
        let config = json!({
            "registries": [registry],
            "nameservers": nameservers,
            "node": {"certs_d": self.certs_d(), "containerd": containerd},
            "schedule": schedule,
        });
        let path = self.folder.join(format!("regprobe-{release}.yaml"));
        // JSON is YAML.
        fs::write(&path, config.to_string())?;
        Ok(path)
    }

    fn certs_d(&self) -> PathBuf {
        self.folder.join("certs.d")
    }

    fn write_node(&self) -> Result<()> {
        let (node, setting) = (&self.world.node, &self.scenario.world);
        let resolv_conf = setting
            .resolv_conf
            .clone()
            .unwrap_or_else(|| self.resolv_conf());
        node.etc("resolv.conf", &resolv_conf)?;
        let hosts = setting.hosts.as_deref().unwrap_or_default();
        node.etc("hosts", &format!("127.0.0.1 localhost\n{hosts}\n"))?;
        for (host, text) in &setting.hosts_toml {
            let folder = self.certs_d().join(host);
            fs::create_dir_all(&folder)?;
            fs::write(folder.join("hosts.toml"), self.with_files(text))?;
        }
        for (path, text) in &setting.certs_d {
            let path = self.certs_d().join(path);
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::write(path, self.with_content(text)?)?;
        }
        for file in &setting.for_root_alone {
            let path = self.folder.join(file);
            let mode = if path.is_dir() { 0o700 } else { 0o600 };
            fs::set_permissions(&path, Permissions::from_mode(mode))
                .with_context(|| format!("failed to close {file}"))?;
        }
        Ok(())
    }

    /// A text with the paths of the files that it names.
    fn with_files(&self, text: &str) -> String {
        FILES.iter().fold(text.to_owned(), |text, (word, file)| {
            text.replace(word, &self.folder.join(file).to_string_lossy())
        })
    }

    /// What stands in the file that a text names, if it is the name of one.
    fn with_content(&self, text: &str) -> Result<String> {
        let named = FILES.iter().find(|(word, _)| *word == text.trim());
        Ok(match named {
            Some((_, file)) => fs::read_to_string(self.folder.join(file))?,
            None => text.to_owned(),
        })
    }

    fn resolv_conf(&self) -> String {
        let beside = &self.scenario.agent.nameservers;
        wanted_nameservers(&self.scenario.world)
            .iter()
            .filter(|nameserver| beside.iter().all(|beside| beside.address != nameserver.at))
            .map(|nameserver| format!("nameserver {}\n", nameserver.at))
            .collect()
    }
}

const TIMEOUT: &str = "/usr/bin/timeout";

/// The files that scenarios name, by the words that they have for them.
const FILES: [(&str, &str); 5] = [
    ("CA_FILE", "ca.pem"),
    ("CORP_CA", "corporate.pem"),
    ("CLIENT_CERT", "tls.crt"),
    ("CLIENT_KEY", "tls.key"),
    ("CLIENT_BOTH", "both.pem"),
];

fn timed(command: &mut Command) -> Result<(Output, Duration)> {
    let began = Instant::now();
    let out = command
        .output()
        .with_context(|| format!("failed to run {command:?}"))?;
    Ok((out, began.elapsed()))
}
