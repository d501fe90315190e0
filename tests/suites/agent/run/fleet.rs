//! How agents share a registry's limits: how they count the headless Service's addresses, and how they
//! respect `Retry-After`.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::Ground;
use regprobe_harness::output::scrape::Scrape;
use regprobe_lab::fakes::acr::{Answer, Route};
use regprobe_lab::fakes::dns::Fault;

const SERVICE: &str = "regprobe.kube-system.svc.cluster.local";

/// Gives the Service this many addresses, including this node's.
fn populate(ground: &Ground, size: u32) {
    ground.dns.zone("cluster.local");
    let nodes = (1..size).map(|node| Ipv4Addr::from(0x0af0_0000 + node));
    let all = nodes.chain([Ipv4Addr::LOCALHOST]);
    ground.dns.address(SERVICE, all, 5);
}

fn section(ground: &Ground) -> String {
    let nameserver = ground.dns.addr();
    format!(
        "fleet: {{service: {SERVICE}, nameserver: \"{nameserver}\", requests_per_minute: 900}}\n"
    )
}

fn interval(scrape: &Scrape, kind: &str) -> Result<f64> {
    scrape.value("regprobe_effective_interval_seconds", &[("kind", kind)])
}

fn attempts(agent: &Agent, stage: &str) -> Result<f64> {
    let labels = [("registry", "contoso"), ("role", "login"), ("stage", stage)];
    agent
        .scrape()?
        .value("regprobe_stage_attempts_total", &labels)
}

pub(crate) fn counted_by_its_service() -> Result<()> {
    let ground = Ground::new()?;
    // More than fits in a packet.
    populate(&ground, 300);
    let config = ground.config_with(&[&ground.contoso_entry()], &section(&ground))?;
    let agent = Agent::ready(&config, &[])?;
    let source = "regprobe_fleet_size_source";
    let scrape = agent.until_value(source, &[("source", "known")], 1.0)?;
    ensure!(scrape.value("regprobe_fleet_size", &[])? == 300.0);
    // 300 nodes with one and a half requests each: at 726 of 900 a minute, one in 37.2 seconds. That is
    // between 32 and 64, so some nodes use one and the others use the other.
    ensure!(interval(&scrape, "network")? == 1.0);
    let request = interval(&scrape, "request")?;
    ensure!([32.0, 64.0].contains(&request), "{}", scrape.text);
    ensure!(interval(&scrape, "token")? == 2.0 * request);
    // The first rounds only use the network: all nodes may have started at the same time.
    agent.until_rounds(&["contoso"; 2])?;
    ensure!(attempts(&agent, "challenge")? == 0.0);
    ensure!(ground.contoso.seen_on(Route::Ping).is_empty());

    ground.dns.break_name(SERVICE, Fault::ServFail);
    let scrape = agent.until_value(source, &[("source", "stale")], 1.0)?;
    ensure!(scrape.value(source, &[("source", "known")])? == 0.0);
    ensure!(scrape.value("regprobe_fleet_size", &[])? == 300.0);
    ensure!(interval(&scrape, "request")? == request);
    Ok(())
}

pub(crate) fn never_counted() -> Result<()> {
    let ground = Ground::new()?;
    let config = ground.config_with(&[&ground.contoso_entry()], &section(&ground))?;
    ground.dns.zone("cluster.local");
    let agent = Agent::ready(&config, &[])?;
    let scrape = agent.scrape()?;
    let assumed = [("source", "assumed")];
    ensure!(scrape.value("regprobe_fleet_size_source", &assumed)? == 1.0);
    ensure!(scrape.value("regprobe_fleet_size", &[])? == 5000.0);
    ensure!(interval(&scrape, "request")? > 500.0);
    let page = agent.get("/")?.expect_status(200)?.text();
    ensure!(page.contains("The fleet is not counted."), "{page}");
    Ok(())
}

/// This machine's own resolv.conf is not that of a pod.
pub(crate) fn no_nameserver_to_ask() -> Result<()> {
    let ground = Ground::new()?;
    let section = format!("fleet: {{service: {SERVICE}}}\n");
    let config = ground.config_with(&[&ground.contoso_entry()], &section)?;
    let agent = Agent::ready(&config, &[])?;
    agent.until("says that it cannot count", |agent| {
        let log = agent.log().join("\n");
        ensure!(log.contains("the fleet cannot be counted"), "{log}");
        ensure!(
            log.contains("the cluster's nameserver is not in /etc/resolv.conf"),
            "{log}"
        );
        Ok(())
    })
}

pub(crate) fn larger_than_an_answer() -> Result<()> {
    let ground = Ground::new()?;
    populate(&ground, 6000);
    let config = ground.config_with(&[&ground.contoso_entry()], &section(&ground))?;
    let agent = Agent::ready(&config, &[])?;
    let at_least = [("source", "at_least")];
    let scrape = agent.until_value("regprobe_fleet_size_source", &at_least, 1.0)?;
    ensure!(scrape.value("regprobe_fleet_size", &[])? == 5000.0);
    Ok(())
}

pub(crate) fn waits_as_a_registry_asks() -> Result<()> {
    let ground = Ground::new()?;
    let config = ground.config(&[&ground.contoso_entry()])?;
    let agent = Agent::ready(&config, &[])?;
    let throttled = || Answer::Throttled(Some(Duration::from_secs(3600)));
    let challenge = |agent: &Agent| attempts(agent, "challenge");

    ground.contoso.answer(Route::Token, throttled());
    let labels = [("stage", "token"), ("reason", "throttled")];
    agent.until_value("regprobe_stage_failures_total", &labels, 1.0)?;
    let (challenges, tokens) = (challenge(&agent)?, attempts(&agent, "token")?);
    agent.until("goes on with the challenge", |agent| {
        ensure!(challenge(agent)? >= challenges + 4.0);
        Ok(())
    })?;
    ensure!(attempts(&agent, "token")? == tokens);

    ground.contoso.answer(Route::Ping, throttled());
    let labels = [("stage", "challenge"), ("reason", "throttled")];
    agent.until_value("regprobe_stage_failures_total", &labels, 1.0)?;
    let (challenges, dials) = (challenge(&agent)?, attempts(&agent, "connect")?);
    agent.until("goes on dialling", |agent| {
        ensure!(attempts(agent, "connect")? >= dials + 4.0);
        Ok(())
    })?;
    ensure!(challenge(&agent)? == challenges);
    let finding = [("registry", "contoso"), ("code", "Throttled")];
    ensure!(agent.scrape()?.of("regprobe_finding", &finding).count() > 0);
    ensure!(agent.log().join("\n").contains("registry asks to wait"));
    Ok(())
}
