//! Where a probe goes on the way of a pull, and where it does not although the client would.

use std::net::IpAddr;

use hyper::header::AUTHORIZATION;

use crate::{
    client::{
        containerd::{self, Content},
        pull_hosts::{PullHost, PullHosts},
    },
    words::endpoint::{Endpoint, Scheme},
};

/// Why a probe does not go where the client would.
pub(super) fn not_followed(
    request: &containerd::WalkRequest,
    hosts: &PullHosts,
    host: &PullHost,
    may_dial: fn(IpAddr) -> bool,
) -> Option<&'static str> {
    let url = &request.url;
    if !url.username().is_empty() || url.password().is_some() {
        return Some("the URL carries credentials");
    }
    let there = Endpoint::of(url, host.endpoint.role)?;
    if request.offered.is_some() && !hosts.take_credential_at(request.host, &there) {
        return Some("a probe offers a credential to the registry itself alone, and over TLS");
    }
    if host.is_at(&there) {
        return None;
    }
    let address = there.literal();
    if address.is_some_and(|address| !may_dial(address)) {
        return Some("a probe is not led to this node, its link or a metadata service");
    }
    let is_secure = host.endpoint.scheme == Scheme::Https && !host.client.falls_back;
    let in_the_clear = url.scheme() == "http" && is_secure;
    if in_the_clear && request.headers.contains_key(AUTHORIZATION) {
        return Some("a token would go there in the clear");
    }
    if in_the_clear && request.content == Content::Token {
        return Some("a token would come from there in the clear");
    }
    None
}
