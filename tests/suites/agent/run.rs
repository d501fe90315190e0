//! `regprobe run`, the real binary, against the lab: what Prometheus, an operator and kubelet see while
//! registries work, fail, come and go.

mod expected;
mod fleet;
mod reload;
pub(crate) mod soak;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use regprobe_harness::agent::{Agent, SOON};
use regprobe_harness::ground::{Ground, Real};
use regprobe_harness::json::{items, text};
use regprobe_harness::log_lines;
use regprobe_harness::need::Need;
use regprobe_harness::program::{NODE, printed, regprobe};
use regprobe_harness::scrape::Scrape;
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::acr::{Answer, Challenge, Route};
use regprobe_lab::addresses::{free_addr, loopback};
use regprobe_lab::dns::{Dns, Fault};
use regprobe_lab::servers::Prometheus;
use regprobe_lab::wait;
use serde_json::Value;

pub(crate) fn suite() -> Suite {
    let needs = [Need::DOCKER_REGISTRY, Need::NGINX, Need::PROMETHEUS];
    Suite::of([
        test("every series exists at the first scrape", first_scrape).needs(needs),
        test("every family is documented", expected::documented),
        test("a real Prometheus reads it", prometheus_reads_it).needs([Need::PROMETHEUS]),
        test("counters are at 0 before the first round", counters_at_zero),
        test(
            "it is healthy while everything fails",
            healthy_whatever_fails,
        ),
        test("a reload keeps, removes and adds", reload_by_signal),
        test("reload over HTTP is off by default", reload_over_http),
        test(
            "an updated ConfigMap is reloaded",
            reload::swap_of_a_config_map,
        ),
        test("it ends within five seconds", it_ends),
        test("it explains why it cannot start", cannot_start),
        test("it logs one line for each change", logs_are_lines_on_change),
        test("the status document has its fields", status_document),
        test("a DNS drift appears in metrics and status", dns_drift),
        test("removed endpoints leave no series", what_is_gone),
        test(
            "the fleet is counted by its Service",
            fleet::counted_by_its_service,
        ),
        test(
            "an unknown fleet is assumed to be large",
            fleet::never_counted,
        ),
        test(
            "the fleet is larger than one DNS answer",
            fleet::larger_than_an_answer,
        ),
        test("Retry-After is respected", fleet::patience_with_a_registry),
    ])
}

