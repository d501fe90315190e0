//! The group of the kernel in which the cluster's pods are counted, with version 1 of the interface, which has a
//! folder for each controller, and with version 2, which has one for all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const MOUNT: &str = "/sys/fs/cgroup";
/// Takes the processes of a group that is to have groups below it; version 2 has no group with both.
const LEAF: &str = "processes";

/// Removed when dropped, with all groups below it, which must have no processes any more.
pub struct Cgroup {
    name: String,
    folders: Vec<PathBuf>,
}

impl Cgroup {
    /// A group below the machine's, in every controller.
    pub(super) fn new(name: &str) -> Result<Self> {
        let mount = Path::new(MOUNT);
        if mount.join("cgroup.controllers").exists() {
            return Self::with_all_controllers(mount, name);
        }
        let mut folders = Vec::new();
        for controller in fs::read_dir(mount)? {
            let folder = controller?.path().join(name);
            if fs::create_dir(&folder).is_err() {
                continue;
            }
            for settings in ["cpuset.cpus", "cpuset.mems"] {
                let of_all = folder.with_file_name(settings);
                if of_all.exists() {
                    fs::write(folder.join(settings), fs::read(of_all)?)?;
                }
            }
            folders.push(folder);
        }
        let name = name.to_owned();
        Ok(Self { name, folders })
    }

    /// A group below another one of version 2.
    pub fn with_all_controllers(above: &Path, name: &str) -> Result<Self> {
        // Docker's and the machine's first group have processes.
        if hand_down(above).is_err() {
            let leaf = above.join(LEAF);
            fs::create_dir_all(&leaf)?;
            for id in fs::read_to_string(above.join("cgroup.procs"))?.lines() {
                // It may have ended.
                let _ = fs::write(leaf.join("cgroup.procs"), id);
            }
            hand_down(above).with_context(|| format!("no controllers in {}", above.display()))?;
        }
        let folder = above.join(name);
        fs::create_dir(&folder)?;
        let folders = vec![folder];
        let name = name.to_owned();
        Ok(Self { name, folders })
    }

    /// As kubelet names it.
    pub(super) fn path(&self) -> String {
        format!("/{}", self.name)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        self.folders.iter().for_each(|folder| remove(folder));
    }
}

/// Lets the groups below one have its controllers.
fn hand_down(group: &Path) -> Result<()> {
    let controllers = fs::read_to_string(group.join("cgroup.controllers"))?;
    let names = controllers.split_whitespace();
    let words: Vec<_> = names.map(|name| format!("+{name}")).collect();
    fs::write(group.join("cgroup.subtree_control"), words.join(" "))?;
    Ok(())
}

/// A group is a folder that is removed without its files, once those below it are.
fn remove(group: &Path) {
    for below in fs::read_dir(group).into_iter().flatten().flatten() {
        if below.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&below.path());
        }
    }
    let _ = fs::remove_dir(group);
}
