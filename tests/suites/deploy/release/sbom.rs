//! The SBOM beside the list that the binary carries, which is read here by other means than the script's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use flate2::read::ZlibDecoder;
use serde_json::Value;

use super::dist::{VERSION, dist, said};

pub(super) fn is_the_binary_s() -> Result<()> {
    let dist = dist()?;
    let folder = tempfile::tempdir()?;
    let section = folder.path().join("section");
    let dumped = Command::new("objcopy")
        .arg(format!("--dump-section=.dep-v0={}", section.display()))
        .args([&dist.binaries[0], &folder.path().join("binary")])
        .output()?;
    ensure!(dumped.status.success(), "{}", said(&dumped));
    let mut list = String::new();
    ZlibDecoder::new(&*fs::read(section)?).read_to_string(&mut list)?;
    let list: Value = serde_json::from_str(&list)?;
    let crates = list["packages"].as_array().context("no packages")?;
    let name = |of: &Value| format!("pkg:cargo/{}@{}", text(&of["name"]), text(&of["version"]));

    let file = dist.file(&format!("regprobe-{VERSION}-linux-amd64.cdx.json"));
    let bom: Value = serde_json::from_slice(&fs::read(file)?)?;
    let described = &bom["metadata"]["component"];
    ensure!(
        described["bom-ref"] == format!("pkg:cargo/regprobe@{VERSION}"),
        "{described}"
    );
    let components = bom["components"].as_array().context("no components")?;
    let scopes: BTreeMap<_, _> = components
        .iter()
        .map(|component| {
            (
                text(&component["purl"]).to_owned(),
                text(&component["scope"]),
            )
        })
        .collect();
    let expected: BTreeMap<_, _> = crates
        .iter()
        .filter(|listed| listed["root"] != true)
        .map(|listed| {
            // Build scripts and macros are not in the binary.
            let built_with = listed["kind"] == "build";
            (
                name(listed),
                if built_with { "excluded" } else { "required" },
            )
        })
        .collect();
    ensure!(scopes == expected, "{scopes:?} and {expected:?}");
    ensure!(
        scopes.values().any(|scope| *scope == "excluded"),
        "{scopes:?}"
    );
    for known in ["rustls", "aws-lc-sys", "regprobe-probes"] {
        let known = format!("pkg:cargo/{known}@");
        ensure!(
            scopes.keys().any(|name| name.starts_with(&known)),
            "no {known}"
        );
    }

    let edges = |of: &Value| -> BTreeSet<String> {
        let others = of.as_array().into_iter().flatten();
        others.map(|other| text(other).to_owned()).collect()
    };
    let graph: BTreeMap<_, _> = bom["dependencies"]
        .as_array()
        .context("no dependencies")?
        .iter()
        .map(|entry| (text(&entry["ref"]).to_owned(), edges(&entry["dependsOn"])))
        .collect();
    ensure!(graph.len() == crates.len());
    for listed in crates {
        let indexes = listed["dependencies"].as_array().into_iter().flatten();
        let others =
            indexes.filter_map(|index| Some(name(&crates[usize::try_from(index.as_u64()?).ok()?])));
        let others: BTreeSet<_> = others.collect();
        ensure!(
            graph[&name(listed)] == others,
            "of {listed}: {:?}",
            graph[&name(listed)]
        );
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
