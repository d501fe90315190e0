//! ARCHITECTURE.md gives a reason for every crate that a manifest names, and for no other.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::Result;
use regprobe_harness::program::repository;
use regprobe_harness::suite::{Suite, test};
use serde::Deserialize;

const SHIPPED: [&str; 2] = ["regprobe", "regprobe-probes"];

pub(crate) fn suite() -> Suite {
    Suite::of([test(
        "every dependency has its reason in ARCHITECTURE.md",
        every_dependency_has_its_reason,
    )])
}

fn every_dependency_has_its_reason() -> Result<()> {
    let (mut shipped, mut others) = (BTreeSet::new(), BTreeSet::new());
    for manifest in ["Cargo.toml", "tests/fuzz/Cargo.toml"] {
        for package in packages(manifest)? {
            let is_shipped = SHIPPED.contains(&&*package.name);
            for dependency in package.dependencies {
                match dependency {
                    Dependency { path: Some(_), .. } => false,
                    Dependency {
                        name, kind: None, ..
                    } if is_shipped => shipped.insert(name),
                    Dependency { name, .. } => others.insert(name),
                };
            }
        }
    }
    assert_eq!(table("in the binary")?, shipped);
    let only_in_tests: BTreeSet<_> = others.difference(&shipped).cloned().collect();
    assert_eq!(table("in tests and benchmarks alone")?, only_in_tests);
    Ok(())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// None: a dependency of the package itself, not of its tests.
    kind: Option<String>,
    /// Set for our own packages.
    path: Option<String>,
}

/// The packages in the workspace of a manifest.
fn packages(manifest: &str) -> Result<Vec<Package>> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .arg("--manifest-path")
        .arg(repository(manifest))
        .output()?;
    let metadata: Metadata = serde_json::from_slice(&out.stdout)?;
    Ok(metadata.packages)
}

/// The crates in the first column of the table with this heading.
fn table(head: &str) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(repository("ARCHITECTURE.md"))?;
    let head = format!("| {head} |");
    let rows = text.lines().skip_while(|line| !line.starts_with(&head));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let crates = rows.flat_map(|row| row.split('|').nth(1).unwrap_or_default().split(','));
    let names = crates.map(|name| name.trim().trim_matches('`').to_owned());
    Ok(names.collect())
}
