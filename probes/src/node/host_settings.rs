//! Where the node's client reads which hosts it asks for a registry. That is containerd's own configuration; some
//! distributions keep it elsewhere, and some nodes run another client.
//!
//! Sources: containerd `cmd/containerd/server/config/config.go` (`LoadConfig`, `resolveImports`, `mergeConfig`),
//! `internal/cri/config/config.go` (`Registry`), `plugins/cri/images/plugin.go`.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    env,
    path::{Path, PathBuf},
};

use toml::de::DeTable;

use super::{
    containerd_release::ContainerdRelease,
    registry_host::DOCKER_HUB,
    root::{FileError, Root},
};
use crate::net::inert::excerpt;

/// Where containerd looks since 2.2 if its configuration does not say.
const DEFAULT: &str = "/etc/containerd/certs.d:/etc/docker/certs.d";
/// Where it looked before, if it was told to look anywhere.
const USUAL: &str = "/etc/containerd/certs.d";
/// What k3s and RKE2 keep on every node.
const RANCHER: &str = "/etc/rancher/node";
/// The configurations of their containerd.
const OF_RANCHER: [&str; 2] = [
    "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
];
/// Those of k0s, of Talos, and of all others. The first file counts.
const CONFIGURATIONS: [&str; 3] = [
    "/etc/k0s/containerd.toml",
    "/etc/cri/containerd.toml",
    "/etc/containerd/config.toml",
];
/// CRI-O's configuration.
const CRI_O: &str = "/etc/crio";
/// The plugin that pulls for the kubelet, in a configuration of version 1, 2 and 3.
const PLUGINS: [&str; 3] = [
    "cri",
    "io.containerd.grpc.v1.cri",
    "io.containerd.cri.v1.images",
];
/// Larger files are refused, in bytes. What containerd prints of its whole configuration has some 15,000.
const MAX_FILE: u64 = 1024 * 1024;
/// More imports are not followed.
const MAX_FILES: usize = 64;

/// Where the node's client reads which hosts it asks for a registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostSettings {
    /// From the `hosts.toml` files in these folders, joined by colons as in `config_path`; from none if this is empty.
    CertsD(PathBuf),
    /// The same of several folders, which a containerd that pulls by its transfer service takes for one that does not
    /// exist; it is not known whether it does.
    SeveralFolders(PathBuf),
    /// From the `hosts.toml` files in these folders. Credentials for some hosts are in containerd's own configuration,
    /// and a pull without others uses them.
    WithCredentials {
        /// As those of [`Self::CertsD`].
        folders: PathBuf,
        /// That configuration.
        path: PathBuf,
        /// The hosts.
        hosts: BTreeSet<String>,
    },
    /// From `registry.mirrors` and `registry.configs` in containerd's own configuration, which this agent does not
    /// follow.
    InConfiguration {
        /// That configuration.
        path: PathBuf,
        /// The registries and hosts that it names there; `*` is all.
        named: BTreeSet<String>,
    },
    /// From elsewhere: why that is not followed.
    NotFollowed(String),
}

impl HostSettings {
    /// What the node's files say, for a containerd of this `release`.
    pub fn read(root: &Root, release: ContainerdRelease) -> Self {
        let of_first = |paths: &[&str]| {
            let mut paths = paths.iter().map(Path::new);
            paths.find_map(|path| match root.find(path) {
                Ok(_) => Some(Self::of(root, path, release).unwrap_or_else(Self::NotFollowed)),
                Err(FileError::Unseen(why)) => Some(Self::NotFollowed(ask_to_name(why))),
                Err(FileError::Io(_)) => None,
            })
        };
        let exists = |path| root.find(Path::new(path)).is_ok();
        if let Some(settings) = of_first(&OF_RANCHER) {
            return settings;
        }
        if exists(RANCHER) {
            let why = format!(
                "{RANCHER} is that of k3s or RKE2, and this agent does not see their containerd's configuration; add \
                 /var/lib/rancher/k3s/agent/etc/containerd, or the same of rke2, to hostDirectories"
            );
            return Self::NotFollowed(why);
        }
        if let Some(settings) = of_first(&CONFIGURATIONS) {
            return settings;
        }
        if exists(CRI_O) {
            return Self::NotFollowed(format!(
                "{CRI_O} is that of CRI-O, and this agent follows containerd"
            ));
        }
        Self::CertsD(match release.has_default_config_path() {
            true => DEFAULT.into(),
            false => USUAL.into(),
        })
    }

