//! The chart and the agent refuse the same configurations, in the same words: the schema and the templates at
//! once, and the Job by the agent itself before anything is installed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use regprobe_harness::program::REGPROBE;
use serde_json::Value;

use crate::chart::helm::{NAMESPACE, Objects, chart, helm};

/// Who refuses a configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    /// `helm install` itself.
    Helm,
    /// The Job that Helm runs before it.
    Job,
}

/// The configurations; every one of them is refused by the agent.
const REFUSED: &[(By, &str)] = &[
    (By::Helm, "{registries: [{server: contoso}]}"),
    (
        By::Helm,
        "{registries: [{server: a.example}, {server: 'https://A.example:443'}]}",
    ),
    (
        By::Helm,
        "{registries: [{server: a.example, name: x}, {server: b.example, name: x}]}",
    ),
    (
        By::Helm,
        "{registries: [{server: a.example, regions: [westeurope]}]}",
    ),
    (
        By::Helm,
        "{registries: [{server: a.example, private: [10.240.0.0/99]}]}",
    ),
    (
        By::Helm,
        "{registries: [{server: a.example}], nameservers: [{address: 999.1.1.1}]}",
    ),
    (
        By::Helm,
        "{registries: [{server: a.example}], schedule: {timeout: 10m}}",
    ),
    (
        By::Helm,
        "{registries: [{server: a.example}], schedule: {image_interval: 2d}}",
    ),
    (
        By::Helm,
        "{registries: [{server: a.example}], schedule: {network_interval: 2m}}",
    ),
    (By::Job, "{registries: [{server: contoso..azurecr.io}]}"),
    (By::Job, "{registries: [{server: 'a.example:70000'}]}"),
    (
        By::Job,
        "{registries: [{server: a.example, private: [10.240.1.4/16]}]}",
    ),
    (
        By::Job,
        "{registries: [{server: a.example, images: ['a.example/hello:v1']}]}",
    ),
    (
        By::Job,
        "{registries: [{server: a.example}], nameservers: [{address: '10.0.0.10:0'}]}",
    ),
    (
        By::Job,
        "{registries: [{server: a.example}], metrics: {buckets: [1, 0.5]}}",
    ),
    (
        By::Job,
        "{registries: [{server: a.example}], tls: {expiry_warning: 10y}}",
    ),
];

pub(crate) fn refused_alike() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [config, values] = ["config.yaml", "values.yaml"].map(|name| folder.path().join(name));
    for (by, text) in REFUSED {
        fs::write(&config, text)?;
        let words = words(&refusal(&["run", "--config.check"], &config)?)?;
        fs::write(&values, format!("config: {text}\n"))?;
        let said = match by {
            By::Helm => of_helm(&values)?,
            By::Job => of_job(&values, folder.path())?,
        };
        ensure!(
            said.contains(&words),
            "{by:?}, {text}\n  expected: {words}\n  got: {said}"
        );
    }
    Ok(())
}

/// The agent's error about a file.
fn refusal(arguments: &[&str], config: &Path) -> Result<String> {
    let out = Command::new(&*REGPROBE)
        .args(arguments)
        .arg(format!("--config.file={}", config.display()))
        .stdin(Stdio::null())
        .output()?;
    ensure!(!out.status.success(), "the agent accepts it");
    Ok(String::from_utf8_lossy(&out.stderr).into_owned())
}

/// The path of the key and what is wrong with it: not the name of the file, and not the line.
fn words(error: &str) -> Result<String> {
    let (_, after) = error.split_once("config.yaml: ").context("no file")?;
    let line = after.rsplit_once(" (line ").context("no line")?;
    Ok(line.0.to_owned())
}

fn install(values: &Path) -> Result<std::process::Output> {
    let [chart, values] = [&chart(), values].map(|path| path.display().to_string());
    let flags = [
        "--namespace",
        NAMESPACE,
        "--dry-run=client",
        "--values",
        &values,
    ];
    helm(&[&["install", "regprobe", &*chart][..], &flags].concat())
}

fn of_helm(values: &Path) -> Result<String> {
    let out = install(values)?;
    ensure!(!out.status.success(), "Helm accepts it");
    Ok(String::from_utf8_lossy(&out.stderr).into_owned())
}

/// The Job's own arguments with its own file: what its log says.
fn of_job(values: &Path, folder: &Path) -> Result<String> {
    let objects = Objects::of_file(values)?;
    let job = objects.only("Job")?;
    let before = job["metadata"]["annotations"]["helm.sh/hook"].as_str();
    ensure!(before == Some("pre-install,pre-upgrade"), "{job}");
    let pod = &job["spec"]["template"]["spec"];
    let name = &pod["volumes"][0]["configMap"]["name"];
    let mut maps = objects.all("ConfigMap");
    let map = maps.find(|map| map["metadata"]["name"] == *name);
    let map = map.context("the Job's ConfigMap is not rendered")?;
    let weight = map["metadata"]["annotations"]["helm.sh/hook-weight"].as_str();
    ensure!(
        weight == Some("-1"),
        "the ConfigMap must be there before the Job"
    );
    let mounted = folder.join("mounted");
    fs::create_dir_all(&mounted)?;
    let file = mounted.join("config.yaml");
    fs::write(
        &file,
        map["data"]["config.yaml"].as_str().context("no config")?,
    )?;
    let arguments = pod["containers"][0]["args"]
        .as_array()
        .context("no arguments")?;
    let mut arguments: Vec<_> = arguments.iter().filter_map(Value::as_str).collect();
    let at = pod["containers"][0]["volumeMounts"][0]["mountPath"].as_str();
    let there = format!(
        "--config.file={}/config.yaml",
        at.context("nothing is mounted")?
    );
    ensure!(arguments.pop() == Some(&there), "{arguments:?}");
    refusal(&arguments, &file)
}
