//! An endpoint that a round visits, and on whose behalf.

use std::net::IpAddr;

use crate::{
    client::pull_hosts::PullHost,
    node::registry_host::{HostClient, SHARED_CLIENT},
    words::endpoint::{Endpoint, Turn},
};

/// An endpoint to visit, and how.
#[derive(Clone, Copy)]
pub(super) struct Destination<'a> {
    pub endpoint: &'a Endpoint,
    pub turn: Turn,
    /// Whose client asks there.
    pub client: &'a HostClient,
    /// Whether it may ask there what a tag means.
    pub resolves: bool,
    /// Which addresses may be dialled.
    pub may_dial: fn(IpAddr) -> bool,
}

impl<'a> Destination<'a> {
    /// By the client that hosts share, at any address.
    pub(super) fn new(endpoint: &'a Endpoint, turn: Turn) -> Self {
        Self {
            endpoint,
            turn,
            client: &SHARED_CLIENT,
            resolves: true,
            may_dial: |_| true,
        }
    }

    pub(super) fn host(host: &'a PullHost) -> Self {
        Self {
            client: &host.client,
            resolves: host.capabilities.resolve,
            ..Self::new(&host.endpoint, host.turn)
        }
    }

    pub(super) fn asked_by(self, client: &'a HostClient) -> Self {
        Self { client, ..self }
    }

    /// A registry led there, so only some addresses may be dialled.
    pub(super) fn led_there(self, may_dial: fn(IpAddr) -> bool) -> Self {
        Self { may_dial, ..self }
    }
}
