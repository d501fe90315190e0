//! Drift that starts while `regprobe run` runs appears in its metrics with the next round, and disappears
//! with the next round after it is fixed.

use anyhow::{Context, Result, ensure};
use regprobe_harness::need::Need;
use regprobe_harness::suite::{Test, test};
use regprobe_lab::scenario::{Names, Nameserver, NameserverIs, Scenario};
use regprobe_lab::world::{Running, World};
use serde_json::json;

use super::regprobe;

const HEALTHY: &str = "story: The nameserver changes its mind.\n\
    world: {nameservers: [{at: 198.18.0.53, is: changing}]}\n\
    containerd: {does: pulls}\n\
    verdict: ok\n";

/// What happens to a nameserver.
type Drift = fn(&mut Nameserver);

pub(crate) fn tests() -> Vec<Test> {
    let cases: [(&str, Drift, &str); 4] = [
        (
            "drift while running: the zone loses its link",
            |nameserver| {
                nameserver.login = Names::NotLinked;
                nameserver.data = Names::NotLinked;
            },
            "PrivateLinkZoneNotLinked",
        ),
        (
            "drift while running: the data record goes",
            |nameserver| nameserver.data = Names::RecordMissing,
            "PrivateLinkRecordMissing",
        ),
        (
            "drift while running: a zone shadows the data record",
            |nameserver| nameserver.data = Names::Shadowed,
            "PrivateLinkShadowZone",
        ),
        (
            "drift while running: the record is overwritten",
            |nameserver| nameserver.login = Names::LinkedTo(vec![[10, 99, 1, 4].into()]),
            "UnexpectedAddress",
        ),
    ];
    cases
        .into_iter()
        .map(|(name, drift, code)| {
            test(name, move || shows_and_clears(drift, code)).needs(Need::WORLD)
        })
        .collect()
}

fn shows_and_clears(drift: Drift, code: &str) -> Result<()> {
    let scenario = Scenario::parse(HEALTHY)?;
    let mut world = World::new()?;
    let scene = world.set(&scenario)?;
    let schedule = json!({
        "timeout": "3s",
        "network_interval": "2s",
        "request_interval": "2s",
    });
    let agent = scene.run(&regprobe(), &schedule)?;
    let healthy = scenario.world.nameservers[0].clone();
    ensure!(healthy.is == NameserverIs::Changing);
    let mut drifted = healthy.clone();
    drift(&mut drifted);

    expect(&agent, &[]).context("before")?;
    for _ in 0..2 {
        scene.change(&drifted)?;
        expect(&agent, &[code]).context("while it lasts")?;
        scene.change(&healthy)?;
        expect(&agent, &[]).context("after the fix")?;
    }
    Ok(())
}

/// Exactly these findings hold after the next round.
fn expect(agent: &Running<'_>, codes: &[&str]) -> Result<()> {
    agent.until_next_round().with_context(|| agent.log())?;
    let mut held = agent.findings()?;
    held.dedup();
    ensure!(
        held == codes,
        "{held:?} instead of {codes:?}; its log:\n{}",
        agent.log()
    );
    Ok(())
}
