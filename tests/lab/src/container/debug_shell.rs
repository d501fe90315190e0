//! A shell on a node, as `kubectl debug --profile=sysadmin` and `chroot /host` give one: a container by runc
//! with the node's network and privileges. The node's file system is this machine's, with an `/etc` of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::RUNC;
use crate::netns::Namespace;

/// What the profile gives, as far as the commands of a runbook need it.
const CAPABILITIES: [&str; 9] = [
    "CAP_DAC_OVERRIDE",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SYSLOG",
    "CAP_SYS_ADMIN",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
];
/// How long a script may take, as `timeout` writes it.
const LIMIT: &str = "200s";

/// A node to look at.
pub struct DebugShell<'a> {
    pub node: &'a Namespace,
    /// The node's bundle of authorities.
    pub authorities: &'a Path,
    /// The node's `/etc/containerd/certs.d`.
    pub certs_d: &'a Path,
    /// The environment of the node's containerd.
    pub environment: &'a BTreeMap<String, String>,
}

impl DebugShell<'_> {
    /// Pastes a script into the shell, and returns everything that appears. A folder for the files that
    /// this needs must not be used for anything else.
    pub fn paste(&self, script: &str, folder: &Path) -> Result<String> {
        let etc = folder.join("etc");
        fs::create_dir(&etc)?;
        for entry in fs::read_dir("/etc")? {
            let path = entry?.path();
            // Other nodes come and go there.
            if !path.ends_with("netns") {
                copy(&path, &etc)?;
            }
        }
        copy(&self.node.etc_folder().join("."), &etc)?;
        fs::copy(self.authorities, etc.join("ssl/certs/ca-certificates.crt"))?;
        fs::create_dir_all(etc.join("containerd/certs.d"))?;
        copy(&self.certs_d.join("."), &etc.join("containerd/certs.d"))?;
        fs::create_dir_all(folder.join("rootfs"))?;
        fs::write(folder.join("config.json"), self.config(script, &etc))?;
        let name = format!("{}-debugger", self.node.name());
        let out = Command::new("/usr/bin/timeout")
            .args([LIMIT, RUNC])
            .arg(format!("--root={}", folder.join("runc").display()))
            .arg("run")
            .arg(format!("--bundle={}", folder.display()))
            .arg(name)
            .output()
            .context("failed to run runc")?;
        let said = [out.stdout, out.stderr].concat();
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    fn config(&self, script: &str, etc: &Path) -> String {
        let bind = |source: &Path, destination: &str| json!({"source": source, "destination": destination, "options": ["rbind"]});
        let held: Vec<_> = CAPABILITIES.into();
        // Who pastes sees errors between the output. Something must be called containerd, and have its environment.
        let settings = self.environment.iter();
        let settings = settings.map(|(name, value)| format!("export {name}='{value}'; "));
        let shell = format!(
            "exec 2>&1\n({}exec -a containerd sleep 1000) &\ndisown\nsleep 0.1\n{script}",
            settings.collect::<String>()
        );
        let config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": 0, "gid": 0},
                "args": ["/host/usr/sbin/chroot", "/host", "bash", "-c", shell],
                "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "cwd": "/",
                "capabilities": {"bounding": held, "effective": held, "permitted": held},
            },
            "root": {"path": "rootfs"},
            "mounts": [
                bind(Path::new("/"), "/host"),
                bind(etc, "/host/etc"),
                // What chroot is linked with.
                bind(Path::new("/lib"), "/lib"),
                bind(Path::new("/lib64"), "/lib64"),
                {"destination": "/host/proc", "type": "proc", "source": "proc"},
                {"destination": "/proc", "type": "proc", "source": "proc"},
            ],
            "linux": {"namespaces": [
                {"type": "mount"},
                // The node's processes, and not this machine's.
                {"type": "pid"},
                {"type": "network", "path": self.node.path()},
            ]},
        });
        config.to_string()
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let out = Command::new("/usr/bin/cp")
        .arg("-a")
        .args([from, to])
        .output()?;
    let complaint = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{complaint}");
    Ok(())
}
