//! Drift that starts while `regprobe run` runs appears in its metrics with the next round, and disappears
//! with the next round after it is fixed. Requests that depend on what changed do not wait for their interval.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::need::Need;
use regprobe_harness::suite::{Test, test};
use regprobe_lab::scenario::{Names, Nameserver, NameserverIs, Scenario};
use regprobe_lab::wait;
use regprobe_lab::world::{Running, World};
use serde_json::json;

use super::regprobe;

const HEALTHY: &str = "story: The nameserver changes its mind.\n\
    world: {nameservers: [{at: 198.18.0.53, is: changing}]}\n\
    containerd: {does: pulls}\n\
    verdict: ok\n";

/// A change, the world and the findings before it and after it.
struct Change {
    what: &'static str,
    worlds: [&'static str; 2],
    codes: [&'static [&'static str]; 2],
}

/// In each case only requests can tell the difference; they are due every ten minutes.
const CHANGES: [Change; 6] = [
    Change {
        what: "an address whose answers differ",
        worlds: [
            "public_data: {answers: {status: 403}}",
            "nameservers: [{at: 198.18.0.53, data: not linked}], public_data: {answers: {status: 403}}",
        ],
        codes: [&[], &["PrivateLinkZoneNotLinked"]],
    },
    Change {
        what: "a certificate",
        worlds: [
            "",
            "data: {certificate: by an intermediate, answers: {status: 403}}",
        ],
        codes: [&[], &["BlobUnavailable"]],
    },
    Change {
        what: "hosts.toml",
        worlds: [
            "mirror: {}, login: {manifest: {status: 500}}",
            "mirror: {}, login: {manifest: {status: 500}}, \
             hosts_toml: {myregistry.azurecr.io: '[host.\"https://mirror.contoso.example\"]'}",
        ],
        codes: [&["RegistryError"], &[]],
    },
    Change {
        what: "resolv.conf",
        worlds: [
            "resolv_conf: nameserver 198.18.0.53",
            "resolv_conf: \"nameserver 198.18.0.53\\noptions timeout:1\", login: {manifest: {status: 500}}",
        ],
        codes: [&[], &["RegistryError"]],
    },
    Change {
        what: "the hosts file",
        worlds: [
            "",
            "hosts: 198.51.100.1 www.contoso.example, login: {manifest: {status: 500}}",
        ],
        codes: [&[], &["RegistryError"]],
    },
    Change {
        what: "a nameserver that is back",
        worlds: [
            "nameservers: [{at: 198.18.0.53, is: closed}]",
            "login: {manifest: {status: 500}}",
        ],
        codes: [&["NameserverDown"], &["RegistryError"]],
    },
];
/// Two rounds of the network, their time-outs, and what a busy machine needs.
const AT_ONCE: Duration = Duration::from_secs(45);

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
    let drifts = cases
        .into_iter()
        .map(|(name, drift, code)| test(name, move || shows_and_clears(drift, code)));
    let changes = CHANGES.into_iter().map(|change| {
        let name = format!("change while running, walked at once: {}", change.what);
        test(name, move || is_walked_at_once(&change))
    });
    drifts
        .chain(changes)
        .map(|test| test.needs(Need::WORLD))
        .collect()
}

fn is_walked_at_once(change: &Change) -> Result<()> {
    let [before, after] = change.worlds.map(|world| {
        let agent = "agent: {images: ['probe/hello:v1']}";
        let rest = "containerd: {does: pulls}\nverdict: ok";
        Scenario::parse(&format!(
            "story: It changes.\n{agent}\nworld: {{{world}}}\n{rest}"
        ))
    });
    let (before, after) = (before?, after?);
    let mut world = World::new()?;
    let mut scene = world.set(&before)?;
    let schedule = json!({
        "timeout": "3s",
        "network_interval": "3s",
        "request_interval": "10m",
        "token_interval": "10m",
        "image_interval": "10m",
    });
    let agent = scene.run(&regprobe(), &schedule)?;
    let shows = |codes: &[&str]| {
        wait::until("the findings are others", AT_ONCE, || {
            let held = agent.findings()?;
            ensure!(held == codes, "{held:?} instead of {codes:?}");
            Ok(())
        })
        .with_context(|| agent.log())
    };
    shows(change.codes[0]).context("before")?;
    scene.turn(&after)?;
    shows(change.codes[1]).context("after the change")?;
    scene.turn(&before)?;
    shows(change.codes[0]).context("and back")
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
