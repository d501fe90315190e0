//! The chart's copies of the repository's rules, alerts and dashboards. Helm cannot read files outside a
//! chart, so a test keeps the copies the same.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use regprobe_harness::program::repository;
use serde_json::Value;

use super::helm::{Objects, chart, expect_success, helm};

/// The source folder, the names of the files, and their folder in the chart.
const SHARED: [(&str, &[&str], &str); 2] = [
    (
        "deploy/prometheus",
        &["rules.yaml", "alerts.yaml"],
        "files/rules",
    ),
    (
        "deploy/grafana",
        &["regprobe-fleet.json", "regprobe-node.json"],
        "files/dashboards",
    ),
];

/// Each file of the repository, and its path in the chart.
fn shared() -> impl Iterator<Item = (PathBuf, String)> {
    SHARED.into_iter().flat_map(|(from, names, to)| {
        let pair = move |name: &&str| (repository(from).join(name), format!("{to}/{name}"));
        names.iter().map(pair)
    })
}

pub(crate) fn are_those_of_the_repository() -> Result<()> {
    for (original, copy) in shared() {
        let text = fs::read_to_string(&original)?;
        let copy = chart().join(copy);
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&copy, &text)?;
        }
        ensure!(
            fs::read_to_string(&copy)? == text,
            "{} is not as in the repository: UPDATE_GOLDEN=1 cargo test -p regprobe --test deploy \
             repository copies it",
            copy.display()
        );
    }
    let objects = Objects::of_file(&chart().join("ci/prometheus-operator-values.yaml"))?;
    let rules = &objects.only("PrometheusRule")?["spec"]["groups"];
    for (original, copy) in shared() {
        let text = fs::read_to_string(&original)?;
        let missing = || format!("{copy} is not rendered");
        if copy.ends_with(".yaml") {
            let file: Value = serde_yaml::from_str(&text)?;
            for group in file["groups"].as_array().with_context(missing)? {
                let mut rendered = rules.as_array().into_iter().flatten();
                ensure!(
                    rendered.any(|other| other == group),
                    "{}: {}",
                    group["name"],
                    missing()
                );
            }
        } else {
            let name = original.file_name().context("a file has a name")?;
            let name = &*name.to_string_lossy();
            let mut maps = objects.all("ConfigMap");
            let rendered = maps.find_map(|map| map["data"][name].as_str());
            let rendered: Value = serde_json::from_str(rendered.with_context(missing)?)?;
            let there: Value = serde_json::from_str(&text)?;
            ensure!(rendered == there, "{}", missing());
        }
    }
    Ok(())
}

/// The package has exactly the files that the chart needs, and the repository has no other rule or
/// dashboard.
pub(crate) fn package() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [chart, into] = [&*chart(), folder.path()].map(|path| path.display().to_string());
    expect_success(&helm(&["package", &chart, "--destination", &into])?)?;
    let version = env!("CARGO_PKG_VERSION");
    let package = folder.path().join(format!("regprobe-{version}.tgz"));
    let listed = Command::new("tar").arg("-tzf").arg(&package).output()?;
    let listed = expect_success(&listed)?;
    let packed: BTreeSet<_> = listed.lines().collect();
    for (_, copy) in shared() {
        ensure!(packed.contains(&*format!("regprobe/{copy}")), "no {copy}");
    }
    ensure!(
        !packed.iter().any(|file| file.contains("/ci/")),
        "{packed:?}"
    );
    for (folder, names, _) in SHARED {
        let extension = names[0].rsplit('.').next();
        for file in fs::read_dir(repository(folder))? {
            let name = file?.file_name();
            let name = name.to_string_lossy();
            // The route is for Alertmanager, which no object of the chart configures.
            let is_shared = name.rsplit('.').next() == extension && name != "alertmanager.yaml";
            ensure!(
                !is_shared || names.contains(&&*name),
                "{folder}/{name} is not in the chart"
            );
        }
    }
    Ok(())
}
