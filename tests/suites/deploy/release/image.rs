//! The image from its file, in a real containerd.

use std::fs;
use std::process::{Command, Output};

use anyhow::{Result, ensure};
use regprobe_lab::servers::Containerd;
use serde_json::Value;

use super::dist::{IMAGE, VERSION, dist, expect_success, said};

/// As on a node that cannot pull it: afterwards it has the name that the chart uses, and starts as the chart
/// starts it.
pub(super) fn in_containerd() -> Result<()> {
    let dist = dist()?;
    let containerd = Containerd::start()?;
    let file = dist.file(&format!("regprobe-{VERSION}-image.tar"));
    let imported = ctr(
        &containerd,
        &["images", "import", "--digests", "--all-platforms"],
    )
    .args(["--base-name", IMAGE, "--snapshotter", "native"])
    .arg(file)
    .output()?;
    ensure!(imported.status.success(), "{}", said(&imported));
    let by_digest = format!("{IMAGE}@{}", dist.digest()?);
    let listed = ctr(&containerd, &["images", "list"]).output()?;
    let listed = expect_success(&listed)?;
    for name in [&format!("{IMAGE}:{VERSION}"), &by_digest] {
        let mut lines = listed.lines();
        let line = lines.find(|line| line.split_whitespace().next() == Some(name));
        let both = line.is_some_and(|line| line.contains(" linux/amd64,linux/arm64 "));
        ensure!(both, "{name} in {listed}");
    }

    let start = |arguments: &[&str]| -> Result<Output> {
        let container = ["run", "--rm", "--snapshotter", "native", "--read-only"];
        let mut command = ctr(&containerd, &container);
        Ok(command
            .args([&by_digest, "regprobe-test"])
            .args(arguments)
            .output()?)
    };
    let version = expect_success(&start(&["regprobe", "--version"])?)?;
    ensure!(version == format!("regprobe {VERSION}\n"), "{version}");
    // Without arguments it is the agent, which lacks its configuration here.
    let agent = start(&[])?;
    ensure!(agent.status.code() == Some(2), "{}", said(&agent));
    ensure!(
        said(&agent).contains("/etc/regprobe/config.yaml"),
        "{}",
        said(&agent)
    );

    let create = [
        "containers",
        "create",
        "--snapshotter",
        "native",
        &by_digest,
        "regprobe-test",
    ];
    expect_success(&ctr(&containerd, &create).output()?)?;
    let info = ctr(&containerd, &["containers", "info", "regprobe-test"]).output()?;
    let info: Value = serde_json::from_str(&expect_success(&info)?)?;
    let user = &info["Spec"]["process"]["user"];
    ensure!(user["uid"] == 65532 && user["gid"] == 65532, "{user}");
    let bundle = fs::read(dist.file("ca-certificates.crt"))?;
    let mounts = tempfile::tempdir()?;
    let at = mounts.path().display().to_string();
    expect_success(
        &ctr(
            &containerd,
            &[
                "images",
                "mount",
                "--snapshotter",
                "native",
                &by_digest,
                &at,
            ],
        )
        .output()?,
    )?;
    let inside = fs::read(mounts.path().join("etc/ssl/certs/ca-certificates.crt"));
    expect_success(
        &ctr(
            &containerd,
            &["images", "unmount", "--snapshotter", "native", &at],
        )
        .output()?,
    )?;
    ensure!(inside? == bundle);
    Ok(())
}

fn ctr(containerd: &Containerd, arguments: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/timeout");
    command
        .args(["60s", "/usr/bin/ctr", "--address"])
        .arg(containerd.socket())
        .args(arguments);
    command
}
