//! Rules of the API server that its types do not express: which names, labels and ports it accepts, and
//! what may not appear twice. Source: `pkg/apis/core/validation` of Kubernetes.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

pub(crate) fn check(object: &Value) -> Result<()> {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().context("no name")?;
    let longest = if object["kind"] == "Service" { 63 } else { 253 };
    ensure!(is_name(name, true) && name.len() <= longest, "name {name}");
    if let Some(namespace) = metadata.get("namespace") {
        let namespace = namespace.as_str().context("a namespace is a text")?;
        ensure!(
            is_name(namespace, false) && namespace.len() <= 63,
            "namespace {namespace}"
        );
    }
    labels(&metadata["labels"])?;
    keys(&metadata["annotations"])?;
    let template = &object["spec"]["template"];
    if !template.is_null() {
        pod(template)?;
        for (key, value) in fields(&object["spec"]["selector"]["matchLabels"]) {
            ensure!(
                template["metadata"]["labels"][key] == *value,
                "the selector's {key}"
            );
        }
    }
    Ok(())
}

fn pod(template: &Value) -> Result<()> {
    labels(&template["metadata"]["labels"])?;
    keys(&template["metadata"]["annotations"])?;
    let spec = &template["spec"];
    let volumes = distinct(&spec["volumes"], "name")?;
    distinct(&spec["containers"], "name")?;
    for secret in list(&spec["imagePullSecrets"]) {
        ensure!(secret["name"].is_string(), "{secret}");
    }
    for container in list(&spec["containers"]) {
        let image = container["image"].as_str().context("no image")?;
        ensure!(
            !image.contains(char::is_whitespace) && !image.starts_with(['/', ':']),
            "{image}"
        );
        distinct(&container["env"], "name")?;
        distinct(&container["volumeMounts"], "mountPath")?;
        for mount in list(&container["volumeMounts"]) {
            let volume = mount["name"].as_str().context("no name")?;
            ensure!(volumes.contains(volume), "{mount} has no volume");
        }
        for port in list(&container["ports"]) {
            let number = port["containerPort"].as_u64().unwrap_or_default();
            ensure!((1..=65535).contains(&number), "{port}");
        }
    }
    let is_none = spec["dnsPolicy"] == "None";
    ensure!(
        !is_none || spec["dnsConfig"].is_object(),
        "the policy None without nameservers"
    );
    Ok(())
}

/// The entries' keys, which must differ.
fn distinct<'a>(entries: &'a Value, key: &str) -> Result<BTreeSet<&'a str>> {
    let mut seen = BTreeSet::new();
    for entry in list(entries) {
        let name = entry[key]
            .as_str()
            .with_context(|| format!("no {key}: {entry}"))?;
        ensure!(seen.insert(name), "{name} appears twice");
    }
    Ok(seen)
}

fn labels(labels: &Value) -> Result<()> {
    keys(labels)?;
    for (key, value) in fields(labels) {
        let value = value
            .as_str()
            .with_context(|| format!("{key} is no text"))?;
        let ends = |letter: char| letter.is_ascii_alphanumeric();
        let is_inner = |letter: char| ends(letter) || "-_.".contains(letter);
        ensure!(
            value.len() <= 63 && value.chars().all(is_inner),
            "label {key}: {value}"
        );
        ensure!(
            value.is_empty() || (value.starts_with(ends) && value.ends_with(ends)),
            "label {key}: {value}"
        );
    }
    Ok(())
}

fn keys(labels: &Value) -> Result<()> {
    for (key, value) in fields(labels) {
        let (prefix, name) = key.rsplit_once('/').unwrap_or(("a", key));
        ensure!(is_name(prefix, true) && prefix.len() <= 253, "key {key}");
        ensure!((1..=63).contains(&name.len()), "key {key}");
        ensure!(value.is_string(), "{key} is no text");
    }
    Ok(())
}

/// A DNS name: a label, or several with dots between them.
fn is_name(name: &str, dots: bool) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let inner = bytes.iter().all(|byte| is_letter(*byte) || *byte == b'-');
        inner && bytes.first().is_some_and(|byte| is_letter(*byte)) && !label.ends_with('-')
    };
    match dots {
        true => name.split('.').all(is_label),
        false => is_label(name),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}
