//! What the survey learned from nameservers, in the terms of Go's resolver: questions and replies.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::lookup_error::LookupFault;

/// The reply to each question. Names are written as
/// [`ResolvConf::names`](crate::node::ResolvConf::names) gives them.
pub(crate) type DnsSurvey = BTreeMap<Question, Reply>;

/// One question to one nameserver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Question {
    /// The nameserver that is asked.
    pub nameserver: SocketAddr,
    /// Fully qualified, with a trailing dot.
    pub name: String,
    /// The record type that is asked for.
    pub family: Family,
}

/// A record type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    /// A
    V4,
    /// AAAA
    V6,
}

/// What a question led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The addresses in the order of the answer, or why there are none.
    pub result: Result<Vec<IpAddr>, LookupFault>,
    /// How long it took. It does not matter for a timeout, because Go waits as resolv.conf says.
    pub took: Duration,
}

impl Reply {
    /// How long Go waits for the reply, and what it makes of it. Every fault except
    /// [`LookupFault::NoSuchHost`] makes Go ask the next nameserver.
    pub(super) fn within(&self, timeout: Duration) -> (Duration, Result<&[IpAddr], LookupFault>) {
        let outcome = match &self.result {
            Err(LookupFault::Timeout) => return (timeout, Err(LookupFault::Timeout)),
            _ if self.took >= timeout => return (timeout, Err(LookupFault::Timeout)),
            Ok(addresses) if addresses.is_empty() => Err(LookupFault::NoSuchHost),
            Ok(addresses) => Ok(&**addresses),
            Err(fault) => Err(*fault),
        };
        (self.took, outcome)
    }
}
