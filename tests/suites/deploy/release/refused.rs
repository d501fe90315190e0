//! What is not released, each with the sentence that says why.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use regprobe_harness::program::REGPROBE;

use super::dist::{Sources, VERSION, dist, said};

/// A file, what is in it, what to put there, and why that is no release.
const CHANGES: [(&str, &str, &str, &str); 6] = [
    (
        "deploy/helm/regprobe/Chart.yaml",
        "\nversion: ",
        "\nversion: 9",
        "but version of deploy/helm/regprobe/Chart.yaml differs",
    ),
    (
        "deploy/helm/regprobe/Chart.yaml",
        "\nappVersion: ",
        "\nappVersion: 9",
        "but appVersion of deploy/helm/regprobe/Chart.yaml differs",
    ),
    (
        "deploy/helm/regprobe/values.yaml",
        "\n  digest: ",
        "\n  hash: ",
        "values.yaml of the chart has no line `digest: …` below `image:`",
    ),
    (
        "deploy/helm/regprobe/.helmignore",
        "ci/",
        "*.orig",
        ".helmignore has more than names of folders",
    ),
    (
        "deploy/systemd/regprobe.service",
        "/usr/bin/regprobe",
        "/opt/regprobe",
        "regprobe.service does not start /usr/bin/regprobe",
    ),
    (
        "Dockerfile",
        "\nEXPOSE ",
        "\nVOLUME ",
        "the last stage of the Dockerfile has VOLUME, which this script does not know",
    ),
];

pub(super) fn with_the_reason() -> Result<()> {
    let dist = dist()?;
    let [native, foreign] = &dist.binaries;
    let folder = tempfile::tempdir()?;
    let binary = fs::read(native)?;
    let file = |name: &str, bytes: &[u8]| -> Result<PathBuf> {
        let path = folder.path().join(name);
        fs::write(&path, bytes)?;
        Ok(path)
    };
    let risc_v = [&binary[..18], &[243, 0], &binary[20..]].concat();
    let copy = file("copy", &binary)?;
    let bare = folder.path().join("bare");
    let removed = Command::new("objcopy")
        .arg("--remove-section=.dep-v0")
        .args([native, &bare])
        .output()?;
    ensure!(removed.status.success(), "{}", said(&removed));
    let other_tag = ["--tag=v9.9.9"];
    let this_tag = format!("--tag=v{VERSION}");
    let cases: [(&[PathBuf], &[&str], &str); 10] = [
        (&[], &[], "the following arguments are required: BINARY"),
        (
            &[folder.path().join("none")],
            &[],
            "No such file or directory",
        ),
        (
            &[file("text", b"#!/bin/sh")?],
            &[],
            "is not a 64-bit little-endian ELF binary",
        ),
        (&[file("short", &binary[..40])?], &[], "is damaged"),
        (
            &[file("half", &binary[..binary.len() / 2])?],
            &[],
            "is damaged",
        ),
        (
            &[file("risc-v", &risc_v)?],
            &[],
            "is for machine 243, not for amd64 or arm64",
        ),
        (
            std::slice::from_ref(&*REGPROBE),
            &[],
            "is not static: it names a loader",
        ),
        (
            &[bare],
            &[],
            "has no list of its crates: build it with cargo auditable",
        ),
        (&[native.clone(), copy], &[], "are both for amd64"),
        (
            &[native.clone(), foreign.clone()],
            &other_tag,
            "the tag is v9.9.9, but Cargo.toml has version",
        ),
    ];
    for (binaries, flags, reason) in cases {
        refuses(&Sources::copy()?, binaries, flags, reason)?;
    }
    for (file, from, to, reason) in CHANGES {
        let sources = Sources::copy()?;
        sources.replace(file, from, to)?;
        refuses(&sources, &dist.binaries, &[], reason)
            .with_context(|| format!("{to:?} in {file}"))?;
    }

    let sources = Sources::copy()?;
    sources.write(
        "CHANGELOG.md",
        "# Changelog\n\n## [Unreleased]\n\n- Something.\n",
    )?;
    let missing = format!("CHANGELOG.md has no section [{VERSION}], or an empty one");
    refuses(&sources, &dist.binaries, &[&this_tag], &missing)?;

    let sources = Sources::copy()?;
    sources.replace(
        "Cargo.toml",
        &format!("\nversion = \"{VERSION}\""),
        "\nversion = \"9.9.9\"",
    )?;
    let chart = "deploy/helm/regprobe/Chart.yaml";
    sources.replace(chart, &format!("\nversion: {VERSION}"), "\nversion: 9.9.9")?;
    sources.replace(
        chart,
        &format!("\nappVersion: {VERSION}"),
        "\nappVersion: 9.9.9",
    )?;
    let older = format!("is version {VERSION}, but Cargo.toml has version 9.9.9");
    refuses(&sources, &dist.binaries, &[], &older)?;

    let empty = ["--ca-certificates=/var/empty"];
    let missing = "has no certificates: install ca-certificates";
    refuses(&Sources::copy()?, &dist.binaries, &empty, missing)?;

    let sources = Sources::copy()?;
    fs::create_dir(sources.path().join("dist"))?;
    sources.write("dist/mine", "")?;
    refuses(
        &sources,
        &dist.binaries,
        &[],
        "is not empty: remove it, or name another folder",
    )
}

/// Says why in one line, and leaves no file behind.
fn refuses(sources: &Sources, binaries: &[PathBuf], flags: &[&str], reason: &str) -> Result<()> {
    let out = sources.release(binaries, flags)?;
    let complaint = String::from_utf8_lossy(&out.stderr);
    ensure!(
        !out.status.success() && out.stdout.is_empty(),
        "{reason}: {}",
        said(&out)
    );
    ensure!(
        complaint.contains(reason),
        "{reason:?} is not in {complaint:?}"
    );
    let last = complaint.lines().last().unwrap_or_default();
    ensure!(last.starts_with("release: "), "{complaint:?}");
    ensure!(
        !sources.path().join("dist/SHA256SUMS").exists(),
        "{reason}: files were made"
    );
    Ok(())
}
