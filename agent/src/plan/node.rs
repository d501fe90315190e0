//! The node as it is now: its resolver files as they are when a round begins, or were half a second before,
//! with what the configuration adds. containerd reads the same files for each pull, so a change in them
//! needs no reload.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use nix::net::if_::if_nametoindex;
use regprobe_probes::{
    ContainerdRelease, FileError, HostSettings, Hosts, Nameserver, Node, Origin, ProxyRules,
    ResolvConf, Root, STAGES_OF_AN_ANSWER, TlsClients, TrustError,
};

use crate::config::{self, Config, ContainerdSource, ProxySource};

/// The timeout of a question to a nameserver, by default that of Go's resolver; never longer than the timeout of a stage.
const QUESTION_LIMIT: Duration = Duration::from_secs(5);
const DNS_PORT: u16 = 53;
/// A file is read up to this many bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// The file with the upstream servers of AKS's LocalDNS, in its directory.
const LOCALDNS_UPSTREAM: &str = "upstream-dns";
/// The file with the names that AKS's LocalDNS pins, in its directory.
const LOCALDNS_HOSTS: &str = "hosts";

/// Where packages and archives put containerd.
const CONTAINERD: [&str; 2] = ["/usr/bin/containerd", "/usr/local/bin/containerd"];

/// Rounds that begin within this time share one reading.
const SAME: Duration = Duration::from_millis(500);

/// Where the node's files are, and what the configuration adds.
pub(crate) struct NodeSource {
    last: Mutex<Option<(Instant, Arc<Node>)>>,
    /// The release of the program that was last seen, and when that was changed.
    program: Mutex<Option<(SystemTime, Option<ContainerdRelease>)>>,
    root: Root,
    files: config::NodeConfig,
    instead: Vec<SocketAddr>,
    added: Vec<Arc<Nameserver>>,
    proxies: ProxyRules,
    tls: Arc<TlsClients>,
    stage_limit: Duration,
}

impl NodeSource {
    /// Loads the trusted roots. Servers in `instead` replace the node's own nameservers.
    pub(crate) fn new(config: &Config, instead: &[SocketAddr]) -> Result<Self, TrustError> {
        let added = config.nameservers.iter().map(|nameserver| {
            Arc::new(Nameserver {
                name: nameserver.name.as_ref().map(|name| name.as_str().into()),
                ..unnamed(nameserver.address, Origin::Config)
            })
        });
        let root = Root::at(config.node.root.clone());
        Ok(Self {
            last: Mutex::default(),
            program: Mutex::default(),
            files: config.node.clone(),
            instead: instead.to_vec(),
            added: added.collect(),
            proxies: match config.node.proxy {
                ProxySource::Env => ProxyRules::from_env(|name| std::env::var(name).ok()),
                ProxySource::None => ProxyRules::default(),
            },
            tls: Arc::new(TlsClients::load(
                root.clone(),
                config.tls.ca_file.as_deref(),
            )?),
            stage_limit: config.schedule.timeout,
            root,
        })
    }

