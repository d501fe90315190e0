//! The binary for scripts and node-problem-detector: standard output, exit status, time.

use std::fs::File;
use std::net::UdpSocket;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use regprobe_harness::program::REGPROBE;
use regprobe_harness::suite::{Suite, test};

pub(crate) fn suite() -> Suite {
    Suite::of([
        test(
            "a runbook is printed as it is",
            a_runbook_is_printed_as_it_is,
        ),
        test(
            "explain without a name lists all",
            without_a_name_all_are_listed,
        ),
        test(
            "an unknown code is a usage error with a hint",
            an_unknown_code_is_a_usage_error_with_a_hint,
        ),
        test("exit statuses are as documented", exit_statuses),
        test(
            "the npd output ends within 4 s though no nameserver answers",
            npd_has_its_line_within_4_s_though_nobody_answers,
        ),
        test(
            "the npd output is one line even without a configuration",
            npd_has_its_line_even_where_nothing_can_be_checked,
        ),
        test("pods become a configuration", pods_become_a_configuration),
        test(
            "the registries of certs.d become a configuration",
            certs_d_becomes_a_configuration,
        ),
        test("the node's files are below --node-root", node_root),
        test(
            "a report to a pipe has no colour",
            a_report_to_a_pipe_has_no_colour,
        ),
    ])
}

fn regprobe(arguments: &[&str]) -> Output {
    Command::new(&*REGPROBE)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the binary was built for this test")
}

fn pods_become_a_configuration() -> Result<()> {
    let pods = br#"{"kind": "List", "items": [{"spec": {"containers": [
        {"image": "contoso.azurecr.io/team/app:v1"}, {"image": "nginx"}]}}]}"#;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("pods.json");
    std::fs::write(&path, pods)?;
    let mut discover = Command::new(&*REGPROBE);
    let found = discover
        .arg("discover")
        .stdin(File::open(&path)?)
        .output()?;
    assert_eq!(found.status.code(), Some(0), "{found:?}");
    for line in [
        "  - server: \"contoso.azurecr.io\"\n    images: [\"team/app:v1\"]",
        "  - server: \"docker.io\"\n    images: [\"library/nginx:latest\"]",
    ] {
        assert!(stdout(&found).contains(line), "{found:?}");
    }
    // It is valid.
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, &found.stdout)?;
    let config = format!("--config.file={}", config.display());
    let checked = regprobe(&["run", "--config.check", &config]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    Ok(())
}

fn certs_d_becomes_a_configuration() -> Result<()> {
    let root = tempfile::tempdir()?;
    let flag = format!("--node-root={}", root.path().display());
    let nothing = regprobe(&["discover", &flag]);
    assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");
    let certs_d = root.path().join("etc/containerd/certs.d");
    std::fs::create_dir_all(certs_d.join("registry.example_5000_"))?;
    let found = regprobe(&["discover", &flag]);
    let entry = "registries:\n  - server: \"registry.example:5000\"\n";
    assert!(stdout(&found).ends_with(entry), "{found:?}");

    let configuration = root.path().join("etc/containerd/config.toml");
    let elsewhere =
        "[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/opt/certs.d'";
    std::fs::write(&configuration, format!("version = 3\n{elsewhere}\n"))?;
    std::fs::create_dir_all(root.path().join("opt/certs.d/contoso.azurecr.io"))?;
    let found = regprobe(&["discover", &flag]);
    let entry = "registries:\n  - server: \"contoso.azurecr.io\"\n";
    assert!(stdout(&found).ends_with(entry), "{found:?}");

    let mirrors =
        "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry.mirrors.'docker.io']";
    std::fs::write(&configuration, mirrors)?;
    let nothing = regprobe(&["discover", &flag]);
    let why =
        "/etc/containerd/config.toml sets mirrors or configs, which this agent does not follow";
    let said = String::from_utf8_lossy(&nothing.stderr);
    assert!(said.contains(why), "{said}");
    Ok(())
}

fn node_root() -> Result<()> {
    let root = tempfile::tempdir()?;
    std::fs::create_dir(root.path().join("etc"))?;
    // Nobody listens there.
    std::fs::write(
        root.path().join("etc/resolv.conf"),
        "nameserver 127.0.0.93\n",
    )?;
    std::fs::write(
        root.path().join("etc/hosts"),
        "127.0.0.94 registry.example\n",
    )?;
    let flag = format!("--node-root={}", root.path().display());
    let told = regprobe(&["check", &flag, "--timeout=1s", "registry.example"]);
    let report = stdout(&told);
    assert!(report.contains("nameserver 127.0.0.93:53"), "{report}");
    assert!(report.contains("hosts file: 127.0.0.94"), "{report}");
    assert!(report.ends_with("\n1 registry: 1 failing\n"), "{report}");
    let missing = regprobe(&["check", "--node-root=/nonexistent", "registry.example"]);
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
    Ok(())
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("it prints UTF-8")
}

