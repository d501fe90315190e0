//! What the runbooks call `az`, `kubectl` and `helm` with, and whether the real ones take it. A shell works
//! out the arguments: it runs each block with these three replaced and without any other program.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use regprobe_harness::need::tool;
use regprobe_harness::program::repository;
use tempfile::TempDir;

use super::changes;
use super::page::pages;
use super::shell;
use super::write;

/// Records the arguments of the three tools, each ended by a zero byte, each call by a line feed.
const REPLACED: &str = r#"
PATH=/nonexistent
command_not_found_handle() { :; }
record() { printf '%s\0' "$@" >>"$RECORD"; printf '\n\0' >>"$RECORD"; }
az() { record az "$@"; echo /subscriptions/s/resourceGroups/g/providers/Microsoft.X/ys/z; }
kubectl() { record kubectl "$@"; echo pod/x; }
helm() { record helm "$@"; echo x; }
"#;
const TOOLS: [&str; 3] = ["az", "kubectl", "helm"];

/// A cluster that refuses connections: who reaches it has accepted the arguments.
const NO_CLUSTER: &str = "\
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: nobody, user: {token: none}}]
contexts: [{name: none, context: {cluster: none, user: nobody}}]
current-context: none
";

pub(super) fn azure_cli_knows_them() -> Result<()> {
    let folder = TempDir::new()?;
    let calls = calls("az", folder.path())?;
    let arguments: Vec<_> = calls.keys().map(|call| &call[1..]).collect();
    let mut python = Command::new(tool("python/bin/python3"))
        .arg(repository("tests/tools/az_parse.py"))
        // Compiling the CLI takes longer than all of these commands.
        .env_remove("PYTHONDONTWRITEBYTECODE")
        // The files that arguments name are here.
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = python.stdin.take().context("no stdin")?;
    stdin.write_all(&serde_json::to_vec(&arguments)?)?;
    drop(stdin);
    let output = python.wait_with_output()?;
    ensure!(output.status.success(), "{}", output.status);
    let errors: Vec<Option<String>> = serde_json::from_slice(&output.stdout)?;
    ensure!(errors.len() == calls.len(), "{} results", errors.len());
    let refused: Vec<_> = calls
        .iter()
        .zip(errors)
        .filter_map(|((call, place), error)| {
            Some(format!("{place}: {}: {}", call.join(" "), error?))
        })
        .collect();
    ensure!(refused.is_empty(), "{}", refused.join("\n"));
    Ok(())
}

pub(super) fn kubernetes_tools_know_them() -> Result<()> {
    let folder = TempDir::new()?;
    write(folder.path(), "no-cluster", NO_CLUSTER)?;
    let binaries = [
        ("kubectl", "layer/kubectl/kubectl"),
        ("helm", "layer/helm/helm"),
    ];
    let mut refused = Vec::new();
    for (name, binary) in binaries {
        for (call, place) in calls(name, folder.path())? {
            let output = Command::new(tool(binary))
                .args(&call[1..])
                .env("KUBECONFIG", folder.path().join("no-cluster"))
                .env("HOME", folder.path())
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .output()?;
            let error = String::from_utf8_lossy(&output.stderr);
            let is_help = call.ends_with(&["--help".to_owned()]) && output.status.success();
            if !is_help && !error.contains("127.0.0.1:1") {
                refused.push(format!("{place}: {}: {error}", call.join(" ")));
            }
        }
    }
    ensure!(refused.is_empty(), "{}", refused.join("\n"));
    Ok(())
}

/// Each distinct call of `name`, and where it is: those of blocks as a shell makes them, and those within
/// the text. Without options, the text only mentions a command: its help must exist.
fn calls(name: &str, folder: &Path) -> Result<BTreeMap<Vec<String>, String>> {
    let is_wanted = |words: &Vec<String>| words[0] == name;
    let (mut all, mut mentioned) = (BTreeMap::new(), Vec::new());
    for page in pages()? {
        let blocks = page.scripts();
        let mut scripts: Vec<_> = blocks
            .map(|block| (block.text.clone(), &block.place))
            .collect();
        for (span, _) in &page.spans {
            if !span.starts_with(&format!("{name} ")) {
            } else if span.contains(" -") {
                // Its variables are those of the block below it.
                scripts.push((span.replace('$', ""), &page.name));
            } else {
                mentioned.push((span.clone(), page.name.clone()));
            }
        }
        for (script, place) in scripts {
            let written = shell::commands(&script);
            let written = written.iter().filter(|words| is_wanted(words)).count();
            if written == 0 {
                continue;
            }
            let made = record(&script, folder).with_context(|| place.clone())?;
            let made: Vec<_> = made.into_iter().filter(is_wanted).collect();
            ensure!(
                made.len() >= written,
                "{place}: of {written} calls, the shell made {made:?}"
            );
            all.extend(made.into_iter().map(|call| (call, place.clone())));
        }
    }
    for (command, place) in mentioned {
        let mut words: Vec<_> = command.split(' ').map(str::to_owned).collect();
        if !all.keys().any(|call| call.starts_with(&words)) {
            words.push("--help".to_owned());
            all.insert(words, place);
        }
    }
    ensure!(!all.is_empty(), "no call of {name}");
    Ok(all)
}

/// The calls that a script makes of the three tools.
fn record(script: &str, folder: &Path) -> Result<Vec<Vec<String>>> {
    ensure!(
        changes::writes(script).is_none(),
        "a script with one of {TOOLS:?} writes a file outside of the current folder"
    );
    let record = folder.join("record");
    fs::write(&record, "")?;
    let output = Command::new("bash")
        .args(["--norc", "-c", &format!("{REPLACED}{script}")])
        .env_clear()
        .env("RECORD", &record)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()?;
    let recorded = fs::read_to_string(record)?;
    let calls = recorded.split_terminator("\n\0").map(|call| {
        let words = call.split_terminator('\0');
        words.map(str::to_owned).collect()
    });
    ensure!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(calls.collect())
}
