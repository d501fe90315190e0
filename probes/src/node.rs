//! The node as a probe sees it: its resolver's files, the nameservers to ask, the roots to trust
//! and the limits to keep.

use std::{sync::Arc, time::Duration};

pub use self::{
    hosts::Hosts,
    proxy::{ProxyCredentials, ProxyError, ProxyRules, ProxyScheme, ProxyUrl},
    resolv_conf::ResolvConf,
};
use crate::{endpoint::Nameserver, tls::TlsClient};

mod hosts;
mod proxy;
mod resolv_conf;

/// What all probes of a round share.
#[derive(Clone)]
pub struct Node {
    /// The node's own first, in its order, then those that the configuration adds.
    pub nameservers: Vec<Arc<Nameserver>>,
    /// The resolver's rules.
    pub resolv_conf: ResolvConf,
    /// Pinned names.
    pub hosts: Hosts,
    /// The TLS set-up.
    pub tls: TlsClient,
    /// For one question to one nameserver.
    pub question_limit: Duration,
    /// For any other stage.
    pub stage_limit: Duration,
}