fn first_scrape() -> Result<()> {
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
fn promtool_agrees(scrape: &Scrape) -> Result<()> {
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

fn prometheus_reads_it() -> Result<()> {
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

fn counters_at_zero() -> Result<()> {
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

fn healthy_whatever_fails() -> Result<()> {
    let ground = Ground::new()?;
    let closed = free_addr(loopback())?;
    let nobody = format!("- {{server: \"http://{closed}\", name: nobody}}\n");
    ground.dns.break_all(Fault::ServFail);
    let config = ground.config(&[&ground.contoso_entry(), &nobody])?;
    let agent = Agent::ready(&config, &[])?;
    agent.until_rounds(&["nobody"])?;
    let scrape = agent.scrape()?;
    for registry in ["contoso", "nobody"] {
        let labels = [("registry", registry)];
        let verdict = scrape.value("regprobe_registry_verdict", &labels)?;
        ensure!(verdict == 2.0, "{registry}: {verdict}");
        ensure!(scrape.sum("regprobe_endpoint_up", &labels) == 0.0);
        let last_success = "regprobe_endpoint_last_success_timestamp_seconds";
        let seen = scrape.of(last_success, &labels).count();
        ensure!(seen == 0, "{registry} was never up");
    }
    let failures = |stage, reason| {
        let labels = [("registry", "nobody"), ("stage", stage), ("reason", reason)];
        scrape.value("regprobe_stage_failures_total", &labels)
    };
    ensure!(failures("connect", "refused")? >= 1.0);
    ensure!(failures("connect", "timeout")? == 0.0);
    ensure!(failures("tls", "timeout").is_err(), "tls was never tried");
    ensure!(agent.get("/-/healthy")?.status == 200);
    ensure!(agent.get("/-/ready")?.status == 200);
    Ok(())
}

fn reload_by_signal() -> Result<()> {
    let ground = Ground::new()?;
    let [one, two, three] = ["one", "two", "three"].map(|name| ground.plain(name));
    let (one, two, three) = (one?, two?, three?);
    let config = ground.config(&[&one.entry, &two.entry])?;
    let good = fs::read_to_string(&config)?;
    let agent = Agent::ready(&config, &[])?;
    let loaded = "regprobe_config_last_reload_successful";
    let loaded_at = "regprobe_config_last_reload_success_timestamp_seconds";
    let first_load = agent.scrape()?.value(loaded_at, &[])?;

    ground.write_config(&format!("{good}nonsense: true\n"))?;
    agent.signal(Signal::SIGHUP)?;
    let scrape = agent.until_value(loaded, &[], 0.0)?;
    ensure!(scrape.value(loaded_at, &[])? == first_load);
    let log = agent.log().join("\n");
    let line = good.lines().count() + 1;
    ensure!(
        log.contains("configuration not reloaded; the old one stays")
            && log.contains("nonsense")
            && log.contains(&format!("line {line}")),
        "{log}"
    );
    agent.until_rounds(&["one", "two"])?;

    let attempts = [("registry", "one"), ("stage", "connect")];
    let attempts = |scrape: &Scrape| scrape.sum("regprobe_stage_attempts_total", &attempts);
    let before = attempts(&agent.scrape()?);
    ensure!(before > 2.0, "{before}");
    ground.config(&[&one.entry, &three.entry])?;
    agent.signal(Signal::SIGHUP)?;
    let scrape = agent.until_value(loaded, &[], 1.0)?;
    ensure!(scrape.value(loaded_at, &[])? > first_load);
    ensure!(!scrape.mentions("two"), "{}", scrape.text);
    ensure!(scrape.mentions("three"));
    ensure!(attempts(&scrape) >= before);
    agent.until("probes the new one", |agent| {
        let up = agent
            .scrape()?
            .sum("regprobe_endpoint_up", &[("registry", "three")]);
        ensure!(up == 2.0);
        Ok(())
    })?;
    agent.until_rounds(&["one"])?;
    ensure!(!agent.scrape()?.mentions("two"));
    let status = agent.status()?;
    let names: Vec<_> = items(&status["registries"])
        .map(|registry| &registry["name"])
        .collect();
    ensure!(names == ["one", "three"], "{names:?}");
    Ok(())
}

fn reload_over_http() -> Result<()> {
    let ground = Ground::new()?;
    let plain = ground.plain("plain")?;
    let config = ground.config(&[&plain.entry])?;

    let agent = Agent::start(&config, &[])?;
    ensure!(agent.post("/-/reload")?.status == 403);
    drop(agent);

    let agent = Agent::start(&config, &["--web.enable-lifecycle"])?;
    ensure!(agent.post("/-/reload")?.status == 200);
    let get = agent.get("/-/reload")?;
    ensure!(get.status == 405 && get.header("allow") == Some("POST"));
    ground.write_config("registries: []\n")?;
    let refused = agent.post("/-/reload")?;
    ensure!(refused.status == 500);
    ensure!(
        refused.text().contains("no registry is listed"),
        "{}",
        refused.text()
    );
    ensure!(
        agent
            .scrape()?
            .value("regprobe_config_last_reload_successful", &[])?
            == 0.0
    );
    Ok(())
}

fn it_ends() -> Result<()> {
    let ground = Ground::new()?;
    let config = ground.config(&[&ground.contoso_entry()])?;
    let ends = |agent: Agent| {
        let status = agent.end()?;
        ensure!(status.code() == Some(0), "{status}");
        Ok(())
    };
    ends(Agent::ready(&config, &[])?).context("with nothing wrong")?;

    let agent = Agent::ready(&config, &[])?;
    let idle = TcpStream::connect_timeout(&agent.addr, SOON)?;
    let mut halting = TcpStream::connect_timeout(&agent.addr, SOON)?;
    halting.write_all(b"GET /metrics HTTP/1.1\r\n")?;
    agent.scrape()?;
    ends(agent).context("with clients that say nothing")?;
    drop((idle, halting));

    let agent = Agent::ready(&config, &[])?;
    let crowd = (0..200).map(|_| TcpStream::connect_timeout(&agent.addr, SOON));
    let crowd = crowd.collect::<Result<Vec<_>, _>>()?;
    ends(agent).context("with more clients than it serves")?;
    drop(crowd);

    ground.dns.break_all(Fault::Silent);
    ends(Agent::start(&config, &[])?).context("in its first round")
}

fn cannot_start() -> Result<()> {
    let ground = Ground::new()?;
    let plain = ground.plain("plain")?;
    let config = ground.config(&[&plain.entry])?;
    let file = format!("--config.file={}", config.display());
    let check = |arguments: &[&str], code, expected: &str| {
        let out = regprobe(["run"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()?;
        let said = printed(&out);
        ensure!(
            out.status.code() == Some(code) && said.contains(expected),
            "{arguments:?}: expected {expected:?} and {code}, got {}: {said}",
            out.status
        );
        Ok(())
    };
    let listener = TcpListener::bind((loopback(), 0))?;
    let taken = listener.local_addr()?;
    check(
        &[&file, &format!("--web.listen-address={taken}")],
        2,
        &format!("failed to listen on {taken}: Address already in use"),
    )?;
    check(
        &[&file, "--web.listen-address=nonsense"],
        2,
        "failed to listen on nonsense: not an address to listen on; write :9118",
    )?;
    check(&[&file, "--config.check"], 0, "valid, 1 registries")?;
    check(&[], 2, "--config.file")?;
    check(
        &["--config.file=/nonexistent/regprobe.yaml"],
        2,
        "/nonexistent/regprobe.yaml: cannot read the file",
    )?;
    ground.write_config("registries:\n- server: contoso\n")?;
    let bad = format!("{}: registries[0].server: ", config.display());
    for arguments in [&[&*file, "--config.check"][..], &[&file]] {
        check(arguments, 2, &bad)?;
        check(arguments, 2, "(line 2, column 11)")?;
    }
    Ok(())
}

fn logs_are_lines_on_change() -> Result<()> {
    for format in ["logfmt", "json"] {
        let ground = Ground::new()?;
        // An open registry, because one that requires credentials always has a finding.
        let well = || {
            ground.contoso.answer(Route::Ping, Answer::Mcr);
        };
        well();
        let config = ground.config(&[&ground.contoso_entry()])?;
        let agent = Agent::ready(&config, &[&format!("--log.format={format}")])?;
        let lines = || log_lines::parse(format, &agent.log());
        let login = ground.contoso_endpoints()[0].clone();
        let quiet = || -> Result<()> {
            let before = agent.log();
            agent.until_rounds(&["contoso"; 2])?;
            let after = agent.log();
            ensure!(after == before, "{format}: {after:#?}");
            Ok(())
        };
        let ready = lines()?;
        ensure!(log_lines::with_message(&ready, "starting regprobe").count() == 1);
        ensure!(log_lines::with_message(&ready, "listening").count() == 1);
        ensure!(log_lines::with_message(&ready, "endpoint up").count() == 3);
        ensure!(log_lines::with_message(&ready, "registry verdict").count() == 1);
        quiet()?;

        let known = ready.len();
        ground.contoso.answer(Route::Ping, Answer::Status(503));
        let verdict = [("registry", "contoso")];
        agent.until_value("regprobe_registry_verdict", &verdict, 2.0)?;
        quiet()?;
        let down = &lines()?[known..];
        ensure!(down.len() == 3, "{format}: {down:#?}");
        let endpoint = &down[0];
        for (key, value) in [
            ("level", "warn"),
            ("message", "endpoint down"),
            ("registry", "contoso"),
            ("endpoint", &login),
            ("role", "login"),
            ("stage", "challenge"),
            ("reason", "server_error"),
        ] {
            ensure!(
                endpoint.get(key).map(String::as_str) == Some(value),
                "{endpoint:?}"
            );
        }
        ensure!(
            down[1]
                .get("code")
                .is_some_and(|code| code == "RegistryError")
        );
        ensure!(
            down[2]
                .get("verdict")
                .is_some_and(|verdict| verdict == "failing")
        );

        let known = known + down.len();
        well();
        agent.until_value("regprobe_registry_verdict", &verdict, 0.0)?;
        quiet()?;
        ensure!(lines()?[known..].len() == 3, "{format}: {:#?}", agent.log());
    }
    Ok(())
}

fn status_document() -> Result<()> {
    let ground = Ground::new()?;
    let agent = Agent::ready(&ground.config(&[&ground.contoso_entry()])?, &[])?;
    let status = agent.status()?;
    has_fields(
        &status,
        &["schema", "node", "version", "at", "config", "registries"],
    )?;
    ensure!(status["config"]["reload_error"].is_null());
    text(&status["config"]["loaded_at"]).parse::<jiff::Timestamp>()?;
    ensure!(status["schema"] == "regprobe/v1");
    ensure!(status["node"] == NODE);
    ensure!(status["version"] == env!("CARGO_PKG_VERSION"));
    text(&status["at"]).parse::<jiff::Timestamp>()?;

    let registry = &status["registries"][0];
    has_fields(registry, &["name", "server", "verdict", "endpoints"])?;
    ensure!(registry["name"] == "contoso" && registry["verdict"] == "ok");
    ensure!(registry["server"] == ground.contoso.server());
    let endpoints: Vec<_> = items(&registry["endpoints"]).collect();
    let roles: Vec<_> = endpoints
        .iter()
        .map(|endpoint| text(&endpoint["role"]))
        .collect();
    ensure!(roles == ["login", "data", "data"], "{roles:?}");
    for (endpoint, label) in endpoints.iter().zip(ground.contoso_endpoints()) {
        has_fields(
            endpoint,
            &["host", "port", "role", "up", "lookups", "addresses"],
        )?;
        ensure!(label == format!("{}:{}", text(&endpoint["host"]), endpoint["port"]));
        ensure!(endpoint["up"] == true);
        let lookup = &endpoint["lookups"][0];
        has_fields(
            lookup,
            &[
                "nameserver",
                "result",
                "chain",
                "addresses",
                "private",
                "expected",
                "seconds",
            ],
        )?;
        ensure!(lookup["nameserver"] == ground.nameserver() && lookup["result"] == "noerror");
        ensure!(lookup["private"] == true && lookup["expected"] == true);
        let alias = &lookup["chain"][0];
        ensure!(text(&alias["name"]).contains(".privatelink.") && alias["ttl"] == 3600);
        let address = &endpoint["addresses"][0];
        ensure!(address["address"] == lookup["addresses"][0]);
        let last = if endpoint["role"] == "login" {
            &["challenge", "token"][..]
        } else {
            &["http"]
        };
        let stages: Vec<_> = items(&address["stages"]).collect();
        let names: Vec<_> = stages.iter().map(|stage| text(&stage["stage"])).collect();
        ensure!(names == [&["connect", "tls"], last].concat(), "{names:?}");
        for stage in stages {
            ensure!(stage["ok"] == true && stage["reason"].is_null(), "{stage}");
            ensure!(
                stage["seconds"].as_f64().is_some_and(|took| took > 0.0),
                "{stage}"
            );
        }
    }

    ground
        .contoso
        .answer(Route::Ping, Answer::Firewall([203, 0, 113, 9].into()));
    agent.until("tells the firewall", |agent| {
        let status = agent.status()?;
        let registry = &status["registries"][0];
        ensure!(registry["verdict"] == "failing");
        let endpoint = &registry["endpoints"][0];
        ensure!(endpoint["up"] == false);
        let stage = &endpoint["addresses"][0]["stages"][2];
        ensure!(
            stage["ok"] == false && stage["reason"] == "firewall",
            "{stage}"
        );
        ensure!(text(&stage["detail"]).contains("203.0.113.9"), "{stage}");
        Ok(())
    })
}

fn dns_drift() -> Result<()> {
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

fn what_is_gone() -> Result<()> {
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

/// Checks that an object has these fields, and none of them is null.
fn has_fields(object: &Value, fields: &[&str]) -> Result<()> {
    for field in fields {
        ensure!(!object[field].is_null(), "{field} is missing in {object}");
    }
    Ok(())
}
