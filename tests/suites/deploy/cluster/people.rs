//! What people type: the commands of the chart's notes and of the documents, as they are.

use anyhow::{Context, Result, ensure};
use regprobe_lab::servers::cluster::{NODE, until};
use serde_json::{Value, json};

use super::ground::{Ground, PATIENCE, REGISTRY, RELEASE};
use super::story::VALUES;
use crate::release::dist::{IMAGE, VERSION, expect_success};

pub(super) fn commands_work() -> Result<()> {
    let ground = Ground::new(&[])?;
    typed(&ground).with_context(|| ground.logs())
}

fn typed(ground: &Ground) -> Result<()> {
    ground.upgrade(VALUES)?;
    expect_release_of_containerd(ground)?;
    ensure!(follow_notes(ground)? == 5);
    sees_later_mounts(ground)?;
    may_not_read_all(ground)?;
    check_in_debug_pod(ground)?;
    ground.upgrade(&format!("web: {{address: 127.0.0.1}}\n{VALUES}"))?;
    ensure!(follow_notes(ground)? == 3);
    on_read_only_node(ground)
}

/// What is mounted on the node while the agent runs is seen by the agent.
fn sees_later_mounts(ground: &Ground) -> Result<()> {
    let expect = |findings: Value| {
        let registry = ground.status()?["registries"][0].take();
        let codes = registry["findings"].as_array().into_iter().flatten();
        let codes: Vec<_> = codes.map(|finding| &finding["code"]).collect();
        ensure!(json!(codes) == findings, "{registry:#}");
        Ok(())
    };
    until("nothing is wrong", PATIENCE, || expect(json!([])))?;
    let certs_d = "/etc/containerd/certs.d";
    shell(
        ground,
        &format!(
            "mount -t tmpfs none {certs_d} && mkdir {certs_d}/{REGISTRY}\n\
             echo 'server = [' >{certs_d}/{REGISTRY}/hosts.toml"
        ),
    )?;
    until("the file is read", PATIENCE, || {
        expect(json!(["NodeConfigInvalid"]))
    })?;
    shell(ground, &format!("umount --lazy {certs_d}"))?;
    until("the file is gone", PATIENCE, || expect(json!([])))
}

/// containerd runs as root and reads what the agent may not: that is no finding about pulls.
fn may_not_read_all(ground: &Ground) -> Result<()> {
    let folder = format!("/etc/containerd/certs.d/{REGISTRY}");
    let file = format!("{folder}/hosts.toml");
    let text = format!("server = \"https://{REGISTRY}\"");
    shell(ground, &format!("mkdir {folder} && echo '{text}' >{file}"))?;
    for (path, for_root, for_all) in [
        ("/etc/containerd", "700", "755"),
        (&folder, "700", "755"),
        (&file, "600", "644"),
    ] {
        shell(ground, &format!("chmod {for_root} {path}"))?;
        until("the agent says what it may not read", PATIENCE, || {
            let registry = ground.status()?["registries"][0].take();
            ensure!(registry["verdict"] == "unknown", "{path}: {registry:#}");
            let unseen = registry["unseen"].to_string();
            ensure!(
                unseen.contains("this agent may not read"),
                "{path}: {unseen}"
            );
            let critical = registry.to_string().contains("\"critical\"");
            ensure!(!critical, "{path}: {registry:#}");
            Ok(())
        })?;
        shell(ground, &format!("chmod {for_all} {path}"))?;
        until("it reads it again", PATIENCE, || {
            let registry = ground.status()?["registries"][0].take();
            ensure!(registry["verdict"] == "ok", "{path}: {registry:#}");
            Ok(())
        })?;
    }
    shell(ground, &format!("rm -r {folder}")).map(drop)
}

