//! What one round saw of one registry: plain data, made by `round` and read by the diagnosis, the
//! metrics and the status document. It decides nothing.

pub use self::{
    endpoint::{AddressOutcome, EndpointOutcome, PullPath},
    footing::Footing,
    offer::{Credentials, Giver, OfIdentity, OfSecret, Offer, OfferEnd},
    stage::{Evidence, Fault, FaultRef, StageOutcome},
    walk::{Asked, Walk, WalkEnd},
};
use crate::{
    node::misconfigured::Misconfigured,
    words::{
        endpoint::{Endpoint, Role},
        reason::Stage,
        target::Depth,
    },
};

mod endpoint;
mod footing;
mod offer;
mod stage;
mod walk;

/// What one round saw of one registry.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The login endpoint first, then the data endpoints, then those met on the way.
    pub endpoints: Vec<EndpointOutcome>,
    /// One for each configured image, where the round went so deep or an earlier one did and still holds.
    pub walks: Vec<Walk>,
    /// Settings of the node that its client cannot use as they are meant.
    pub misconfigured: Vec<Misconfigured>,
    /// Why it is not known which hosts the node's client asks, where it is not: then it may ask others than these.
    pub unseen_hosts: Option<String>,
    /// A digest of the settings of the node that a pull from the registry reads.
    pub settings: u64,
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
            let holds = |walk: &&Walk| {
                walk.endpoints()
                    .all(|endpoint| self.is_as_before(before, endpoint))
            };
            self.walks = before.walks.iter().filter(holds).cloned().collect();
            self.settle_later_challenge();
        }
        self
    }

    /// A pull never asks `/v2/`: where one works, or goes on to where the probe sees no further, a fault there is none.
    /// The walks keep it in mind, for a later fault may be another.
    pub(crate) fn settle_challenge(&mut self) {
        let Some(login) = self.login_mut() else {
            return;
        };
        if login.challenge_proves_nothing() {
            login.make_challenge_optional();
        }
        let Some(reason) = login.challenge_fault() else {
            return;
        };
        let endpoint = login.endpoint.clone();
        let proves = |walk: &&mut Walk| {
            let goes_on = walk.has_pulled() || walk.is_unseen();
            goes_on && walk.endpoints().any(|asked| *asked == endpoint)
        };
        let proofs = self.walks.iter_mut().filter(proves);
        let proofs = proofs.map(|walk| walk.challenge = Some(reason)).count();
        if let Some(login) = self.login_mut().filter(|_| proofs > 0) {
            login.make_challenge_optional();
        }
    }

    /// As [`Self::settle_challenge`], for an answer that came after the walks.
    fn settle_later_challenge(&mut self) {
        let noted: Vec<_> = self
            .walks
            .iter()
            .filter_map(|walk| walk.challenge)
            .collect();
        if let Some(login) = self.login_mut()
            && login
                .challenge_fault()
                .is_some_and(|reason| noted.contains(&reason))
        {
            login.make_challenge_optional();
        }
    }

    /// The answer to `/v2/` of a registry that has not been seen to serve an image, and that says nothing of pulls.
    pub(crate) fn unproven(&self) -> Option<(&EndpointOutcome, &Fault)> {
        let is_login = |seen: &&EndpointOutcome| seen.endpoint.role == Role::Login;
        let login = self.endpoints.iter().find(is_login)?;
        let challenge = login.stage(Stage::Challenge)?;
        let fault = challenge.result.as_ref().err()?;
        (challenge.optional && self.walks.is_empty()).then_some((login, fault))
    }

    fn login_mut(&mut self) -> Option<&mut EndpointOutcome> {
        let mut endpoints = self.endpoints.iter_mut();
        endpoints.find(|seen| seen.endpoint.role == Role::Login)
    }

    /// Whether a request to `endpoint` would go the way that it went before. What was not looked at has not changed.
    fn is_as_before(&self, before: &Self, endpoint: &Endpoint) -> bool {
        match (self.of(endpoint), before.of(endpoint)) {
            (Some(now), Some(before)) => now.leads_where(before),
            _ => true,
        }
    }

    /// What was seen of one endpoint.
    pub fn of(&self, endpoint: &Endpoint) -> Option<&EndpointOutcome> {
        self.endpoints
            .iter()
            .find(|seen| seen.endpoint == *endpoint)
    }
}