    /// Why it is not known which hosts are asked for `registry`, `host[:port]` as in an image reference.
    pub(crate) fn unseen(&self, registry: &str) -> Option<String> {
        match self {
            Self::CertsD(_) | Self::SeveralFolders(_) => None,
            Self::WithCredentials { path, hosts, .. } => {
                // They go by the host that is asked.
                let host = match registry {
                    "docker.io" => DOCKER_HUB,
                    other => other,
                };
                hosts.contains(host).then(|| {
                    format!(
                        "{} has credentials for {host}, which this agent does not use",
                        path.display()
                    )
                })
            }
            Self::InConfiguration { path, named } => {
                let mut names = vec![registry, "*"];
                // `configs` go by the host that is asked.
                names.extend((registry == "docker.io").then_some(DOCKER_HUB));
                names.iter().any(|name| named.contains(*name)).then(|| {
                    format!(
                        "{} sets mirrors or configs for {registry}, which this agent does not follow; containerd wants \
                         them in hosts.toml files below its config_path",
                        path.display()
                    )
                })
            }
            Self::NotFollowed(why) => Some(why.clone()),
        }
    }

    /// As [`Self::folders`], or nothing where there are none.
    pub(crate) fn certs_d(&self) -> &Path {
        self.folders().unwrap_or_else(|_| Path::new(""))
    }

    /// The folders of `hosts.toml` files, joined by colons.
    ///
    /// # Errors
    /// Why there are none.
    pub fn folders(&self) -> Result<&Path, String> {
        match self {
            Self::CertsD(folders) if folders.as_os_str().is_empty() => {
                Err("containerd's configuration has no config_path".to_owned())
            }
            Self::CertsD(folders)
            | Self::SeveralFolders(folders)
            | Self::WithCredentials { folders, .. } => Ok(folders),
            Self::InConfiguration { path, .. } => Err(format!(
                "{} sets mirrors or configs, which this agent does not follow",
                path.display()
            )),
            Self::NotFollowed(why) => Err(why.clone()),
        }
    }

    /// Why a `hosts.toml` that is there may not be read.
    pub(crate) fn doubt(&self) -> Option<String> {
        match self {
            Self::SeveralFolders(folders) => Some(format!(
                "containerd's config_path has several folders ({}), which its transfer service does not find; set it \
                 to the one with the hosts.toml files",
                folders.display()
            )),
            _ => None,
        }
    }

    /// By the configuration at `path`, with all that it imports.
    fn of(root: &Root, path: &Path, release: ContainerdRelease) -> Result<Self, String> {
        let mut found = Registry::default();
        let mut pending = VecDeque::from([path.to_owned()]);
        let mut seen = HashSet::new();
        let mut of_first = None;
        while let Some(path) = pending.pop_front() {
            if !seen.insert(path.clone()) {
                continue;
            }
            if seen.len() > MAX_FILES {
                return Err(format!("{} is one import too many", path.display()));
            }
            let bytes = root
                .read(&path, MAX_FILE + 1)
                .map_err(|error| not_read(&path, error))?;
            if bytes.len() as u64 > MAX_FILE {
                return Err(format!(
                    "{} is larger than {MAX_FILE} bytes",
                    path.display()
                ));
            }
            let text = String::from_utf8_lossy(&bytes);
            let file = DeTable::parse(&text).map_err(|error| {
                let why = excerpt(error.message().as_bytes());
                format!("{} is not TOML: {why}", path.display())
            })?;
            let file = file.get_ref();
            let version = file
                .get("version")
                .and_then(|version| version.get_ref().as_integer());
            let version = version.map(|number| number.as_str().to_owned());
            // What is imported without one goes by the version of the first.
            let of_first =
                of_first.get_or_insert_with(|| version.clone().unwrap_or_else(|| "1".to_owned()));
            let names = plugins(version.as_ref().unwrap_or(of_first), release);
            if let Some(registry) = registry_of(file, names) {
                found.merge(registry, release);
            }
            let imports = file
                .get("imports")
                .and_then(|imports| imports.get_ref().as_array());
            let imports = imports.into_iter().flat_map(|imports| imports.iter());
            for pattern in imports.filter_map(|pattern| pattern.get_ref().as_str()) {
                pending.extend(imported(root, &path, pattern)?);
            }
        }
        let settings = found.settings(path, release);
        let folders = env::split_paths(settings.certs_d());
        let hidden = folders.filter_map(|folder| root.hides(&folder)).next();
        hidden.map_or(Ok(settings), |hidden| Err(ask_to_name(hidden)))
    }
}

/// What a configuration says of registries.
#[derive(Default)]
struct Registry {
    config_path: String,
    mirrors: BTreeSet<String>,
    configs: BTreeSet<String>,
    /// Those of them with credentials.
    credentials: BTreeSet<String>,
}

impl Registry {
    /// A plugin's section replaces that of a file before; since 2.0 only what it says.
    fn merge(&mut self, later: Self, release: ContainerdRelease) {
        if !release.migrates_configurations() {
            *self = later;
            return;
        }
        if !later.config_path.is_empty() {
            self.config_path = later.config_path;
        }
        self.mirrors.extend(later.mirrors);
        self.configs.extend(later.configs);
        self.credentials.extend(later.credentials);
    }