/// A directory that a node lacks and cannot create stops the agent, as docs/operations.md says; its parent does not.
fn on_read_only_node(ground: &Ground) -> Result<()> {
    shell(
        ground,
        "mkdir /var/sealed && mount --bind /var/sealed /var/sealed && mount -o remount,bind,ro /var/sealed",
    )?;
    let with = |directory: &str| format!("hostDirectories: [/etc, {directory}]\n{VALUES}");
    ground.upgrade_without_waiting(&with("/var/sealed/absent"))?;
    until("the agent does not start", PATIENCE, || {
        let agent = ground.agent()?;
        let waiting = &agent["status"]["containerStatuses"][0]["state"]["waiting"];
        ensure!(waiting["reason"] == "CreateContainerError", "{waiting}");
        let message = waiting["message"].as_str().context("no message")?;
        ensure!(message.contains("failed to mkdir"), "{message}");
        Ok(())
    })?;
    ground.upgrade(&with("/var/sealed")).map(drop)
}

fn shell(ground: &Ground, command: &str) -> Result<String> {
    let mut shell = ground.cluster.command("bash");
    expect_success(&shell.args(["-euo", "pipefail", "-c", command]).output()?)
}

/// Runs every command of the notes, and opens every page; says how many there were.
fn follow_notes(ground: &Ground) -> Result<usize> {
    let notes = ground.helm(&["get", "notes", RELEASE, "--namespace", RELEASE])?;
    let agent = ground.agent()?;
    let pod = agent["metadata"]["name"].as_str().context("no name")?;
    let lines = notes.lines().filter_map(|line| line.strip_prefix("  "));
    let typed = lines.filter(|line| line.contains(' ') || line.contains("://"));
    let mut count = 0;
    for line in typed.map(|line| line.replace("<pod>", pod)) {
        let command = match line.strip_prefix("http://127.0.0.1:8001") {
            Some(_) => in_browser(&line),
            None => line.clone(),
        };
        let said = shell(ground, &command).with_context(|| line.clone())?;
        ensure!(!said.trim().is_empty(), "{line} prints nothing");
        println!("$ {line}\n{}\n", said.chars().take(300).collect::<String>());
        count += 1;
    }
    Ok(count)
}

/// While `kubectl proxy` runs, as the notes say.
fn in_browser(page: &str) -> String {
    format!(
        "kubectl proxy >/dev/null & proxy=$!; trap 'kill $proxy' EXIT\n\
         curl --silent --show-error --fail --retry 30 --retry-delay 1 --retry-connrefused '{page}'"
    )
}

/// A debug pod has the node's network and its files, among them the authority that issued the registry's certificate.
fn check_in_debug_pod(ground: &Ground) -> Result<()> {
    let image = format!("--image={IMAGE}:{VERSION}");
    let node = format!("node/{NODE}");
    let debug = ["debug", &node, &image, "--", "regprobe", "check"];
    let flags = [REGISTRY, "--private", "--region=westeurope"];
    let created = ground.cluster.kubectl(debug.into_iter().chain(flags))?;
    let mut words = created.split_whitespace();
    let pod = words.find(|word| word.starts_with("node-debugger-"));
    let pod = pod.with_context(|| created.clone())?;
    // With `-it` a terminal shows it, unless the command was faster than the terminal.
    let said = until("the debug pod has checked", PATIENCE, || {
        let said = ground.cluster.kubectl(["logs", pod])?;
        ensure!(said.contains("1 registry: 1 ok"), "{said}");
        Ok(said)
    })?;
    println!("$ kubectl debug {node} … -- regprobe check {REGISTRY}\n{said}");
    ensure!(said.contains("198.18.0.53"), "not the node's nameserver");
    Ok(())
}

/// By the node's program, which the chart shows to the agent.
fn expect_release_of_containerd(ground: &Ground) -> Result<()> {
    let mut version = ground.cluster.command("/usr/bin/containerd");
    let version = expect_success(&version.arg("--version").output()?)?;
    let version = version.split_whitespace().nth(2).context("no version")?;
    let line = format!(
        "containerd of this node\" release={}",
        version.trim_start_matches('v')
    );
    let log = ["logs", "--namespace", RELEASE, "daemonset/regprobe"];
    let log = ground.cluster.kubectl(log)?;
    ensure!(log.contains(&line), "{line} is not in\n{log}");
    Ok(())
}
