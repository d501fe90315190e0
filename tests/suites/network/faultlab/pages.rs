//! What the runbooks and the agent say that containerd prints, compared with what it printed.

use anyhow::{Result, ensure};
use regprobe_harness::quotes;
use regprobe_lab::scenario::{Does, Scenario};
use regprobe_lab::servers::Pull;
use serde_json::Value;

/// If containerd failed, the page of at least one of the findings has a text that it printed.
pub(super) fn quote(scenario: &Scenario, pull: &Pull) -> Result<()> {
    let client = &scenario.containerd;
    if client.does != Does::Fails || !client.quoted || scenario.loud.is_empty() {
        return Ok(());
    }
    let mut quoted = Vec::new();
    for code in &scenario.loud {
        quoted.extend(quotes::of_page(code)?);
    }
    ensure!(
        quoted.iter().any(|text| quotes::occurs(text, &pull.said)),
        "containerd prints none of {quoted:?}, which the runbooks say"
    );
    Ok(())
}

/// What the agent says that containerd prints, if containerd printed none of it.
pub(super) fn judge_client_error(registry: &Value, pull: &Pull) -> Option<String> {
    let findings = registry["findings"].as_array()?.iter();
    let critical = findings.filter(|finding| finding["severity"] == "critical");
    let told: Vec<_> = critical
        .filter_map(|finding| finding["client_error"].as_str())
        .flat_map(of_each_pull)
        .collect();
    let said = of_any_blob(&pull.said);
    // No probe knows the port that the client sends from.
    let text = |told: &&str| of_any_blob(told).replace('*', "…");
    let is_printed = told.iter().any(|told| quotes::occurs(&text(told), &said));
    (!told.is_empty() && !is_printed)
        .then(|| format!("containerd prints none of {told:?}, which the agent says"))
}

/// The kubelet joins the errors of its pulls, one with each credential.
fn of_each_pull(told: &str) -> Vec<&str> {
    match told
        .strip_prefix('[')
        .and_then(|told| told.strip_suffix(']'))
    {
        Some(joined) => joined.split(", failed to resolve ").collect(),
        None => vec![told],
    }
}

/// Configuration and layers are fetched at the same time, so it is chance which of them an error names.
fn of_any_blob(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("sha256") {
        shown.push_str(before);
        shown.push_str("sha256:DIGEST");
        let digest = after.trim_start_matches(':');
        rest = digest.trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == '/');
    }
    shown.push_str(rest);
    let shown = shown.replace("image.layer.v1.tar+gzip", "image.config.v1+json");
    let lengths = [
        "short read: expected ",
        "failed size validation: ",
        "read past expected size ",
        "unexpected commit digest ",
    ];
    let length = lengths.iter().find_map(|length| {
        let (before, _) = shown.split_once(length)?;
        Some(format!("{before}{length}"))
    });
    length.unwrap_or(shown)
}
