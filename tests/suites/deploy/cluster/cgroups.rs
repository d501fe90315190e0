//! The lab's machine on a kernel that has version 2 of the groups alone: here on whatever part of them this kernel has.

use std::fs;
use std::path::Path;
use std::process::{Command, id};

use anyhow::{Context, Result, ensure};
use regprobe_lab::servers::cluster::cgroups::Cgroup;

pub(super) fn of_version_2() -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| Path::new(path))
    });
    let mount = mount.context("no groups of version 2 are mounted")?;

    // Like a container's first group, it has a process, and so may not hand down its controllers.
    let name = format!("lab-{}-above", id());
    let above = Cgroup::with_all_controllers(mount, &name)?;
    let folder = mount.join(&name);
    let mut process = Command::new("sleep").arg("60").spawn()?;
    fs::write(folder.join("cgroup.procs"), process.id().to_string())?;
    let below = Cgroup::with_all_controllers(&folder, "below");
    let controllers = |folder: &Path| fs::read_to_string(folder.join("cgroup.controllers"));
    let told = below.as_ref().map(|_| controllers(&folder.join("below")));
    process.kill()?;
    process.wait()?;
    let handed_down = told.map_err(|error| anyhow::anyhow!("{error:#}"))??;
    ensure!(handed_down == controllers(&folder)?, "{handed_down:?}");

    drop(below);
    ensure!(!folder.join("below").exists(), "a group is left");
    drop(above);
    ensure!(!folder.exists(), "a group is left");
    Ok(())
}
