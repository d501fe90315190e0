//! The Dockerfile with binaries that are already built, by a real buildah.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use regprobe_harness::program::repository;
use serde_json::Value;

use super::dist::{VERSION, dist, expect_success};

/// With the binaries of `dist` the Dockerfile makes the image that `deploy/release` makes.
pub(super) fn makes_the_same_image() -> Result<()> {
    let dist = dist()?;
    let folder = tempfile::tempdir()?;
    let [context, layout, storage] =
        ["context", "layout", "storage"].map(|name| folder.path().join(name));
    fs::create_dir(&context)?;
    fs::create_dir(&layout)?;
    let copied = Command::new("cp")
        .arg("--recursive")
        .args(["Dockerfile", ".dockerignore"].map(repository))
        .args([&dist.path(), &context])
        .output()?;
    expect_success(&copied)?;
    let buildah = |arguments: &[&str]| -> Result<String> {
        let mut command = Command::new("/usr/bin/buildah");
        command
            .arg("--root")
            .arg(&storage)
            .arg("--runroot")
            .arg(folder.path().join("run"))
            .arg("--storage-driver=vfs")
            .args(arguments);
        expect_success(&command.output()?)
    };
    let at = context.display().to_string();
    let build = ["build", "--isolation=chroot", "--build-arg=BINARY=prebuilt"];
    buildah(&[&build, &["--tag=built", &at][..]].concat())?;
    let built: Value = serde_json::from_str(&buildah(&["inspect", "--type=image", "built"])?)?;
    let container = buildah(&["from", "built"])?;
    let root = buildah(&["mount", container.trim()])?;
    let root = Path::new(root.trim());
    let binary = fs::read(root.join("regprobe"))?;
    let bundle = fs::read(root.join("etc/ssl/certs/ca-certificates.crt"))?;
    let mode = fs::metadata(root.join("regprobe"))?.permissions().mode();
    buildah(&["umount", container.trim()])?;
    ensure!(binary == fs::read(&dist.binaries[0])?);
    ensure!(bundle == fs::read(dist.file("ca-certificates.crt"))?);
    ensure!(mode & 0o777 == 0o755, "{mode:o}");

    let unpacked = Command::new("tar")
        .arg("--extract")
        .arg("--file")
        .arg(dist.file(&format!("regprobe-{VERSION}-image.tar")))
        .arg("--directory")
        .arg(&layout)
        .output()?;
    expect_success(&unpacked)?;
    let blob = |descriptor: &Value| -> Result<Value> {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        let path = layout.join("blobs").join(digest.replace(':', "/"));
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    };
    let outer: Value = serde_json::from_slice(&fs::read(layout.join("index.json"))?)?;
    let index = blob(&outer["manifests"][0])?;
    ensure!(
        index["manifests"][0]["platform"]["architecture"] == "amd64",
        "{index}"
    );
    let config = blob(&blob(&index["manifests"][0])?["config"])?;
    let without = |config: &Value, label: &str| {
        let mut config = config["config"].clone();
        let labels = config["Labels"].as_object_mut();
        let label = labels.and_then(|labels| labels.remove(label));
        (config, label.is_some())
    };
    let of_dist = without(&config, "org.opencontainers.image.version");
    let of_buildah = without(&built["OCIv1"], "io.buildah.version");
    ensure!(of_dist == of_buildah, "{} and {}", of_dist.0, of_buildah.0);
    ensure!(of_dist.1, "no version");
    Ok(())
}
