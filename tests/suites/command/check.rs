//! `regprobe check` for people and scripts: what it prints, what it accepts and rejects, and how it
//! ends. `reasons.rs` tests what each stage can report.

mod documents;
mod hidden;
mod real;
mod refused;
mod terminal;
mod unnamed;

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::contoso::{Contoso, LOGIN};
use regprobe_harness::need::Need;
use regprobe_harness::node::{Node, Report};
use regprobe_harness::output::json::{items, text};
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::addresses::loopback;
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::fakes::sockets;
use regprobe_lab::wait;

use self::real::{real_registry, stopped_registry};
use self::refused::{bad_usages, unreadable_config, unused_settings};

const REAL: [Need; 2] = [Need::NGINX, Need::DOCKER_REGISTRY];

pub(crate) fn suite() -> Suite {
    let tests = [
        test(
            "the report of a real registry lists each stage",
            real_registry,
        )
        .needs(REAL),
        test("a real registry that is stopped fails", stopped_registry).needs(REAL),
        test("a broken configuration is rejected", unreadable_config),
        test(
            "without a registry, those of the node are checked",
            unnamed::found_on_the_node,
        )
        .needs([Need::Root, Need::IPROUTE]),
        test("settings without effect are rejected", unused_settings),
        test("documents of every kind match the schema", documents::all),
        test("a bare name means azurecr.io", bare_name),
        test("--only picks by name", only),
        test("--ca-file adds to the node's bundle", ca_file),
        test("--private says which addresses are expected", private),
        test("--nameserver stands in for the node's own", nameserver),
        test("several registries are reported in order", several),
        test(
            "a registry of the configuration keeps its settings",
            configured,
        ),
        test("a local fault gives no verdict", local_fault),
        test("a resolv.conf that is not mounted", hidden::resolv_conf),
        test("a CA bundle that is not mounted", hidden::bundle),
        test("a CA file that is not mounted", hidden::authority),
        test("a certs.d that is not mounted", hidden::certs_d),
        test(
            "hosts where containerd's configuration says",
            hidden::configuration,
        ),
        test("a client that is not followed", hidden::other_clients),
        test("a closed pipe is not an error", closed_pipe),
        test("an interrupt ends it immediately", interrupted),
        test("a terminal shows stages as they end", terminal::progress),
        test(
            "the progress of many endpoints does not scroll",
            terminal::progress_that_fits,
        ),
        test("a report fits its terminal", terminal::widths),
        test("no progress for pipes and programs", terminal::no_progress),
        test("--watch in a pipe", terminal::watch_in_a_pipe),
        test("--watch ends as the last round did", terminal::watch_ends),
        test("--watch on a terminal", terminal::watch_on_a_terminal),
    ];
    Suite::of(tests.into_iter().chain(bad_usages()))
}

fn bare_name() -> Result<()> {
    let dns = Dns::start((loopback(), 0))?;
    dns.zone("azurecr.io");
    let node = Node::asking([])?;
    let asked = format!("--nameserver={}", dns.addr());
    let out = node
        .regprobe([
            "check",
            "contoso",
            "--region=westeurope",
            "--output=json",
            &asked,
        ])
        .output()?;
    let report = Report::of(&out)?;
    ensure!(report.status == Some(1), "{out:?}");
    ensure!(report.document["registries"][0]["server"] == LOGIN);
    ensure!(report.endpoint("data")?["host"] == "contoso.westeurope.data.azurecr.io");
    ensure!(
        dns.queries_for(LOGIN) == 2 && dns.queries() == 4,
        "{:?}",
        dns.asked()
    );
    Ok(())
}