    /// The node as it is now.
    pub(crate) fn read(&self) -> io::Result<Arc<Node>> {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, node)) = &*last
            && now - *at < SAME
        {
            return Ok(node.clone());
        }
        let node = Arc::new(self.read_now()?);
        *last = Some((now, node.clone()));
        Ok(node)
    }

    /// A missing file reads as empty, as in Go.
    fn read_now(&self) -> io::Result<Node> {
        let text = self.text_of(&self.files.resolv_conf)?;
        let hosts = self.text_of(&self.files.hosts)?;
        let localdns_hosts = self.text_of(&self.files.localdns.join(LOCALDNS_HOSTS))?;
        let mut files = DefaultHasher::new();
        (&text, &hosts, &localdns_hosts).hash(&mut files);
        let mut resolv_conf = ResolvConf::parse(&text, |zone| if_nametoindex(zone).ok());
        if !self.instead.is_empty() {
            resolv_conf.nameservers.clone_from(&self.instead);
        }
        let origin = resolv_conf.origin();
        let own = resolv_conf.asked().iter();
        let own = own.map(|address| Arc::new(unnamed(*address, origin)));
        let upstreams = self.localdns_upstreams()?.into_iter();
        let upstreams = upstreams.map(|address| Arc::new(unnamed(address, Origin::Config)));
        let mut seen = HashSet::new();
        let all = own.chain(upstreams).chain(self.added.iter().cloned());
        let nameservers = all
            .filter(|nameserver| seen.insert(nameserver.address))
            .collect();
        let containerd = self.containerd();
        let host_settings = host_settings(&self.files, &self.root, containerd);
        host_settings.hash(&mut files);
        Ok(Node {
            nameservers,
            question_limit: question_limit(self.stage_limit, resolv_conf.timeout),
            resolv_conf,
            hosts: Hosts::parse(&hosts),
            localdns_hosts: Hosts::parse(&localdns_hosts),
            files: files.finish(),
            root: self.root.clone(),
            host_settings,
            containerd,
            proxies: self.proxies.clone(),
            stage_limit: self.stage_limit,
        })
    }

    /// The node's containerd, as configured or by its program, which is read again after it was replaced.
    fn containerd(&self) -> Option<ContainerdRelease> {
        if let ContainerdSource::Release(release) = self.files.containerd {
            return Some(release);
        }
        let (path, changed) = program(&self.root)?;
        let mut last = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, release)) = last.filter(|(seen, _)| *seen == changed) {
            return release;
        }
        let release = release_of(&path);
        if let Some(release) = release {
            tracing::info!(%release, "containerd of this node");
        }
        *last = Some((changed, release));
        release
    }

    /// The TLS clients for the node's trust and for that of its `hosts.toml` files.
    pub(crate) fn tls(&self) -> &Arc<TlsClients> {
        &self.tls
    }

    /// The text of one of the node's files, if it exists and can be read.
    pub(crate) fn text(&self, path: &Path) -> Option<String> {
        self.text_of(path).ok().filter(|text| !text.is_empty())
    }

    /// Every address in LocalDNS's file; everything else in it is ignored.
    fn localdns_upstreams(&self) -> io::Result<Vec<SocketAddr>> {
        let text = self.text_of(&self.files.localdns.join(LOCALDNS_UPSTREAM))?;
        let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '"'));
        let addresses = words.filter_map(|word| word.parse::<IpAddr>().ok());
        Ok(addresses
            .map(|address| SocketAddr::new(address, DNS_PORT))
            .collect())
    }

    fn text_of(&self, path: &Path) -> io::Result<String> {
        match self.root.read(path, MAX_FILE) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.is_not_found() => Ok(String::new()),
            Err(FileError::Unseen(unseen)) => Err(io::Error::other(unseen.to_string())),
            Err(FileError::Io(error)) => {
                let text = format!(
                    "cannot read {}: {error}; name another file under node in a configuration",
                    path.display()
                );
                Err(io::Error::new(error.kind(), text))
            }
        }
    }
}

/// Where a containerd of this release reads which hosts it asks for a registry.
pub(super) fn host_settings(
    files: &config::NodeConfig,
    root: &Root,
    containerd: Option<ContainerdRelease>,
) -> HostSettings {
    match &files.certs_d {
        Some(folders) => HostSettings::CertsD(folders.clone()),
        None => HostSettings::read(root, containerd.unwrap_or(ContainerdRelease::NEWEST)),
    }
}

/// The node's containerd, as configured or by its program.
pub(super) fn containerd(files: &config::NodeConfig, root: &Root) -> Option<ContainerdRelease> {
    match files.containerd {
        ContainerdSource::Release(release) => Some(release),
        ContainerdSource::Auto => release_of(&program(root)?.0),
    }
}

fn release_of(program: &Path) -> Option<ContainerdRelease> {
    ContainerdRelease::of_program(program).ok().flatten()
}

/// The program of the node's containerd, and when it was changed.
fn program(root: &Root) -> Option<(PathBuf, SystemTime)> {
    let mut programs = CONTAINERD.iter().map(Path::new);
    programs.find_map(|path| {
        let path = root.locate(path).ok()?;
        let changed = path.metadata().ok()?.modified().ok()?;
        Some((path, changed))
    })
}

/// How long an answer of a nameserver is waited for where the node's client waits for `of_client`: no longer than for
/// one of a registry, when a pull gives up.
fn question_limit(stage_limit: Duration, of_client: Duration) -> Duration {
    match of_client > QUESTION_LIMIT {
        true => of_client.min(stage_limit * STAGES_OF_AN_ANSWER),
        false => QUESTION_LIMIT.min(stage_limit),
    }
}

fn unnamed(address: SocketAddr, origin: Origin) -> Nameserver {
    Nameserver {
        address,
        name: None,
        origin,
    }
}

/// The environment variable `NODE_NAME`, which the downward API sets, else the host name.
pub(crate) fn node_name() -> String {
    let hostname = || nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
    std::env::var("NODE_NAME")
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| hostname().unwrap_or_else(|_| "unknown".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nameserver_has_the_time_of_resolv_conf_where_that_is_longer() {
        for (stage, of_client, limit) in [
            (10, 5, 5),
            (10, 1, 5),
            (3, 5, 3),
            (10, 8, 8),
            (10, 60, 30),
            (3, 20, 9),
        ] {
            let [stage, of_client, limit] = [stage, of_client, limit].map(Duration::from_secs);
            assert_eq!(
                question_limit(stage, of_client),
                limit,
                "{stage:?} {of_client:?}"
            );
        }
    }
}
