//! The krew manifest: what krew would download is in `dist`, with that checksum and these files, and kubectl
//! finds the plugin under the name that krew links it by.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use regprobe_harness::need::tool;
use serde_json::Value;

use super::dist::{VERSION, dist, expect_success};

pub(super) fn installs_the_plugin() -> Result<()> {
    let dist = dist()?;
    let manifest = fs::read_to_string(dist.file("regprobe.krew.yaml"))?;
    ensure!(
        !manifest.contains('@'),
        "a field is not filled in: {manifest}"
    );
    let manifest: Value = serde_yaml::from_str(&manifest)?;
    ensure!(
        manifest["spec"]["version"] == format!("v{VERSION}"),
        "{manifest}"
    );
    let platforms = manifest["spec"]["platforms"]
        .as_array()
        .context("no platforms")?;
    ensure!(platforms.len() == dist.binaries.len(), "{platforms:?}");
    let sums = fs::read_to_string(dist.file("SHA256SUMS"))?;
    let folder = tempfile::tempdir()?;
    for platform in platforms {
        let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
        let uri = text(&platform["uri"])?;
        let (release, archive) = uri.rsplit_once('/').context("no file")?;
        ensure!(
            release.ends_with(&format!("/releases/download/v{VERSION}")),
            "{uri}"
        );
        let line = format!("{}  {archive}\n", text(&platform["sha256"])?);
        ensure!(sums.contains(&line), "no {line} in {sums}");
        let architecture = text(&platform["selector"]["matchLabels"]["arch"])?;
        ensure!(
            archive.contains(&architecture),
            "{archive} for {architecture}"
        );
        let installed = folder.path().join(&architecture);
        fs::create_dir(&installed)?;
        let mut unpack = Command::new("tar");
        unpack
            .args(["--strip-components=1", "-xzf"])
            .arg(dist.file(archive));
        unpack.arg("-C").arg(&installed);
        for file in platform["files"].as_array().context("no files")? {
            ensure!(file["to"] == ".", "{file}");
            unpack.arg(text(&file["from"])?);
        }
        expect_success(&unpack.output()?)?;
        let binary = installed.join(text(&platform["bin"])?);
        ensure!(binary.is_file(), "no {}", binary.display());
        if architecture == "amd64" {
            symlink(binary, folder.path().join("kubectl-regprobe"))?;
        }
    }
    let out = Command::new(tool("layer/kubectl/kubectl"))
        .args(["regprobe", "--version"])
        .env_clear()
        .env("HOME", folder.path())
        .env("PATH", folder.path())
        .output()?;
    let said = expect_success(&out)?;
    ensure!(said.contains(VERSION), "{said}");
    Ok(())
}
