//! What Prometheus sees: every series from the first scrape on, and none of what is gone.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use regprobe_harness::agent::{Agent, SOON};
use regprobe_harness::ground::{Ground, Real};
use regprobe_harness::output::scrape::Scrape;
use regprobe_harness::program::printed;
use regprobe_lab::addresses::loopback;
use regprobe_lab::fakes::acr::{Answer, Challenge, Route};
use regprobe_lab::fakes::dns::{Dns, Fault};
use regprobe_lab::servers::Prometheus;
use regprobe_lab::wait;

use super::expected;

pub(super) fn first_scrape() -> Result<()> {
    let ground = Ground::new()?;
    let (real, plain) = (Real::start(&ground)?, ground.plain("plain")?);
    let entries = [ground.contoso_entry(), real.entries(), plain.entry.clone()];
    let config = ground.config(&entries.each_ref().map(String::as_str))?;
    let agent = Agent::ready(&config, &[])?;
    let first = agent.scrape()?;
    expected::check(
        &first,
        &expected::endpoints(&ground, &real, &plain),
        &ground.nameserver(),
    )?;
    promtool_agrees(&first)?;

    // Long enough for ten rounds, five of them with tokens.
    let end = Instant::now() + Duration::from_secs(10);
    let before = first.series();
    while Instant::now() < end {
        let now = agent.scrape()?.series();
        let differing: BTreeSet<_> = now.symmetric_difference(&before).collect();
        ensure!(
            differing.is_empty(),
            "series appeared or vanished: {differing:?}"
        );
        wait::pause(Duration::from_millis(300));
    }
    ensure!(agent.scrape()?.sum("regprobe_rounds_skipped_total", &[]) == 0.0);
    Ok(())
}

