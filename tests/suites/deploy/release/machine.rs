//! The Debian package and the tarball on a machine with a real systemd: this one's system, booted again in a
//! container, over a layer that takes all changes. What happens there is in `machine.sh`.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use regprobe_harness::program::repository;
use serde_json::Value;

use super::dist::{VERSION, dist, said};

/// How long the machine may run, as `timeout` writes it.
const LIMIT: &str = "120s";

pub(super) fn runs_what_is_installed() -> Result<()> {
    let dist = dist()?;
    let out = Command::new("timeout")
        .args(["--kill-after=5s", LIMIT])
        // All that the machine starts ends with it.
        .args([
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .arg(repository("tests/suites/deploy/release/machine.sh"))
        .arg(dist.file(&format!("regprobe_{VERSION}_amd64.deb")))
        .arg(dist.file(&format!("regprobe-{VERSION}-linux-amd64.tar.gz")))
        .output()?;
    ensure!(out.status.success(), "{}", said(&out));
    let said = said(&out);
    ensure!(
        said.contains("the machine did all that it should"),
        "{said}"
    );
    Ok(())
}

/// The unit and the profile of the container have one list.
pub(super) fn calls() -> Result<()> {
    let unit = fs::read_to_string(repository("deploy/systemd/regprobe.service"))?;
    let in_unit: BTreeSet<_> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("SystemCallFilter="))
        .flat_map(str::split_whitespace)
        .collect();
    let profile: Value =
        serde_json::from_slice(&fs::read(repository("deploy/seccomp/regprobe.json"))?)?;
    let groups = profile["syscalls"].as_array().context("no calls")?;
    let in_profile: BTreeSet<_> = groups
        .iter()
        .flat_map(|group| group["names"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    ensure!(in_profile.contains("connect"), "{in_profile:?}");
    let differing: Vec<_> = in_unit.symmetric_difference(&in_profile).collect();
    ensure!(differing.is_empty(), "only in one of them: {differing:?}");
    Ok(())
}
