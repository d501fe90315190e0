//! Healthy rounds at random.

use std::{net::Ipv4Addr, sync::Arc};

use proptest::prelude::*;

use super::build::{
    AZURE, FIRST, Met, OTHER, SECOND, data, expecting_any, expecting_private, found, login, outcome,
};
use crate::{
    diagnosis::Expectations,
    outcome::Outcome,
    words::endpoint::{Nameserver, Origin},
};

/// A healthy registry with private endpoints. Each nameserver answers in its own order.
pub(super) fn healthy_private_round() -> impl Strategy<Value = (Outcome, Expectations)> {
    let round = (nameservers(), 1_u8..6, any::<bool>());
    round.prop_flat_map(|(servers, members, both)| {
        let pool: Vec<_> = (4..4 + members)
            .map(|n| Ipv4Addr::new(10, 240, 1, n))
            .collect();
        let answers: Vec<_> = servers
            .iter()
            .map(|_| Just(pool.clone()).prop_shuffle())
            .collect();
        let alias = "contoso.privatelink.azurecr.io";
        (Just(servers), answers).prop_map(move |(servers, answers)| {
            let outcome = healthy(both, servers, answers, alias);
            (outcome, expecting_private())
        })
    })
}

/// A healthy registry whose names are traffic-managed: each nameserver gets its own members.
pub(super) fn healthy_public_round() -> impl Strategy<Value = (Outcome, Expectations)> {
    (nameservers(), any::<bool>()).prop_flat_map(|(servers, both)| {
        let pool: Vec<_> = (1..=20).map(|n| Ipv4Addr::new(203, 0, 113, n)).collect();
        let some = || prop::sample::subsequence(pool.clone(), 1..=4).prop_shuffle();
        let answers: Vec<_> = servers.iter().map(|_| some()).collect();
        let alias = "contoso.trafficmanager.example";
        (Just(servers), answers).prop_map(move |(servers, answers)| {
            let outcome = healthy(both, servers, answers, alias);
            (outcome, expecting_any())
        })
    })
}

/// One to four nameservers, of which the first is the node's.
fn nameservers() -> impl Strategy<Value = Vec<Arc<Nameserver>>> {
    let all = [&*FIRST, &*SECOND, &*AZURE, &*OTHER].map(Clone::clone);
    prop::sample::subsequence(all.to_vec(), 1..=4)
        .prop_filter("a node has one", |some| some[0].origin == Origin::Node)
}

/// The login endpoint, or both it and a data endpoint.
fn healthy(
    both: bool,
    servers: Vec<Arc<Nameserver>>,
    answers: Vec<Vec<Ipv4Addr>>,
    alias: &str,
) -> Outcome {
    let mut met = vec![login().unanswered()];
    met.extend(both.then(|| data().unanswered()));
    for (server, addresses) in servers.iter().zip(answers) {
        let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        let said = found([alias], texts.iter().map(String::as_str));
        let answered = |met: Met| met.answered(server, said.clone());
        met = met.into_iter().map(answered).collect();
    }
    outcome(met)
}