/// `promtool check metrics` reports nothing.
pub(super) fn promtool_agrees(scrape: &Scrape) -> Result<()> {
    let mut promtool = Command::new("/usr/bin/promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = promtool.stdin.take().context("no standard input")?;
    input.write_all(scrape.text.as_bytes())?;
    drop(input);
    let out = promtool.wait_with_output()?;
    let said = printed(&out);
    ensure!(out.status.success() && said.is_empty(), "{said}");
    Ok(())
}

pub(super) fn prometheus_reads_it() -> Result<()> {
    let ground = Ground::new()?;
    let agent = Agent::ready(&ground.config(&[&ground.contoso_entry()])?, &[])?;
    let prometheus = Prometheus::scraping(agent.addr, (loopback(), 0))?;
    let value = |expression: &str| prometheus.value(expression, SOON);
    ensure!(value(r#"up{job="regprobe"}"#)? == 1.0);
    ensure!(value(r#"sum(regprobe_endpoint_up{registry="contoso"})"#)? == 3.0);
    ensure!(value(r#"regprobe_registry_verdict{registry="contoso"}"#)? == 0.0);
    ensure!(value("sum(regprobe_dns_answer_expected)")? == 3.0);
    let series = agent.scrape()?.series().len();
    ensure!(value(r#"scrape_samples_scraped{job="regprobe"}"#)? == series as f64);
    let p99 = "histogram_quantile(0.99, sum by (le) (rate(regprobe_stage_duration_seconds_bucket\
               {stage=\"tls\"}[5s]))) > 0";
    ensure!(value(p99)? < 1.0);
    ground.contoso.answer(Route::Ping, Answer::Status(503));
    let failures = r#"increase(regprobe_stage_failures_total{role="login",stage="challenge",reason="server_error"}[10s]) > 0"#;
    value(failures)?;
    ensure!(value(r#"regprobe_registry_verdict{registry="contoso"} == 2"#)? == 2.0);
    Ok(())
}

pub(super) fn counters_at_zero() -> Result<()> {
    let ground = Ground::new()?;
    let plain = ground.plain("plain")?;
    ground.dns.break_all(Fault::Silent);
    let config = ground.config(&[&ground.contoso_entry(), &plain.entry])?;
    let agent = Agent::start(&config, &[])?;
    let scrape = agent.scrape()?;
    ensure!(agent.get("/-/ready")?.status == 503, "it is ready already");

    for endpoint in ground.contoso_endpoints() {
        let endpoint = [("registry", "contoso"), ("endpoint", &*endpoint)];
        for stage in ["resolve", "connect", "tls"] {
            let labels = [&endpoint[..], &[("stage", stage)]].concat();
            ensure!(scrape.value("regprobe_stage_attempts_total", &labels)? == 0.0);
            ensure!(scrape.value("regprobe_stage_duration_seconds_count", &labels)? == 0.0);
        }
        let nameserver = ground.nameserver();
        let lookups = [&endpoint[..], &[("nameserver", &*nameserver)]].concat();
        for name in [
            "regprobe_dns_lookups_total",
            "regprobe_dns_answer_changes_total",
            "regprobe_dns_lookup_duration_seconds_count",
        ] {
            ensure!(scrape.value(name, &lookups)? == 0.0, "{name}");
        }
        ensure!(scrape.value("regprobe_tcp_retransmits_total", &endpoint)? == 0.0);
        // Values that were not measured are absent.
        ensure!(scrape.of("regprobe_endpoint_up", &endpoint).count() == 0);
        ensure!(scrape.of("regprobe_dns_answer_expected", &endpoint).count() == 0);
    }
    ensure!(scrape.mentions("plain"));
    ensure!(scrape.value("regprobe_config_last_reload_successful", &[])? == 1.0);
    for why in ["overrun", "node", "panic", "suspend"] {
        ensure!(scrape.value("regprobe_rounds_skipped_total", &[("why", why)])? == 0.0);
    }

    ground.dns.fix();
    agent.until("gets ready", |agent| {
        agent.get("/-/ready")?.expect_status(200)
    })?;
    Ok(())
}

pub(super) fn dns_drift() -> Result<()> {
    let ground = Ground::new()?;
    let agent = Agent::ready(&ground.config(&[&ground.contoso_entry()])?, &[])?;
    let nameserver = ground.nameserver();
    let shows = |expected: f64, changes: f64| {
        agent.until("shows the answer", |agent| {
            let scrape = agent.scrape()?;
            for endpoint in ground.contoso_endpoints() {
                let labels = [
                    ("registry", "contoso"),
                    ("endpoint", &*endpoint),
                    ("nameserver", &*nameserver),
                ];
                let value = |name| scrape.value(name, &labels);
                ensure!(value("regprobe_dns_answer_expected")? == expected);
                ensure!(value("regprobe_dns_answer_changes_total")? == changes);
                // One series for each pair, whatever the answer was before.
                ensure!(value("regprobe_dns_answer_info")? == 1.0);
                ensure!(value("regprobe_dns_answer_ttl_seconds")? == 10.0);
            }
            let series = scrape.series().into_iter();
            let of_dns = series.filter(|series| series.starts_with("regprobe_dns_"));
            Ok(of_dns.collect::<BTreeSet<_>>())
        })
    };
    let linked = shows(1.0, 0.0)?;
    ground.unlink();
    let unlinked = shows(0.0, 1.0)?;
    ensure!(linked.len() == unlinked.len());
    agent.until_rounds(&["contoso"; 2])?;
    shows(0.0, 1.0)?;
    ground.link();
    ensure!(shows(1.0, 2.0)? == linked);
    Ok(())
}

pub(super) fn what_is_gone() -> Result<()> {
    let ground = Ground::new()?;
    let plain = ground.plain("plain")?;
    let elsewhere = ground.plain("elsewhere")?;
    let other = Dns::start((loopback(), 0))?;
    other.zone("azurecr.io");
    let nameservers = format!(
        "nameservers: [{{name: other, address: \"{}\"}}]\n",
        other.addr()
    );
    let entries = [&*ground.contoso_entry(), &plain.entry];
    ground.config_with(&entries, &nameservers)?;
    let realm = format!("http://{}/oauth2/token", elsewhere.acr.addr());
    let moved = Answer::Challenge(Challenge::Realm(realm));
    plain.acr.answer(Route::Ping, moved.clone());
    let config = ground.folder.path().join("regprobe.yaml");
    let agent = Agent::ready(&config, &[])?;
    let token = [("registry", "plain"), ("role", "token")];
    agent.until_value("regprobe_endpoint_up", &token, 1.0)?;

    // While the login server is down, its last known token service is still probed.
    plain.acr.answer(Route::Ping, Answer::Status(503));
    agent.until_value(
        "regprobe_endpoint_up",
        &[("registry", "plain"), ("role", "login")],
        0.0,
    )?;
    let before = agent.log();
    agent.until_rounds(&["plain"; 3])?;
    agent.until_value("regprobe_endpoint_up", &token, 1.0)?;
    ensure!(agent.log() == before, "{:#?}", agent.log());

    // A login server that names another token service replaces it.
    plain.acr.fix();
    let has = |name: &'static str, labels: &'static [(&str, &str)], expected: bool| {
        agent.until("keeps the series it should", |agent| {
            let scrape = agent.scrape()?;
            ensure!(
                (scrape.of(name, labels).count() > 0) == expected,
                "{}",
                scrape.text
            );
            Ok(())
        })
    };
    let of_token = &[("registry", "plain"), ("role", "token")];
    has("regprobe_endpoint_up", of_token, false)?;
    has("regprobe_stage_attempts_total", of_token, false)?;
    plain.acr.answer(Route::Ping, moved);
    has("regprobe_endpoint_up", of_token, true)?;

    // A nameserver that is no longer asked.
    let of_other = &[("nameserver", "other")];
    has("regprobe_dns_lookups_total", of_other, true)?;
    has("regprobe_dns_answer_changes_total", of_other, true)?;
    ground.config(&entries)?;
    agent.signal(Signal::SIGHUP)?;
    for name in [
        "regprobe_dns_lookups_total",
        "regprobe_dns_answer_changes_total",
    ] {
        has(name, of_other, false)?;
    }
    Ok(())
}
