//! The registries that containerd has settings for, and where this process finds the node's files without a
//! configuration that says so.

use std::{
    env, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use regprobe_probes::Root;

use super::node::{containerd, host_settings};
use crate::config::{NodeConfig, Server};

/// Where `kubectl debug node/NODE` mounts the node's file system.
const DEBUG_MOUNT: &str = "/host";
/// Every node has these files, and few other directories have them.
const FILES_OF_A_NODE: [&str; 2] = ["etc/resolv.conf", "etc/hosts"];
/// containerd's directory for all registries without a directory.
const ANY_REGISTRY: &str = "_default";

/// The node's files with its root at `root`; without one, at `/host` if a node's files are there, else at `/`.
pub(crate) fn node_at(root: Option<&Path>) -> NodeConfig {
    let node = NodeConfig::default();
    let mounted = || {
        let root = PathBuf::from(DEBUG_MOUNT);
        // A link of the node may lead nowhere here.
        let exists = |file: &str| root.join(file).symlink_metadata().is_ok();
        FILES_OF_A_NODE.into_iter().all(exists).then_some(root)
    };
    match root.map(Path::to_owned).or_else(mounted) {
        Some(root) => NodeConfig { root, ..node },
        None => node,
    }
}

/// The registries that containerd has settings for, and the folders that it reads them from.
pub(crate) struct OfContainerd {
    /// Sorted by name.
    pub servers: Vec<Server>,
    /// Joined by colons, as in containerd's `config_path`.
    pub folders: String,
}

impl OfContainerd {
    /// Reads the names of the folders' directories.
    pub(crate) fn read(node: &NodeConfig) -> anyhow::Result<Self> {
        let root = Root::at(node.root.clone());
        let settings = host_settings(node, &root, containerd(node, &root));
        let folders = settings.folders().map_err(anyhow::Error::msg)?;
        let mut servers: Vec<Server> = Vec::new();
        for folder in env::split_paths(folders) {
            let named = named_in(&root, &folder);
            for server in named.with_context(|| format!("cannot read {}", folder.display()))? {
                // Of two directories for the same server, containerd uses one.
                let is_new = servers
                    .iter()
                    .all(|known| (known.host(), known.port()) != (server.host(), server.port()));
                if is_new {
                    servers.push(server);
                }
            }
        }
        servers.sort_by_key(ToString::to_string);
        Ok(Self {
            servers,
            folders: folders.display().to_string(),
        })
    }
}

/// The registries that directories in `folder` are named after; none if there is no such folder.
fn named_in(root: &Root, folder: &Path) -> io::Result<Vec<Server>> {
    let entries = match root.locate(folder).and_then(|here| here.read_dir()) {
        Ok(entries) => entries.collect::<io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let directories = entries.into_iter().filter(|entry| entry.path().is_dir());
    let names = directories.map(|entry| entry.file_name());
    Ok(names
        .filter_map(|name| server_of_directory(name.to_str()?))
        .collect())
}

/// `registry.example`, `registry.example:5000` or `registry.example_5000_`.
fn server_of_directory(name: &str) -> Option<Server> {
    let with_port = name
        .strip_suffix('_')
        .and_then(|name| name.rsplit_once('_'))
        .map(|(host, port)| format!("{host}:{port}"));
    let server = with_port.as_deref().unwrap_or(name);
    if name == ANY_REGISTRY {
        return None;
    }
    server.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn directories_of_certs_d_are_registries() {
        let root = tempfile::tempdir().unwrap();
        let node = node_at(Some(root.path()));
        let registries = || OfContainerd::read(&node).unwrap().servers;
        assert_eq!(registries(), []);

        // An absolute link leads where it leads on the node.
        fs::create_dir_all(root.path().join("etc/containerd")).unwrap();
        std::os::unix::fs::symlink("/opt/certs", root.path().join("etc/containerd/certs.d"))
            .unwrap();
        let certs = root.path().join("opt/certs");
        for name in [
            "_default",
            "contoso.azurecr.io",
            "registry.example_5000_",
            "registry.example:5000",
            "docker.io",
            "kind-registry:5000",
            "[fd00::1]_5000_",
            "under_score",
            "..data",
            "bare",
        ] {
            fs::create_dir_all(certs.join(name)).unwrap();
        }
        fs::write(certs.join("a.file"), "").unwrap();
        let servers: Vec<_> = registries().iter().map(ToString::to_string).collect();
        let expected = [
            "[fd00::1]:5000",
            "contoso.azurecr.io",
            "docker.io",
            "kind-registry:5000",
            "registry.example:5000",
        ];
        assert_eq!(servers, expected);
    }
}
