//! Why a lookup fails, in Go's words.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use crate::{net::io_fault::IoFault, stages::resolve::ResolveFault};

/// Why a lookup failed, in Go's words. Of the sender's address it shows what is known; nobody can
/// predict its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LookupError {
    /// The name as it was asked for, without a search suffix.
    pub host: String,
    /// The nameserver that failed last; `None` if no nameserver is to blame.
    pub nameserver: Option<SocketAddr>,
    /// What happened.
    pub fault: LookupFault,
    /// The node's address towards the nameserver.
    pub from: Option<IpAddr>,
    /// Whether the question went over TCP.
    pub over_tcp: bool,
}

/// What ended a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LookupFault {
    /// NXDOMAIN, no data, or no name that could be asked for.
    NoSuchHost,
    /// SERVFAIL.
    ServFail,
    /// REFUSED or another error code.
    Rejected,
    /// No answer, no authority and no recursion.
    LameReferral,
    /// Not decodable as DNS after its header.
    Malformed,
    /// No nameserver answered in time.
    Timeout,
    /// The nameserver's port is closed.
    PortClosed,
    /// The nameserver resets the TCP connection.
    Reset,
    /// The nameserver closes the TCP connection before its answer.
    Closed,
    /// There is no route to the nameserver.
    Unreachable,
    /// The node does not have the nameserver's address: ::1, without IPv6.
    NoSuchAddress,
    /// EPERM: the node's firewall drops the question.
    NotPermitted,
    /// EACCES: a route prohibits the nameserver.
    Prohibited,
    /// The time for the whole dial was over before the nameservers had used theirs.
    OutOfTime,
}

impl LookupFault {
    /// What Go's resolver makes of a question that got no addresses.
    pub(crate) fn of(fault: &ResolveFault) -> Self {
        match fault {
            ResolveFault::NxDomain(_) | ResolveFault::NoData(_) | ResolveFault::AliasLoop => {
                Self::NoSuchHost
            }
            ResolveFault::ServFail => Self::ServFail,
            ResolveFault::Rejected(_) => Self::Rejected,
            ResolveFault::LameReferral => Self::LameReferral,
            ResolveFault::Malformed(_) => Self::Malformed,
            ResolveFault::Strays(_) => Self::Timeout,
            ResolveFault::Io(fault) | ResolveFault::NoNameserver(fault) => match fault {
                IoFault::Timeout => Self::Timeout,
                IoFault::Refused => Self::PortClosed,
                IoFault::Reset => Self::Reset,
                IoFault::Closed => Self::Closed,
                IoFault::Denied(errno) if errno.0 == libc::EPERM => Self::NotPermitted,
                IoFault::Denied(_) => Self::Prohibited,
                IoFault::Local(errno) if errno.0 == libc::EADDRNOTAVAIL => Self::NoSuchAddress,
                IoFault::Unreachable(_) | IoFault::Local(_) | IoFault::Unknown => Self::Unreachable,
            },
        }
    }
}

impl std::error::Error for LookupError {}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lookup {}", self.host)?;
        let Some(nameserver) = self.nameserver else {
            return f.write_str(if self.fault == LookupFault::OutOfTime {
                ": i/o timeout"
            } else {
                ": no such host"
            });
        };
        write!(f, " on {nameserver}: ")?;
        let transport = if self.over_tcp { "tcp" } else { "udp" };
        let from = match self.from {
            Some(IpAddr::V4(address)) => format!("{address}:*"),
            Some(IpAddr::V6(address)) => format!("[{address}]:*"),
            None => "*".to_owned(),
        };
        match self.fault {
            LookupFault::NoSuchHost => f.write_str("no such host"),
            LookupFault::ServFail | LookupFault::Rejected => f.write_str("server misbehaving"),
            LookupFault::LameReferral => f.write_str("lame referral"),
            LookupFault::Malformed => f.write_str("cannot unmarshal DNS message"),
            LookupFault::OutOfTime => f.write_str("i/o timeout"),
            LookupFault::Timeout if self.over_tcp => {
                write!(f, "dial tcp {nameserver}: i/o timeout")
            }
            LookupFault::Timeout => write!(f, "read udp {from}->{nameserver}: i/o timeout"),
            LookupFault::PortClosed if self.over_tcp => {
                write!(f, "dial tcp {nameserver}: connect: connection refused")
            }
            // Or, where an answer is truncated, of its port for TCP.
            LookupFault::PortClosed => f.write_str("…connection refused"),
            LookupFault::Reset => write!(
                f,
                "read tcp {from}->{nameserver}: read: connection reset by peer"
            ),
            // Or an unexpected one, where a part of it came.
            LookupFault::Closed => f.write_str("…EOF"),
            LookupFault::NotPermitted => write!(
                f,
                "write {transport} {from}->{nameserver}: write: operation not permitted"
            ),
            LookupFault::Prohibited => write!(
                f,
                "dial {transport} {nameserver}: connect: permission denied"
            ),
            LookupFault::NoSuchAddress => write!(
                f,
                "dial {transport} {nameserver}: connect: cannot assign requested address"
            ),
            LookupFault::Unreachable => write!(
                f,
                "dial {transport} {nameserver}: connect: network is unreachable"
            ),
        }
    }
}