fn a_runbook_is_printed_as_it_is() -> Result<()> {
    for (name, page) in [
        (
            "clockSKEW",
            include_str!("../../../deploy/runbooks/ClockSkew.md"),
        ),
        (
            "RegprobeAgentDown",
            include_str!("../../../deploy/runbooks/alerts/RegprobeAgentDown.md"),
        ),
        (
            "first-ten-minutes",
            include_str!("../../../deploy/runbooks/guides/first-ten-minutes.md"),
        ),
    ] {
        let explained = regprobe(&["explain", name]);
        assert_eq!(
            (explained.status.code(), stdout(&explained)),
            (Some(0), page)
        );
    }
    Ok(())
}

fn without_a_name_all_are_listed() -> Result<()> {
    let listed = regprobe(&["explain"]);
    assert_eq!(listed.status.code(), Some(0));
    assert!(
        stdout(&listed)
            .starts_with("Names and addresses\n  PrivateLinkZoneNotLinked  The name leaves")
    );
    Ok(())
}

fn an_unknown_code_is_a_usage_error_with_a_hint() -> Result<()> {
    let refused = regprobe(&["explain", "ClockScrew"]);
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!((refused.status.code(), stdout(&refused)), (Some(2), ""));
    assert!(message.contains("did you mean ClockSkew?"), "{message}");
    Ok(())
}

/// As documented in docs/command-line.md; those of `check` are seen in `check.rs`, the end by a signal in `run.rs`.
fn exit_statuses() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        anyhow::Ok(format!("--config.file={}", path.display()))
    };
    let good = &*file("good.yaml", "registries: [{server: contoso.azurecr.io}]\n")?;
    let bad = &*file(
        "bad.yaml",
        "registries: [{server: contoso.azurecr.io, colour: red}]\n",
    )?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = &*format!("--web.listen-address={}", taken.local_addr()?);
    for (arguments, status) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["help", "check"], 0),
        (&["man"], 0),
        (&["completions", "zsh"], 0),
        (&["completions", "tcsh"], 2),
        (&["run", "--config.check", good], 0),
        (&["run", "--config.check", bad], 2),
        (&["run", "--config.file=/nonexistent"], 2),
        (&["run", good, address], 2),
        (&["run", good, "--web.listen-address=nowhere"], 2),
        (&["run", good, "--history.limit=much"], 2),
        (&["run"], 2),
        (&["walk"], 2),
        (&[], 2),
    ] {
        let out = regprobe(arguments);
        assert_eq!(out.status.code(), Some(status), "{arguments:?}: {out:?}");
        // Errors go to standard error, where they do not disturb scripts.
        assert_eq!(out.stdout.is_empty(), status == 2, "{arguments:?}: {out:?}");
    }
    Ok(())
}

fn npd_has_its_line_within_4_s_though_nobody_answers() -> Result<()> {
    let silent = UdpSocket::bind("127.0.0.1:0")?;
    let nameserver = format!("--nameserver={}", silent.local_addr()?);
    let start = Instant::now();
    let told = regprobe(&["check", "--output=npd", &nameserver, "contoso", "fabrikam"]);
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    let line = stdout(&told);
    assert!(
        line.len() <= 81 && line.ends_with('\n') && line.lines().count() == 1,
        "{line}"
    );
    Ok(())
}

fn npd_has_its_line_even_where_nothing_can_be_checked() -> Result<()> {
    let told = regprobe(&["check", "--output=npd", "--config.file=/nonexistent"]);
    assert_eq!(told.status.code(), Some(2));
    assert!(
        stdout(&told).starts_with("unknown: /nonexistent: "),
        "{}",
        stdout(&told)
    );
    Ok(())
}

fn a_report_to_a_pipe_has_no_colour() -> Result<()> {
    let silent = UdpSocket::bind("127.0.0.1:0")?;
    let nameserver = format!("--nameserver={}", silent.local_addr()?);
    let told = regprobe(&["check", "--timeout=100ms", &nameserver, "contoso"]);
    let report = stdout(&told);
    assert!(report.starts_with("contoso.azurecr.io  "), "{report}");
    assert!(
        !report.contains('\u{1b}') && report.contains("timeout"),
        "{report}"
    );
    Ok(())
}
