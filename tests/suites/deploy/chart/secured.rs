//! A pod whose listener has TLS and a password: kubelet's probes work, and other requests need the password.

use anyhow::{Context, Result, ensure};
use regprobe_lab::pki::Pki;

use super::node::pod;
use super::pod::{Node, Running};

/// The same as in the values.
const LOGIN: &str = "prometheus:change-me";

pub(crate) fn by_tls_and_password() -> Result<()> {
    let pki = Pki::new()?;
    let node = Node::new("10.240.0.4")?;
    node.write("/etc/ssl/certs/ca-certificates.crt", &pki.ca_pem())?;
    let pod = pod("secured-values.yaml")?;
    let identity = pki.leaf(["regprobe"]).issue()?;
    pod.secret("regprobe-tls", "tls.crt", identity.chain_pem())?;
    pod.secret("regprobe-tls", "tls.key", identity.key_pem())?;
    let container = &pod.objects.pod()?["containers"][0];
    let mut running = pod.start(&node)?;
    for probe in ["livenessProbe", "readinessProbe"] {
        let action = &container[probe]["httpGet"];
        ensure!(action["scheme"] == "HTTPS", "{action}");
        let path = action["path"].as_str().context("no path")?;
        running.until(probe, |pod| answers(&node, pod, path, &[], "200"))?;
    }
    let running = &running;
    answers(&node, running, "/metrics", &[], "401")?;
    answers(&node, running, "/metrics", &["--user", LOGIN], "200")
}

/// Kubelet does not verify certificates.
fn answers(
    node: &Node,
    pod: &Running<'_>,
    path: &str,
    more: &[&str],
    expected: &str,
) -> Result<()> {
    let out = node
        .network
        .command("/usr/bin/curl")
        .args(["--silent", "--insecure", "--max-time", "20"])
        .args(["--output", "/dev/null", "--write-out", "%{http_code}"])
        .args(more)
        .arg(format!("https://{}{path}", pod.address()?))
        .output()?;
    let status = String::from_utf8(out.stdout)?;
    ensure!(status == expected, "{path} {more:?}: {status}");
    Ok(())
}
