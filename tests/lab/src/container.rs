//! A program as the chart runs the agent, by runc: user 65532, no capability, no new privileges, a
//! root file system that is only read, and the seccomp profile of `deploy/seccomp`.

pub mod debug_shell;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::netns::Namespace;

const RUNC: &str = "/usr/sbin/runc";
const PROFILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../deploy/seccomp/regprobe.json"
);
/// Of the image, and of the chart.
const USER: u32 = 65532;
/// What a program that is linked at run time has of the machine.
const LIBRARIES: [&str; 2] = ["/lib", "/lib64"];

/// A program, its arguments and its environment, about to be confined.
pub struct Container<'a> {
    program: &'a Command,
    profile: Value,
    mounts: Vec<(PathBuf, PathBuf)>,
    network: Option<PathBuf>,
    memory: Option<u64>,
}

impl<'a> Container<'a> {
    /// It sees its own file and the machine's libraries, and shares the network of its parent process.
    pub fn of(program: &'a Command) -> Result<Self> {
        Ok(Self {
            program,
            profile: profile()?,
            mounts: Vec::new(),
            network: None,
            memory: None,
        })
    }

    /// With this in place of the seccomp profile of `deploy/seccomp`.
    #[must_use]
    pub fn under(mut self, profile: Value) -> Self {
        self.profile = profile;
        self
    }

    /// It may read this file or folder as well.
    #[must_use]
    pub fn reading(mut self, path: &Path) -> Self {
        self.mounts.push((path.to_owned(), path.to_owned()));
        self
    }

    /// With the network of a namespace, and its `/etc`.
    #[must_use]
    pub fn on(mut self, node: &Namespace) -> Self {
        self.mounts.push((node.etc_folder(), "/etc".into()));
        self.network = Some(node.path());
        self
    }

    /// Limits its memory to this many bytes, by a cgroup.
    #[must_use]
    pub fn within_memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// The command line that starts it. The files that runc needs go into a folder, which the program
    /// only sees if [`Self::reading`] names it.
    pub fn command_line(self, folder: &Path) -> Result<Vec<String>> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!(
            "lab-{}-{}",
            process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let bundle = folder.join(&name);
        fs::create_dir_all(bundle.join("rootfs"))?;
        let config = self.config(&name)?;
        fs::write(bundle.join("config.json"), config.to_string())?;
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        Ok(vec![
            RUNC.to_owned(),
            format!("--root={}", path(folder.join("runc"))),
            "run".to_owned(),
            format!("--bundle={}", path(bundle)),
            name,
        ])
    }

    fn config(self, name: &str) -> Result<Value> {
        let text = |text: &OsStr| text.to_string_lossy().into_owned();
        let program = self.program.get_program();
        let arguments = [program].into_iter().chain(self.program.get_args());
        let environment = self
            .program
            .get_envs()
            .filter_map(|(name, value)| Some(format!("{}={}", text(name), text(value?))));
        let bind = |source: &Path, destination: &Path| json!({"source": source, "destination": destination, "options": ["rbind", "ro"]});
        let own = LIBRARIES
            .map(Path::new)
            .into_iter()
            .chain([Path::new(program)]);
        let mut mounts: Vec<_> = own.map(|path| bind(path, path)).collect();
        mounts.extend(
            self.mounts
                .iter()
                .map(|(source, destination)| bind(source, destination)),
        );
        mounts.push(json!({"destination": "/proc", "type": "proc", "source": "proc"}));
        let mut config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": USER, "gid": USER},
                "args": arguments.map(text).collect::<Vec<_>>(),
                "env": environment.collect::<Vec<_>>(),
                "cwd": "/",
                "noNewPrivileges": true,
                "capabilities": {},
            },
            "root": {"path": "rootfs", "readonly": true},
            "mounts": mounts,
            "linux": {"namespaces": [{"type": "mount"}], "seccomp": self.profile},
        });
        if let Some(path) = self.network {
            let network = json!({"type": "network", "path": path});
            config["linux"]["namespaces"] = json!([{"type": "mount"}, network]);
        }
        if let Some(bytes) = self.memory {
            config["linux"]["cgroupsPath"] = json!(format!("/{name}"));
            config["linux"]["resources"] = json!({"memory": {"limit": bytes}});
        }
        Ok(config)
    }
}

/// The process that all this was about: the last of those who were started to start it.
pub fn innermost(starter: u32) -> Result<u32> {
    let mut id = starter;
    while let Some(child) = child_of(id)? {
        id = child;
    }
    Ok(id)
}

/// A process that one of this process's threads has started.
pub(crate) fn child_of(id: u32) -> Result<Option<u32>> {
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        let children = fs::read_to_string(thread?.path().join("children"))?;
        if let Some(child) = children.split_whitespace().next() {
            return Ok(Some(child.parse()?));
        }
    }
    Ok(None)
}

/// The seccomp profile of `deploy/seccomp`.
pub fn profile() -> Result<Value> {
    let text = fs::read(PROFILE).with_context(|| format!("failed to read {PROFILE}"))?;
    Ok(serde_json::from_slice(&text)?)
}
