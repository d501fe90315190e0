//! The manifests for those without Helm: the chart's defaults, written out.

use std::env;
use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use regprobe_lab::suite;

use crate::helm::{NAMESPACE, Objects, expect_success, manifests, repository};
use crate::kubernetes;

const BASE: &str = "deploy/kustomize/base/regprobe.yaml";
const HEAD: &str = "\
# The defaults of the chart in deploy/helm, written by a test of it:
#   UPDATE_GOLDEN=1 cargo test -p regprobe --test chart kustomize
";

pub(crate) fn base_is_the_chart() -> Result<()> {
    let rendered = manifests(&[])?;
    // Helm has no hand in these.
    let of_helm = [
        "# Source: ",
        "helm.sh/chart: ",
        "app.kubernetes.io/managed-by: ",
    ];
    let lines = rendered.lines().filter(|line| {
        !of_helm
            .iter()
            .any(|start| line.trim_start().starts_with(start))
    });
    let expected: String = lines.map(|line| format!("{line}\n")).collect();
    let expected = format!("{HEAD}{expected}");
    let base = repository(BASE);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&base, &expected)?;
    }
    ensure!(
        fs::read_to_string(&base)? == expected,
        "{BASE} is not what the chart renders; its head says how to write it anew"
    );
    Ok(())
}

pub(crate) fn builds() -> Result<()> {
    let build = |folder: &str| {
        let out = Command::new(suite::tool("layer/kubectl/kubectl"))
            .arg("kustomize")
            .arg(repository(folder))
            .env_clear()
            .output()?;
        Objects::parse(&expect_success(&out)?)
    };
    let base = build("deploy/kustomize/base")?;
    let mut written = Objects::parse(&fs::read_to_string(repository(BASE))?)?.0;
    ensure!(base.0.len() == written.len());
    written.retain(|object| !base.0.contains(object));
    ensure!(written.is_empty(), "changed: {written:?}");

    let example = build("deploy/kustomize/example")?;
    for object in &example.0 {
        kubernetes::check(object)?;
        ensure!(object["metadata"]["namespace"] == NAMESPACE);
    }
    let image = &example.pod()?["containers"][0]["image"];
    ensure!(image == "myregistry.azurecr.io/regprobe:0.1.0", "{image}");
    let config = regprobe::config::Config::parse(example.config()?)?;
    ensure!(config.registries[0].server.to_string() == "contoso.azurecr.io");
    ensure!(config.fleet.nameserver.is_some());
    Ok(())
}
