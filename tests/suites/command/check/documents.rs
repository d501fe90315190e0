//! `--output=json` in every condition of a node and its registries: each document matches the schema and
//! has no other fields, and together they have every field of the schema.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::contoso::{Contoso, LOGIN};
use regprobe_harness::node::{Node, Report};
use regprobe_harness::output::json::items;
use regprobe_harness::output::schema;
use regprobe_lab::addresses::loopback;
use regprobe_lab::fakes::acr::{Acr, Answer, Route};
use regprobe_lab::fakes::proxy::Proxy;
use regprobe_lab::image::Image;
use serde_json::Value;

use super::leading_to;

pub(crate) fn all() -> Result<()> {
    let mut seen = Vec::new();
    for (name, status, document) in [
        ("ok", 0, ok as fn() -> Result<Report>),
        ("degraded", 0, degraded),
        ("failing", 1, failing),
        ("throttled", 1, throttled),
        ("images", 0, images),
        ("a download", 0, download),
        ("a mirror", 0, mirror),
        ("a proxy", 0, proxy),
        ("a proxy that cannot be used", 1, unusable_proxy),
        ("an authority that cannot be read", 1, unreadable_authority),
        ("a pinned name", 0, pinned),
        ("no nameserver", 1, no_nameserver),
        ("a fault of this node's own", 2, local_fault),
    ] {
        // Reading it checks it against the schema.
        let report = document().with_context(|| format!("with {name}"))?;
        ensure!(report.status == Some(status), "with {name}: {report:?}");
        ensure!(report.document["node"] == "lab-node", "with {name}");
        seen.push(report.document);
    }
    // Only a running agent has these.
    let elsewhere = [
        "config.loaded_at",
        "config.reload_error",
        "document.config",
        "stage.earlier",
    ];
    let unseen = schema::unseen(&seen)?;
    ensure!(
        unseen.iter().eq(&elsewhere),
        "{unseen:?}: {}",
        Value::from(seen)
    );
    Ok(())
}

fn ok() -> Result<Report> {
    Contoso::new()?.check()
}

/// The second nameserver is one of the configuration, and does not answer.
fn degraded() -> Result<Report> {
    let contoso = Contoso::new()?;
    let alias = "alias.azurecr.io";
    contoso.dns.alias(alias, LOGIN, 60);
    let port = contoso.acr.addr().port();
    let entry = format!("{{server: \"{alias}:{port}\"}}");
    let config = contoso.node.configure(&[entry, good(&contoso)])?;
    let named = "nameservers: [{name: azure, address: 127.255.255.254}]\n";
    fs::write(&config, fs::read_to_string(&config)? + named)?;
    // Nobody needs the certificate to be of this name but the first one.
    let identity = contoso.pki.leaf([LOGIN, alias]).issue()?;
    contoso.acr.present(LOGIN, &identity)?;
    let mut check = contoso.node.regprobe(["check", "--output=json"]);
    let out = check.arg("--config.file").arg(config).output()?;
    let report = Report::of(&out)?;
    ensure!(report.verdict() == "degraded", "{report:?}");
    Ok(report)
}

fn failing() -> Result<Report> {
    let contoso = Contoso::new()?;
    let mut check = contoso.node.regprobe(["check", "--output=json"]);
    check.args(["nobody.azurecr.io", &contoso.acr.server()]);
    Report::of(&check.args(leading_to(&contoso)).output()?)
}

fn throttled() -> Result<Report> {
    let contoso = Contoso::new()?;
    let answer = Answer::Throttled(Some(Duration::from_secs(7)));
    contoso.acr.answer(Route::Ping, answer);
    contoso.check()
}

fn images() -> Result<Report> {
    let contoso = Contoso::new()?;
    contoso.acr.allow_anonymous_pull(true);
    let images = "images: [\"probe/hello:v1\"]";
    let report = contoso.checking().setting(images).run()?;
    report.stage("login", "manifest")?;
    Ok(report)
}

/// The first bytes of a layer, from a registry without TLS.
fn download() -> Result<Report> {
    let at = loopback();
    let acr = Acr::at(&at.to_string(), (at, 0)).anonymous_pull();
    let image = Image::of_size("probe/hello", "v1", &["linux/amd64", "linux/arm64"], 300)?;
    let acr = acr.image(image).start()?;
    let node = Node::asking([])?;
    let check = node.checking(&format!("http://{}", acr.addr()));
    let report = check
        .setting("images: [\"probe/hello:v1\"], anonymous_pull: true")
        .setting("throughput: {bytes: 256KiB, floor: 200KiB/s}")
        .run()?;
    report.stage("login", "blob")?;
    Ok(report)
}

