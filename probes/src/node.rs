//! The node as a probe sees it: its resolver's files, the nameservers to ask, the roots to trust and
//! the limits to keep.

use std::{sync::Arc, time::Duration};

pub(crate) use self::proxy::{ProxyCredentials, ProxyUrl};
pub use self::{
    containerd_release::ContainerdRelease, host_settings::HostSettings, hosts::Hosts,
    proxy::ProxyRules, resolv_conf::ResolvConf, root::Root,
};
use crate::words::endpoint::Nameserver;

pub(crate) mod certs_d;
mod containerd_release;
mod go_duration;
mod go_program;
mod host_settings;
pub(crate) mod hosts;
pub(crate) mod misconfigured;
pub(crate) mod proxy;
pub(crate) mod registry_host;
pub(crate) mod regular_file;
pub(crate) mod resolv_conf;
pub(crate) mod root;
pub(crate) mod trust;
pub(crate) mod unseen;

/// What all probes of a round share.
#[derive(Clone)]
pub struct Node {
    /// The node's own first, in its order, then those that the configuration adds.
    pub nameservers: Vec<Arc<Nameserver>>,
    /// The resolver's rules.
    pub resolv_conf: ResolvConf,
    /// The node's hosts file: names with pinned addresses.
    pub hosts: Hosts,
    /// Names that the node's own DNS cache (AKS LocalDNS) pins.
    pub localdns_hosts: Hosts,
    /// Where its files are found.
    pub root: Root,
    /// Where its client reads which hosts it asks for a registry.
    pub host_settings: HostSettings,
    /// A digest of what these files hold, by which rounds see that one of them changed.
    pub files: u64,
    /// Which containerd pulls; `None` if that is not known, and then the rules of the newest hold.
    pub containerd: Option<ContainerdRelease>,
    /// Which hosts are reached through a proxy.
    pub proxies: ProxyRules,
    /// How long one question to one nameserver may take; as long as the node's client waits where that is longer.
    pub question_limit: Duration,
    /// How long any other stage may take.
    pub stage_limit: Duration,
}

impl Node {
    /// The release of containerd whose rules hold.
    pub(crate) fn release(&self) -> ContainerdRelease {
        self.containerd.unwrap_or(ContainerdRelease::NEWEST)
    }
}
