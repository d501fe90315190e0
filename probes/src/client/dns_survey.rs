//! What the survey saw of nameservers, in the terms of Go's resolver: questions and what came back.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::lookup_error::LookupFault;

/// What the survey saw: for each question what came back. Names as [`ResolvConf::names`](crate::node::ResolvConf::names) gives
/// them.
pub(crate) type DnsSurvey = BTreeMap<Question, Reply>;

/// One question to one nameserver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Question {
    /// Who is asked.
    pub nameserver: SocketAddr,
    /// Fully qualified, with the dot at its end.
    pub name: String,
    /// What for.
    pub family: Family,
}

/// The record type asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    /// A
    V4,
    /// AAAA
    V6,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The answer, or how there was none.
    pub kind: ReplyKind,
    /// How long that took. For a time-out it does not matter: Go waits by resolv.conf.
    pub took: Duration,
}

/// An answer, by what Go does about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReplyKind {
    /// Addresses, in the order of the answer.
    Addresses(Vec<IpAddr>),
    /// NXDOMAIN: final.
    NxDomain,
    /// No record of this type: final.
    NoData,
    /// SERVFAIL: the next nameserver is asked. So for all below.
    ServFail,
    /// REFUSED or another error code.
    Rejected,
    /// No answer, no authority and no recursion.
    LameReferral,
    /// Not readable as DNS behind its header.
    Malformed,
    /// Nothing in time.
    Timeout,
    /// The nameserver's port is closed.
    PortClosed,
    /// There is no route to the nameserver.
    Unreachable,
}

impl Reply {
    /// How long Go waits for the reply and what it makes of it. Every fault but
    /// [`LookupFault::NoSuchHost`] sends it to the next nameserver.
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