fn mirror() -> Result<Report> {
    mirror_with("")
}

/// The mirror's; the registry itself serves.
fn unreadable_authority() -> Result<Report> {
    let report = mirror_with("ca = \"/nonexistent.pem\"")?;
    let blocked = &report.endpoint("mirror")?["path"]["blocked"];
    ensure!(blocked["stage"] == "tls", "{report:?}");
    let finding = &report.document["registries"][0]["findings"][0];
    ensure!(finding["code"] == "NodeConfigInvalid", "{finding}");
    ensure!(
        finding["client_error"]
            .to_string()
            .contains("unable to read CA cert"),
        "{finding}"
    );
    Ok(report)
}

/// `setting` is one of the mirror's in `hosts.toml`.
fn mirror_with(setting: &str) -> Result<Report> {
    let contoso = Contoso::new()?;
    let server = contoso.acr.server();
    let config = contoso.node.configure(&[good(&contoso)])?;
    let certs_d = contoso.node.path("certs.d");
    let folder = certs_d.join(&server);
    fs::create_dir_all(&folder)?;
    let data = contoso.acr.data_addr(0).context("no data endpoint")?;
    let hosts = format!(
        "[host.\"https://{}:{}\"]\n{setting}\n",
        regprobe_harness::contoso::DATA,
        data.port()
    );
    fs::write(folder.join("hosts.toml"), hosts)?;
    let text = fs::read_to_string(&config)?;
    let certs_d = format!("certs_d: {}, proxy:", certs_d.display());
    fs::write(&config, text.replacen("proxy:", &certs_d, 1))?;
    let mut check = contoso.node.regprobe(["check", "--output=json"]);
    let report = Report::of(&check.arg("--config.file").arg(config).output()?)?;
    report.endpoint("mirror")?;
    Ok(report)
}

fn proxy() -> Result<Report> {
    let contoso = Contoso::new()?;
    let proxy = Proxy::start((contoso.ip(), 0))?;
    let server = contoso.acr.server();
    proxy.host(&server, contoso.acr.addr());
    let mut check = contoso.node.regprobe(["check", "--output=json", &server]);
    check
        .args(leading_to(&contoso))
        .env("HTTPS_PROXY", proxy.url())
        .env("HTTP_PROXY", proxy.url())
        .env("NO_PROXY", ".example");
    let report = Report::of(&check.output()?)?;
    report.stage("login", "proxy")?;
    Ok(report)
}

/// No nameserver is asked.
fn unusable_proxy() -> Result<Report> {
    let contoso = Contoso::new()?;
    let mut check = contoso.node.regprobe(["check", "--output=json"]);
    check.arg(contoso.acr.server()).args(leading_to(&contoso));
    let output = check
        .env("HTTPS_PROXY", "ftp://proxy.example:2121")
        .output()?;
    let report = Report::of(&output)?;
    let findings: Vec<_> = items(&report.document["registries"][0]["findings"]).collect();
    ensure!(
        findings.len() == 1 && findings[0]["code"] == "NodeConfigInvalid",
        "{findings:?}"
    );
    let message = findings[0]["message"].as_str().unwrap_or_default();
    ensure!(
        message.contains("Go does not know the scheme \"ftp\" of HTTPS_PROXY"),
        "{findings:?}"
    );
    ensure!(items(&findings[0]["evidence"]).count() == 2, "{findings:?}");
    Ok(report)
}

fn pinned() -> Result<Report> {
    let contoso = Contoso::new()?;
    let node = Node::pinning(LOGIN, contoso.ip())?.trusting(&contoso.pki.ca_pem())?;
    node.check(&contoso.acr.server())
}

fn no_nameserver() -> Result<Report> {
    Node::asking([])?.check(LOGIN)
}

fn local_fault() -> Result<Report> {
    // The kernel allows no packet to loopback's broadcast address: EACCES.
    let everybody = SocketAddr::from(([127, 255, 255, 255], 53));
    Node::asking([everybody])?.check(LOGIN)
}

/// The entry of a healthy registry.
fn good(contoso: &Contoso) -> String {
    format!("{{server: \"{}\"}}", contoso.acr.server())
}