fn only() -> Result<()> {
    let node = Node::asking([])?;
    let config = node.configure(&[
        "{server: contoso.azurecr.io, name: production}".to_owned(),
        "{server: fabrikam.azurecr.io, name: staging}".to_owned(),
        "{server: registry.example}".to_owned(),
    ])?;
    for (glob, expected) in [
        ("prod*", &["production"][..]),
        ("*.azurecr.io", &["production", "staging"]),
        ("registry.exampl?", &["registry.example"]),
        ("*", &["production", "staging", "registry.example"]),
    ] {
        let mut check = node.regprobe(["check", "--output=json", "--only", glob, "--config.file"]);
        let document = Report::of(&check.arg(&config).output()?)?.document;
        let names: Vec<_> = items(&document["registries"])
            .map(|one| text(&one["name"]))
            .collect();
        ensure!(names == expected, "--only={glob}: {names:?}");
    }
    Ok(())
}

fn ca_file() -> Result<()> {
    let contoso = Contoso::new()?;
    let other = Node::asking([contoso.dns.addr()])?;
    let asked = format!("--nameserver={}", contoso.dns.addr());
    let server = contoso.acr.server();
    let untrusted = other.regprobe(["check", &server, &asked]).output()?;
    ensure!(untrusted.status.code() == Some(1), "{untrusted:?}");
    ensure!(
        stdout(&untrusted).contains("unknown_issuer"),
        "{untrusted:?}"
    );

    fs::write(other.path("ca.pem"), contoso.pki.ca_pem())?;
    let mut trusting = other.regprobe(["check", &server, &asked, "--ca-file"]);
    let out = trusting.arg(other.path("ca.pem")).output()?;
    ensure!(out.status.code() == Some(0), "{out:?}");
    Ok(())
}

fn private() -> Result<()> {
    let contoso = Contoso::new()?;
    let server = contoso.acr.server();
    let check = |flag: Option<&str>| {
        let mut check = contoso.node.regprobe(["check", &server, "--output=json"]);
        Report::of(&check.args(leading_to(&contoso)).args(flag).output()?)
    };
    for (flag, expected) in [
        ("--private=127.0.0.0/8", true),
        ("--private=10.0.0.0/8,127.0.0.0/8", true),
        ("--private=10.0.0.0/8", false),
        // Loopback is not on the internet, but not a network of private endpoints either.
        ("--private", false),
    ] {
        let report = check(Some(flag))?;
        let lookup = report.lookup()?;
        ensure!(lookup["private"] == true, "{flag}: {lookup}");
        ensure!(lookup["expected"] == expected, "{flag}: {lookup}");
        ensure!(report.status == Some(0), "{flag}: {report:?}");
        let mut strict = contoso
            .node
            .regprobe(["check", &server, "--fail-on=degraded", flag]);
        let status = strict.args(leading_to(&contoso)).output()?.status;
        ensure!((status.code() == Some(1)) != expected, "{flag}: {status}");
    }
    ensure!(check(None)?.lookup()?["expected"] == true);
    Ok(())
}

fn nameserver() -> Result<()> {
    let contoso = Contoso::new()?;
    let own = Dns::start((loopback(), 0))?;
    let node = Node::asking([own.addr()])?.trusting(&contoso.pki.ca_pem())?;
    let config = node.configure(&[format!("{{server: \"{}\"}}", contoso.acr.server())])?;
    let dead = sockets::closed((loopback(), 0))?;
    let mut check = node.regprobe(["check", "--output=json", "--config.file"]);
    check
        .arg(config)
        .arg(format!("--nameserver={}", dead.addr()));
    let out = check
        .arg(format!("--nameserver={}", contoso.dns.addr()))
        .output()?;
    let report = Report::of(&out)?;
    let asked: Vec<_> = items(&report.endpoint("login")?["lookups"])
        .map(|l| text(&l["nameserver"]))
        .collect();
    ensure!(
        asked == [dead.addr().to_string(), contoso.dns.addr().to_string()],
        "{asked:?}"
    );
    ensure!(own.queries() == 0, "the node's own nameserver was asked");
    // A pull works, after a detour.
    ensure!(
        report.verdict() == "degraded" && report.status == Some(0),
        "{out:?}"
    );
    Ok(())
}

