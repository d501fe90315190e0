//! What GitOps tools make of the chart: Argo CD renders it by `helm template`, Flux and others pass the
//! result through kustomize. The same values give the same bytes, so that nothing is applied again and
//! again.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use regprobe_harness::need;

use super::helm::{ci_files, expect_success, manifests};

pub(crate) fn same_bytes() -> Result<()> {
    for values in ci_files()? {
        let flag = format!("--values={}", values.display());
        let render = || -> Result<_> {
            let of_argo_cd = manifests(&[&flag, "--include-crds", "--api-versions=v1"])?;
            let of_flux = kustomized(&of_argo_cd)?;
            Ok((of_argo_cd, of_flux))
        };
        let twice = (render()?, render()?);
        ensure!(twice.0 == twice.1, "{} differs", values.display());
    }
    Ok(())
}

/// The manifests after a kustomization that changes their namespace.
fn kustomized(manifests: &str) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let write = |name: &str, text: &str| fs::write(Path::join(folder.path(), name), text);
    write("all.yaml", manifests)?;
    write(
        "kustomization.yaml",
        "namespace: monitoring\nresources: [all.yaml]\n",
    )?;
    let out = Command::new(need::tool("layer/kubectl/kubectl"))
        .arg("kustomize")
        .arg(folder.path())
        .env_clear()
        .output()?;
    expect_success(&out).context("kustomize")
}
