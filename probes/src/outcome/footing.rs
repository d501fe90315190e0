//! What the requests of a round rest on: if it changes, what they told no longer holds, and they are due again.

use std::{net::IpAddr, sync::Arc};

use super::Outcome;
use crate::{
    stages::tls::{Chain, Handshake},
    words::endpoint::{Endpoint, Role},
};

/// What the requests to one registry rest on: the node's settings, and for each endpoint the address that it is reached
/// at and its certificate.
#[derive(Clone, Debug)]
pub struct Footing {
    settings: u64,
    endpoints: Vec<Foothold>,
}

#[derive(Clone, Debug)]
struct Foothold {
    endpoint: Endpoint,
    at: Option<IpAddr>,
    chain: Option<Arc<Chain>>,
}

impl Footing {
    /// As one round found it. Where only a walk leads is left out: other rounds do not look there.
    pub fn of(outcome: &Outcome) -> Self {
        let endpoints = outcome.endpoints.iter();
        let seen = endpoints.filter(|seen| seen.endpoint.role != Role::Storage);
        let footholds = seen.map(|seen| Foothold {
            endpoint: seen.endpoint.clone(),
            at: seen.reached(),
            chain: seen.handshake().map(chain),
        });
        Self {
            settings: outcome.settings,
            endpoints: footholds.collect(),
        }
    }

    /// Whether another round found the same. An address still holds while the name leads there among others: answers
    /// may be in any order.
    pub fn holds(&self, outcome: &Outcome) -> bool {
        self.settings == outcome.settings
            && self.endpoints.iter().all(|before| {
                // What this round did not look at has not changed.
                outcome.of(&before.endpoint).is_none_or(|now| {
                    let same_chain = match now.handshake().map(chain) {
                        Some(chain) => before.chain.as_ref().is_none_or(|before| *before == chain),
                        None => true,
                    };
                    now.still_reaches(before.at) && same_chain
                })
            })
    }
}

fn chain(handshake: &Handshake) -> Arc<Chain> {
    handshake.chain.clone()
}
