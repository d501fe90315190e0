//! `regprobe bundle`: the support bundles of nodes and the ends of their agents' logs, through `kubectl` and the API
//! server, as files in a folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::{
    agents::{AT_ONCE, AgentPod, chosen},
    kubectl::{CallLimits, Kubectl, expect_name},
};
use crate::{
    cli::BundleArgs,
    out::fleet_view::{Answer, Heard},
    printable::printable,
    process::standard_streams::print,
};

/// For each file.
const FILE: CallLimits = CallLimits {
    bytes: 16 << 20,
    time: Duration::from_secs(30),
};
/// Of a log, the last lines.
const LINES: &str = "--tail=2000";

/// Writes the files.
pub(super) async fn bundle(args: &BundleArgs) -> anyhow::Result<ExitCode> {
    let kubectl = &Kubectl::new(args.context.as_deref());
    let (pods, absent) = chosen(kubectl, &args.nodes, args.namespace.as_deref()).await?;
    if pods.is_empty() {
        match args.nodes.is_empty() {
            true => bail!("no pod has the label app.kubernetes.io/name=regprobe"),
            false => bail!("no agent runs on {}", args.nodes.join(", ")),
        }
    }
    let now = || {
        Timestamp::now()
            .strftime("regprobe-%Y%m%d-%H%M%S")
            .to_string()
    };
    let folder = args.out.clone().unwrap_or_else(|| PathBuf::from(now()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut failed = absent.len();
    for Heard { called, answer, .. } in absent {
        if let Answer::Nothing(why) = answer {
            say(&called, &why);
        }
    }
    let folder = &folder;
    let files = stream::iter(pods).map(|pod| async move {
        let node = pod.node().to_owned();
        (node, of_node(kubectl, &pod, folder).await)
    });
    let mut files = files.buffered(AT_ONCE);
    while let Some((node, written)) = files.next().await {
        match written {
            Ok(path) => say(&node, &path.display().to_string()),
            Err(why) => {
                failed += 1;
                say(&node, &format!("{why:#}"));
            }
        }
    }
    Ok(ExitCode::from(if failed == 0 { 0 } else { 2 }))
}

fn say(node: &str, what: &str) {
    print(&format!("{}  {}\n", printable(node), printable(what)));
}

/// Writes the bundle and the log of a node; the log may be missing.
async fn of_node(kubectl: &Kubectl, pod: &AgentPod, folder: &Path) -> anyhow::Result<PathBuf> {
    let node = pod.node();
    expect_name(node, "a node")?;
    let namespace = format!("--namespace={}", pod.namespace);
    let bundle = pod.get(kubectl, "/api/v1/bundle", FILE).await;
    let log = ["logs", &namespace, &pod.name, LINES];
    let log = kubectl.print(&log, FILE).await;
    let log = log.unwrap_or_else(|why| format!("The log cannot be read: {why}\n").into_bytes());
    let path = folder.join(format!("{node}.json"));
    let write = |path: &Path, content: &[u8]| {
        fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
    };
    write(&folder.join(format!("{node}.log")), &log)?;
    write(&path, &bundle.map_err(anyhow::Error::msg)?)?;
    Ok(path)
}
