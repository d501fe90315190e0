//! `regprobe run`, the real binary, while DNS drifts: a finding appears with the next round, and its
//! series is gone with the next round after the repair.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::Ground;
use regprobe_harness::suite::{Suite, test};

pub(crate) fn suite() -> Suite {
    Suite::of([
        test("the zone loses its link", || {
            shows_and_clears(Ground::unlink, "PrivateLinkZoneNotLinked", "login")
        }),
        test("the record of a data endpoint goes", || {
            let remove = |ground: &Ground| {
                ground
                    .dns
                    .acr("contoso")
                    .data("westeurope")
                    .record_missing();
            };
            shows_and_clears(remove, "PrivateLinkRecordMissing", "data")
        }),
    ])
}

fn shows_and_clears(drift: fn(&Ground), code: &'static str, role: &'static str) -> Result<()> {
    let ground = Ground::new()?;
    let agent = Agent::ready(&ground.config(&[&ground.contoso_entry()])?, &[])?;
    let only = BTreeSet::from([(code.to_owned(), role.to_owned())]);
    let none = BTreeSet::new();
    expect(&agent, &none).context("before it sets in")?;
    for _ in 0..2 {
        drift(&ground);
        expect(&agent, &only).context("while it lasts")?;
        ground.link();
        expect(&agent, &none).context("after the repair")?;
    }
    Ok(())
}

/// Exactly these warnings and critical findings hold after the next round.
fn expect(agent: &Agent, expected: &BTreeSet<(String, String)>) -> Result<()> {
    agent.until_next_round("contoso")?;
    let scrape = agent.scrape()?;
    let findings = scrape.of("regprobe_finding", &[("registry", "contoso")]);
    let loud = findings.filter(|finding| finding.labels["severity"] != "info");
    let held: BTreeSet<_> = loud
        .map(|finding| {
            let label = |name: &str| finding.labels[name].clone();
            ensure!(
                finding.value == 1.0,
                "{} is {}",
                label("code"),
                finding.value
            );
            Ok((label("code"), label("role")))
        })
        .collect::<Result<_>>()?;
    ensure!(
        held == *expected,
        "{held:?} instead of {expected:?}; its log:\n{}",
        agent.log().join("\n")
    );
    Ok(())
}