fn several() -> Result<()> {
    let contoso = Contoso::new()?;
    let (good, bad) = (contoso.acr.server(), "nobody.azurecr.io");
    let verdicts = |servers: [&str; 2]| {
        let out = contoso
            .node
            .regprobe(["check"])
            .args(servers)
            .args(leading_to(&contoso))
            .output()?;
        ensure!(out.status.code() == Some(1), "{out:?}");
        let said = stdout(&out);
        let starts = |line: &&str| servers.iter().any(|server| line.starts_with(server));
        let words = |line: &str| {
            line.split_whitespace()
                .take(2)
                .collect::<Vec<_>>()
                .join(" ")
        };
        anyhow::Ok(said.lines().filter(starts).map(words).collect::<Vec<_>>())
    };
    let (good_line, bad_line) = (format!("{good} OK"), format!("{bad} FAILING"));
    ensure!(verdicts([&good, bad])? == [&*good_line, &*bad_line]);
    ensure!(verdicts([bad, &good])? == [&*bad_line, &*good_line]);
    Ok(())
}

fn configured() -> Result<()> {
    let contoso = Contoso::new()?;
    let server = contoso.acr.server();
    let config = contoso.node.configure(&[
        format!("{{server: \"{server}\", name: production, anonymous_pull: true}}"),
        "{server: nobody.azurecr.io}".to_owned(),
    ])?;
    for name in ["production", &server] {
        let mut check = contoso
            .node
            .regprobe(["check", name, "--output=json", "--config.file"]);
        let report = Report::of(&check.arg(&config).output()?)?;
        let registries = &report.document["registries"];
        ensure!(items(registries).count() == 1 && registries[0]["name"] == "production");
        ensure!(
            report.stage("login", "token")?["reason"] == "unauthorized",
            "{registries}"
        );
    }
    Ok(())
}

fn local_fault() -> Result<()> {
    // The kernel allows no packet to loopback's broadcast address: EACCES.
    let everybody = SocketAddr::from(([127, 255, 255, 255], 53));
    let report = Node::asking([everybody])?.check(LOGIN)?;
    ensure!(report.lookup()?["result"] == "local", "{report:?}");
    ensure!(report.status == Some(2), "{report:?}");
    Ok(())
}

fn closed_pipe() -> Result<()> {
    let contoso = Contoso::new()?;
    for (server, status) in [
        (contoso.acr.server(), 0),
        ("nobody.azurecr.io".to_owned(), 1),
    ] {
        let mut check = contoso.node.regprobe(["check", &server]);
        check
            .args(leading_to(&contoso))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = check.spawn()?;
        drop(child.stdout.take());
        let out = child.wait_with_output()?;
        ensure!(
            out.status.code() == Some(status) && out.stderr.is_empty(),
            "{out:?}"
        );
    }
    Ok(())
}

fn interrupted() -> Result<()> {
    const SIGINT: i32 = 2;
    let silent = sockets::stalls((loopback(), 0))?;
    let node = Node::asking([])?;
    let server = silent.addr().to_string();
    let mut check = node.regprobe(["check", &server, "--timeout=60s"]);
    let mut child = check
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    wait::pause(Duration::from_millis(500));
    let status = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()?;
    ensure!(status.success(), "failed to interrupt");
    let ended = wait::until("the check ends", Duration::from_secs(5), || {
        child.try_wait()?.context("still running")
    });
    let _ = child.kill();
    ensure!(ended?.signal() == Some(SIGINT));
    let mut said = String::new();
    child
        .stderr
        .take()
        .context("no stderr")?
        .read_to_string(&mut said)?;
    ensure!(said.is_empty(), "{said}");
    Ok(())
}

/// The flags that lead a check to Contoso.
fn leading_to(contoso: &Contoso) -> [String; 2] {
    let nameserver = format!("--nameserver={}", contoso.dns.addr());
    [nameserver, "--timeout=2s".to_owned()]
}

fn stdout(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}
