//! The chart in the real helm, and the objects that it renders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use regprobe_harness::need;
use regprobe_harness::program::repository;
use serde::Deserialize;
use serde_json::Value;

/// The namespace of all rendered objects.
pub(crate) const NAMESPACE: &str = "kube-system";

pub(crate) fn chart() -> PathBuf {
    repository("deploy/helm/regprobe")
}

/// The values files, each for a way to install it.
pub(crate) fn ci_files() -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(chart().join("ci"))?;
    let mut files: Vec<_> = files
        .map(|file| Ok(file?.path()))
        .collect::<Result<Vec<_>>>()?;
    files.sort();
    ensure!(files.len() >= 6, "only {files:?} are there");
    Ok(files)
}

/// `helm` without the user's settings.
pub(crate) fn helm(arguments: &[&str]) -> Result<Output> {
    let home = tempfile::tempdir()?;
    let out = Command::new(need::tool("layer/helm/helm"))
        .args(arguments)
        .env_clear()
        .env("HOME", home.path())
        .output()?;
    Ok(out)
}

/// The output of `helm`, which must succeed.
pub(crate) fn expect_success(out: &Output) -> Result<String> {
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{}: {said}{complaints}", out.status);
    Ok(said)
}

/// The manifests as text.
pub(crate) fn manifests(flags: &[&str]) -> Result<String> {
    let chart = chart().display().to_string();
    let command = ["template", "regprobe", &chart, "--namespace", NAMESPACE];
    expect_success(&helm(&[&command, flags].concat())?)
}

/// The objects of a set of manifests.
pub(crate) struct Objects(pub(crate) Vec<Value>);

impl Objects {
    /// Renders the chart with these flags.
    pub(crate) fn rendered(flags: &[&str]) -> Result<Self> {
        Self::parse(&manifests(flags)?)
    }

    /// Renders it with one of the values files.
    pub(crate) fn of_file(values: &Path) -> Result<Self> {
        let values = values.display().to_string();
        Self::rendered(&["--values", &values]).with_context(|| format!("with {values}"))
    }

    pub(crate) fn parse(manifests: &str) -> Result<Self> {
        let documents = serde_yaml::Deserializer::from_str(manifests);
        // By way of a type that refuses the same key twice, as kustomize does.
        let mut objects = documents
            .map(|document| {
                Ok(serde_json::to_value(serde_yaml::Value::deserialize(
                    document,
                )?)?)
            })
            .collect::<Result<Vec<_>>>()?;
        objects.retain(|object| !object.is_null());
        Ok(Self(objects))
    }

    /// All of one kind.
    pub(crate) fn all(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    /// The only one of its kind.
    pub(crate) fn only(&self, kind: &str) -> Result<&Value> {
        let all: Vec<_> = self.all(kind).collect();
        ensure!(all.len() == 1, "{} objects of kind {kind}", all.len());
        Ok(all[0])
    }

    /// The DaemonSet's pod template.
    pub(crate) fn pod(&self) -> Result<&Value> {
        Ok(&self.only("DaemonSet")?["spec"]["template"]["spec"])
    }

    /// The agent's configuration.
    pub(crate) fn config(&self) -> Result<&str> {
        let name = &self.only("DaemonSet")?["metadata"]["name"];
        let config_map = self
            .all("ConfigMap")
            .find(|object| object["metadata"]["name"] == *name)
            .context("no ConfigMap of the DaemonSet's name")?;
        let config = config_map["data"]["config.yaml"].as_str();
        config.context("no config.yaml in the ConfigMap")
    }
}