    fn settings(self, path: &Path, release: ContainerdRelease) -> HostSettings {
        let mut config_path = self.config_path;
        if config_path.is_empty() && self.mirrors.is_empty() && release.has_default_config_path() {
            DEFAULT.clone_into(&mut config_path);
        }
        if !config_path.is_empty() && !self.credentials.is_empty() {
            return HostSettings::WithCredentials {
                folders: config_path.into(),
                path: path.to_owned(),
                hosts: self.credentials,
            };
        }
        if config_path.contains(':') && release.pulls_by_transfer() {
            return HostSettings::SeveralFolders(config_path.into());
        }
        if !config_path.is_empty() {
            return HostSettings::CertsD(config_path.into());
        }
        let mut named = self.mirrors;
        named.extend(self.configs);
        match named.is_empty() {
            true => HostSettings::CertsD(PathBuf::new()),
            false => HostSettings::InConfiguration {
                path: path.to_owned(),
                named,
            },
        }
    }
}

/// What the section of the plugin that pulls says; `None` if the file has no such section.
fn registry_of(file: &DeTable<'_>, names: &[&str]) -> Option<Registry> {
    let plugins = table(file, "plugins")?;
    let sections = || names.iter().filter_map(|name| table(plugins, name));
    // An older section replaces a newer one.
    let Some(registry) = sections().find_map(|section| table(section, "registry")) else {
        return sections().next().map(|_| Registry::default());
    };
    let keys = |name| {
        let keys = table(registry, name).into_iter().flat_map(DeTable::keys);
        keys.map(|key| key.get_ref().to_string()).collect()
    };
    // These may be URLs, and become configs of their hosts.
    let auths: BTreeSet<String> = keys("auths");
    let host = |url: &String| {
        let host = url.split_once("://").map_or(&**url, |(_, rest)| rest);
        host.split('/').next().unwrap_or(host).to_owned()
    };
    let mut configs: BTreeSet<_> = keys("configs");
    configs.extend(auths.iter().map(host));
    let has_credentials = |name: &String| {
        let config = table(registry, "configs").and_then(|configs| table(configs, name));
        config.is_some_and(|config| table(config, "auth").is_some())
    };
    let mut credentials: BTreeSet<_> = auths.iter().map(host).collect();
    credentials.extend(configs.iter().filter(|name| has_credentials(name)).cloned());
    let config_path = registry
        .get("config_path")
        .and_then(|path| path.get_ref().as_str());
    Some(Registry {
        config_path: config_path.unwrap_or_default().to_owned(),
        mirrors: keys("mirrors"),
        configs,
        credentials,
    })
}

/// By what names a containerd of this `release` knows the plugin, where its configuration is of this `version`. Since 2.0
/// it brings older sections to its own version, and before 2.3 not those of version 1.
fn plugins(version: &str, release: ContainerdRelease) -> &'static [&'static str] {
    let (is_2, is_2_3) = (
        release.migrates_configurations(),
        release.migrates_version_3(),
    );
    match (is_2, version) {
        (false, "1") => &PLUGINS[..1],
        (false, _) => &PLUGINS[1..2],
        (true, "1" | "2" | "3") if is_2_3 => &PLUGINS,
        (true, "2") => &PLUGINS[1..],
        (true, _) => &PLUGINS[2..],
    }
}

fn table<'a, 'i>(table: &'a DeTable<'i>, name: &str) -> Option<&'a DeTable<'i>> {
    table.get(name).and_then(|value| value.get_ref().as_table())
}

/// The files that `pattern` of the file at `parent` names: a path, or one with a star in its last part.
fn imported(root: &Root, parent: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let path = parent.parent().unwrap_or(parent).join(pattern);
    if !pattern.contains('*') {
        return Ok(vec![path]);
    }
    let (folder, name) = pattern.rsplit_once('/').unwrap_or((".", pattern));
    let (start, end) = match name.split_once('*') {
        Some(parts) if !folder.contains('*') && !name.contains(['?', '[', '\\']) => parts,
        _ => ("", "*"),
    };
    if end.contains('*') {
        let (parent, path) = (parent.display(), path.display());
        return Err(format!(
            "{parent} imports {path}, a pattern that this agent does not follow"
        ));
    }
    let folder = path.parent().unwrap_or(parent);
    if let Some(hidden) = root.hides(folder) {
        return Err(ask_to_name(hidden));
    }
    let entries = match root.list(folder) {
        Ok(entries) => entries,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(not_read(folder, error)),
    };
    let is_meant = |file: &str| {
        let rest = file.strip_prefix(start);
        rest.is_some_and(|rest| rest.ends_with(end))
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    let names = names.filter(|file| file.to_str().is_some_and(is_meant));
    let mut files: Vec<_> = names.map(|file| folder.join(file)).collect();
    files.sort_unstable();
    Ok(files)
}

fn not_read(path: &Path, error: FileError) -> String {
    match error {
        FileError::Unseen(why) => ask_to_name(why),
        FileError::Io(error) => {
            let path = path.display();
            format!(
                "cannot read {path}: {error}; set node.certs_d to the config_path of the node's containerd"
            )
        }
    }
}

/// Whoever knows what the file says may say so.
fn ask_to_name(why: impl std::fmt::Display) -> String {
    format!("{why}, or set node.certs_d to the config_path of the node's containerd")
}
