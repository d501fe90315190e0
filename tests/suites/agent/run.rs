//! `regprobe run`, the real binary, against the lab: what Prometheus, an operator and kubelet see while
//! registries work, fail, come and go.

mod expected;
mod fleet;
mod metrics;
mod reload;
pub(crate) mod soak;

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use regprobe_harness::agent::{Agent, SOON};
use regprobe_harness::ground::Ground;
use regprobe_harness::need::Need;
use regprobe_harness::output::json::{items, text};
use regprobe_harness::output::log_lines;
use regprobe_harness::output::scrape::Scrape;
use regprobe_harness::program::{NODE, printed, regprobe};
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::addresses::{free_addr, loopback};
use regprobe_lab::fakes::acr::{Answer, Route};
use regprobe_lab::fakes::dns::Fault;
use serde_json::Value;

use self::metrics::{counters_at_zero, dns_drift, first_scrape, prometheus_reads_it, what_is_gone};

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
            "an agent without the cluster's nameserver says so",
            fleet::no_nameserver_to_ask,
        ),
        test(
            "the fleet is larger than one DNS answer",
            fleet::larger_than_an_answer,
        ),
        test("Retry-After is respected", fleet::waits_as_a_registry_asks),
    ])
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
    check(
        &[&file, "--log.format=json"],
        2,
        &format!(r#""level":"error","msg":"fatal","error":"{bad}"#),
    )
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
            ("msg", "endpoint down"),
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

/// Checks that an object has these fields, and none of them is null.
fn has_fields(object: &Value, fields: &[&str]) -> Result<()> {
    for field in fields {
        ensure!(!object[field].is_null(), "{field} is missing in {object}");
    }
    Ok(())
}
