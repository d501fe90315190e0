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
    /// The answer, or why there was none.
    pub kind: ReplyKind,
    /// How long it took. It does not matter for a timeout, because Go waits as resolv.conf says.
    pub took: Duration,
}

/// A reply, by what Go does about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReplyKind {
    /// Addresses, in the order of the answer.
    Addresses(Vec<IpAddr>),
    /// NXDOMAIN: final.
    NxDomain,
    /// No record of this type: final.
    NoData,
    /// SERVFAIL: the next nameserver is asked, as for all that follow.
    ServFail,
    /// REFUSED or another error code.
    Rejected,
    /// No answer, no authority and no recursion.
    LameReferral,
    /// Not decodable as DNS after its header.
    Malformed,
    /// No answer in time.
    Timeout,
    /// The nameserver's port is closed.
    PortClosed,
    /// There is no route to the nameserver.
    Unreachable,
}

impl Reply {
    /// How long Go waits for the reply, and what it makes of it. Every fault except
    /// [`LookupFault::NoSuchHost`] makes Go ask the next nameserver.
    pub(super) fn within(&self, timeout: Duration) -> (Duration, Result<&[IpAddr], LookupFault>) {
        let outcome = match &self.kind {
            ReplyKind::Timeout => return (timeout, Err(LookupFault::Timeout)),
            _ if self.took >= timeout => return (timeout, Err(LookupFault::Timeout)),
            ReplyKind::Addresses(addresses) if !addresses.is_empty() => Ok(&**addresses),
            ReplyKind::Addresses(_) | ReplyKind::NxDomain | ReplyKind::NoData => {
                Err(LookupFault::NoSuchHost)
            }
            ReplyKind::ServFail => Err(LookupFault::ServFail),
            ReplyKind::Rejected => Err(LookupFault::Rejected),
            ReplyKind::LameReferral => Err(LookupFault::LameReferral),
            ReplyKind::Malformed => Err(LookupFault::Malformed),
            ReplyKind::PortClosed => Err(LookupFault::PortClosed),
            ReplyKind::Unreachable => Err(LookupFault::Unreachable),
        };
        (self.took, outcome)
    }
}
