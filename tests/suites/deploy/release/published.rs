//! Image and chart from a real registry, as the release workflow publishes them.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use regprobe_harness::need::tool;
use regprobe_lab::addresses::{free_port, loopback};
use regprobe_lab::servers::{Containerd, DockerRegistry};

use super::dist::{IMAGE, VERSION, dist, expect_success};

pub(super) fn the_chart_names_the_image() -> Result<()> {
    let dist = dist()?;
    let address: (Ipv4Addr, u16) = (loopback(), free_port()?);
    let registry = DockerRegistry::open(address)?;
    let server = registry.addr().to_string();
    let image = format!(
        "oci-archive:{}:{VERSION}",
        dist.file(&format!("regprobe-{VERSION}-image.tar"))
            .display()
    );
    let published = Command::new("/usr/bin/skopeo")
        .args([
            "copy",
            "--all",
            "--preserve-digests",
            "--dest-tls-verify=false",
            &image,
        ])
        .arg(format!("docker://{server}/regprobe/regprobe:{VERSION}"))
        .output()?;
    expect_success(&published)?;

    let home = tempfile::tempdir()?;
    let package = dist.file(&format!("regprobe-{VERSION}.tgz"));
    let charts = format!("oci://{server}/charts");
    let pushed = helm(home.path(), &["push", "--plain-http"])
        .arg(&package)
        .arg(&charts)
        .output()?;
    expect_success(&pushed)?;
    let chart = format!("{charts}/regprobe");
    let rendered = |flags: &[&str]| -> Result<String> {
        let template = [
            "template",
            "regprobe",
            &chart,
            "--plain-http",
            "--version",
            VERSION,
        ];
        let manifests = expect_success(&helm(home.path(), &template).args(flags).output()?)?;
        // The agent and the Job that checks its configuration have the same.
        let images: BTreeSet<_> = manifests
            .lines()
            .filter_map(|line| line.trim().strip_prefix("image: "))
            .collect();
        ensure!(images.len() == 1, "{images:?}");
        let image = images.first().context("no image")?;
        Ok(image.trim_matches('"').to_owned())
    };
    let digest = dist.digest()?;
    ensure!(
        rendered(&[])? == format!("{IMAGE}@{digest}"),
        "{}",
        rendered(&[])?
    );
    let named = rendered(&["--set", &format!("image.registry={server}")])?;
    ensure!(
        named == format!("{server}/regprobe/regprobe@{digest}"),
        "{named}"
    );

    let containerd = Containerd::start()?;
    let hosts = containerd.certs_d().join(&server);
    fs::create_dir_all(&hosts)?;
    fs::write(
        hosts.join("hosts.toml"),
        format!("server = \"http://{server}\"\n"),
    )?;
    let pull = containerd.pull(&named)?;
    ensure!(pull.ok, "{}", pull.said);
    // An index that has lost a platform on its way has another digest, and is not there.
    let altered = named.replace(&digest, &format!("sha256:{}", "0".repeat(64)));
    ensure!(!containerd.pull(&altered)?.ok, "{altered} was pulled");
    Ok(())
}

/// `helm` with nothing of the user's own settings.
fn helm(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(tool("layer/helm/helm"));
    command.args(arguments).env_clear().env("HOME", home);
    command
}
