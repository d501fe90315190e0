//! `regprobe run`, the real binary, while DNS drifts: a finding appears within one network interval, and
//! its series is gone within one interval after the repair.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::Ground;
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::wait;

/// The `network_interval` of the ground's configs.
const INTERVAL: Duration = Duration::from_secs(1);
/// Time for the round itself and for the scrape that shows it, on a busy machine.
const MARGIN: Duration = Duration::from_millis(750);

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
    until_found(&agent, &none).context("before it sets in")?;
    for _ in 0..2 {
        drift(&ground);
        until_found(&agent, &only).context("while it lasts")?;
        ground.link();
        until_found(&agent, &none).context("after the repair")?;
    }
    Ok(())
}

/// Waits for one network interval at most until exactly these warnings and critical findings hold.
fn until_found(agent: &Agent, expected: &BTreeSet<(String, String)>) -> Result<()> {
    wait::until("the findings are as expected", INTERVAL + MARGIN, || {
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
        ensure!(held == *expected, "{held:?} instead of {expected:?}");
        Ok(())
    })
    .with_context(|| agent.log().join("\n"))
}
