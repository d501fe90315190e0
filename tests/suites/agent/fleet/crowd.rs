//! More agents than a DNS answer has room for, at a nameserver that lists the same each time, and at one that lists
//! others, as CoreDNS does.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_lab::fakes::dns::Fault;
use serde_json::json;

use super::{Fleet, SERVICE, view};

/// This nameserver has room for some 1,200 in an answer.
pub(super) fn is_listed() -> Result<()> {
    const CROWD: u16 = 1700;
    let fleet = Fleet::new()?;
    let nobody = |number: u16| {
        let [high, low] = number.to_be_bytes();
        SocketAddr::from(([127, 78, high, low], fleet.port))
    };
    let peers: Vec<_> = (0..CROWD).map(nobody).collect();
    let config = fleet.config(&peers, "")?;
    let room = "A DNS answer has no room for all agents: ";
    for (order, least, most) in [(None, 1000, 1300), (Some(Fault::Rotate), CROWD, CROWD)] {
        if let Some(order) = order {
            fleet.ground.dns.break_name(SERVICE, order);
        }
        let agent = Agent::start(&config, &[])?;
        let view = agent.until("asks them all", |agent| {
            let view = view(agent)?;
            ensure!(view["nodes_awaited"] == 0, "{}", view["nodes_awaited"]);
            Ok(view)
        })?;
        let others = view["nodes_total"].as_u64().context("no number")? - 1;
        ensure!((least.into()..=most.into()).contains(&others), "{others}");
        let said = format!("{room}{others} others are known, and there may be more.");
        let notes = view["notes"].as_array().context("no notes")?;
        ensure!(notes.contains(&json!(said)), "{said}: {notes:?}");
    }
    Ok(())
}
