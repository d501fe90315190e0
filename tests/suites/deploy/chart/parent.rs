//! The chart as a dependency of another, which switches it on and sets values for all its charts.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Result, ensure};
use serde_json::json;

use super::helm::{Objects, chart, expect_success, helm};

pub(crate) fn switches_and_shares() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text);
    write(
        "Chart.yaml",
        &format!(
            "{{apiVersion: v2, name: parent, version: 1.0.0, dependencies: [\
             {{name: regprobe, version: {}, condition: regprobe.enabled}}]}}",
            env!("CARGO_PKG_VERSION")
        ),
    )?;
    fs::create_dir(folder.path().join("charts"))?;
    symlink(chart(), folder.path().join("charts/regprobe"))?;
    let render = |enabled: bool| {
        let values = json!({
            "regprobe": {"enabled": enabled},
            "global": {"imageRegistry": "mirror.example", "imagePullSecrets": ["pull"], "other": 1},
        });
        write("values.yaml", &values.to_string())?;
        let folder = folder.path().display().to_string();
        let out = helm(&["template", "all", &folder])?;
        Objects::parse(&expect_success(&out)?)
    };
    let objects = render(true)?;
    let pod = objects.pod()?;
    let image = &pod["containers"][0]["image"];
    ensure!(
        image
            .as_str()
            .is_some_and(|image| image.starts_with("mirror.example/")),
        "{image}"
    );
    ensure!(
        pod["imagePullSecrets"] == json!([{"name": "pull"}]),
        "{pod}"
    );
    ensure!(render(false)?.0.is_empty(), "it is not switched off");
    Ok(())
}
