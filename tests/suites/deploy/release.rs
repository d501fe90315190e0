//! What `deploy/release` makes, installed where it belongs: the image in containerd, the chart and the image
//! in a registry, the Debian package and the tarball on a machine with systemd.

pub(crate) mod dist;
mod dockerfile;
mod image;
mod krew;
mod machine;
mod published;
mod refused;
mod sbom;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::need::Need;
use regprobe_harness::suite::{Suite, test};

use self::dist::{IMAGE, Sources, VERSION, dist, said};

/// Whichever test is first builds the binary, and the others wait for it.
const WITH_BUILD: Duration = Duration::from_secs(40 * 60);

pub(crate) fn suite() -> Suite {
    let files = [
        test("the same sources give the same bytes", the_same_bytes),
        test("the checksums are of every file", checksums),
        test("the notes are the changelog's section", notes),
        test(
            "the software bill of materials is the binary's",
            sbom::is_the_binary_s,
        ),
        test(
            "what cannot be released is refused",
            refused::with_the_reason,
        ),
    ];
    let plugin = test(
        "the krew manifest installs the plugin",
        krew::installs_the_plugin,
    )
    .needs([Need::KUBECTL]);
    let image = test(
        "containerd imports and starts the image",
        image::in_containerd,
    )
    .needs([Need::Root, Need::CONTAINERD, Need::RUNC]);
    let registry = test(
        "the chart names the image that was published",
        published::the_chart_names_the_image,
    )
    .needs([
        Need::Root,
        Need::CONTAINERD,
        Need::DOCKER_REGISTRY,
        Need::HELM,
        Need::SKOPEO,
    ]);
    let dockerfile = test(
        "the Dockerfile makes the same image",
        dockerfile::makes_the_same_image,
    )
    .needs([Need::Root, Need::BUILDAH]);
    let calls = test(
        "the unit allows the calls of the seccomp profile",
        machine::calls,
    );
    let service = test(
        "systemd runs what is installed",
        machine::runs_what_is_installed,
    )
    .needs([
        Need::Root,
        Need::CURL,
        Need::SYSTEMD_ANALYZE,
        Need::SYSTEMD_NSPAWN,
    ]);
    Suite::of(
        files
            .into_iter()
            .chain([plugin, image, registry, dockerfile, calls, service])
            .map(|test| test.within(WITH_BUILD)),
    )
}

/// In another folder, with other times and modes of the files, another time zone and another mask.
fn the_same_bytes() -> Result<()> {
    let dist = dist()?;
    let sources = Sources::copy()?;
    let there = sources.path().display();
    let script = format!(
        "umask 077; find {there} -type f -exec touch -d 2001-02-03 {{}} + -exec chmod go= {{}} +; \
         exec {there}/deploy/release --out {there}/dist \"$@\""
    );
    let out = Command::new("bash")
        .args(["-c", &script, "release"])
        .args(&dist.binaries)
        .env("SOURCE_DATE_EPOCH", &dist.epoch)
        .env("TZ", "Asia/Kathmandu")
        .env("LC_ALL", "C")
        .output()?;
    ensure!(out.status.success(), "{}", said(&out));
    let again = sources.path().join("dist");
    ensure!(names(&again)? == names(&dist.path())?);
    for name in names(&again)? {
        let same = fs::read(again.join(&name))? == fs::read(dist.path().join(&name))?;
        ensure!(same, "{name} differs");
    }
    Ok(())
}

fn names(folder: &Path) -> Result<BTreeSet<String>> {
    let names = fs::read_dir(folder)?.map(|file| {
        let name = file?.file_name().into_string();
        name.ok().context("a name that is not text")
    });
    names.collect()
}

fn checksums() -> Result<()> {
    let dist = dist()?;
    let sums = fs::read_to_string(dist.path().join("SHA256SUMS"))?;
    let listed: BTreeSet<_> = sums
        .lines()
        .filter_map(|line| Some(line.split_once("  ")?.1.to_owned()))
        .chain(["SHA256SUMS".to_owned()])
        .collect();
    ensure!(listed == names(&dist.path())?, "{listed:?}");
    let checked = Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(dist.path())
        .output()?;
    ensure!(checked.status.success(), "{}", said(&checked));
    Ok(())
}

/// With a tag the section of the version; without one what the next release will say.
fn notes() -> Result<()> {
    let dist = dist()?;
    let sources = Sources::copy()?;
    let changelog = format!(
        "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Of tomorrow.\n\n\
         ## [{VERSION}] - 2026-12-01\n\n### Fixed\n\n- Of today.\n\n\
         ## [0.0.9] - 2026-01-01\n\n- Of yesterday.\n\n[0.0.9]: https://example.org\n"
    );
    sources.write("CHANGELOG.md", &changelog)?;
    let tag = format!("--tag=v{VERSION}");
    for (flags, section) in [
        (&[tag.as_str()][..], "### Fixed\n\n- Of today."),
        (&[], "### Added\n\n- Of tomorrow."),
    ] {
        let out = sources.release(&dist.binaries, flags)?;
        ensure!(out.status.success(), "{}", said(&out));
        let folder = sources.path().join("dist");
        let notes = fs::read_to_string(folder.join("release-notes.md"))?;
        let image = format!("Image: `{IMAGE}@{}`", dist.digest()?);
        ensure!(
            notes == format!("{section}\n\n{image}\n"),
            "{flags:?}: {notes}"
        );
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}
