//! The binary for scripts and node-problem-detector: standard output, exit status, time.

use std::net::UdpSocket;
use std::process::{Command, Output};
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
        test(
            "a report to a pipe has no colour",
            a_report_to_a_pipe_has_no_colour,
        ),
    ])
}

fn regprobe(arguments: &[&str]) -> Output {
    Command::new(&*REGPROBE)
        .args(arguments)
        .output()
        .expect("the binary was built for this test")
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
    assert!(stdout(&listed).starts_with("PrivateLinkZoneNotLinked  The name leaves"));
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
