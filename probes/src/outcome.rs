//! What one round saw of one registry: plain data, made by `round` and read by the diagnosis, the
//! metrics and the status document. It decides nothing.

pub use self::{
    endpoint::{AddressOutcome, EndpointOutcome, PullPath},
    stage::{Evidence, Fault, FaultRef, StageOutcome},
};
use crate::{
    node::certs_d::Misconfigured,
    words::{
        endpoint::{Endpoint, Role},
        target::Depth,
    },
};

mod endpoint;
mod stage;

/// What one round saw of one registry.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The login endpoint first, then the data endpoints, then those met on the way.
    pub endpoints: Vec<EndpointOutcome>,
    /// What is wrong with the registry's `hosts.toml`.
    pub misconfigured: Option<Misconfigured>,
}

impl Outcome {
    /// This outcome of a round of this `depth`, with the requests that were not due copied from the
    /// outcome before.
    #[must_use]
    pub fn with_earlier_requests(mut self, before: &Self, depth: Depth) -> Self {
        for seen in &mut self.endpoints {
            if let Some(before) = before.of(&seen.endpoint) {
                seen.take_over_requests(before);
            }
        }
        if depth < Depth::Image {
            let storage = |seen: &&EndpointOutcome| seen.endpoint.role == Role::Storage;
            self.endpoints
                .extend(before.endpoints.iter().filter(storage).cloned());
        }
        self
    }

    /// What was seen of one endpoint.
    pub fn of(&self, endpoint: &Endpoint) -> Option<&EndpointOutcome> {
        self.endpoints
            .iter()
            .find(|seen| seen.endpoint == *endpoint)
    }
}
