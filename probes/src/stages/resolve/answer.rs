//! What a nameserver's answer says, or why a question got no addresses.

use std::net::IpAddr;

use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};

use crate::{net::io_fault::IoFault, words::reason::Reason};

/// A longer alias chain is not followed.
const MAX_CHAIN: usize = 64;

/// A positive answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The aliases between the name asked and the name that holds the addresses.
    pub chain: Vec<Alias>,
    /// In the order of the answer; never empty.
    pub addresses: Vec<IpAddr>,
    /// The lowest TTL in the answer, in seconds.
    pub ttl: u32,
    /// Whether more was cut off than even an answer over TCP can hold.
    pub is_cut: bool,
}

/// One CNAME record of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// What the alias points to, in lower case without a trailing dot.
    pub name: String,
    /// The record's TTL in seconds.
    pub ttl: u32,
}

/// A negative answer (RFC 2308).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negative {
    /// The aliases that led to the name without an answer.
    pub chain: Vec<Alias>,
    /// The zone that says so: the owner of the SOA record in the authority section.
    pub soa: Option<String>,
}

/// Why a question got no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveFault {
    /// The socket's fault.
    #[error(transparent)]
    Io(#[from] IoFault),
    /// The name does not exist.
    #[error("no such name{}", says(.0))]
    NxDomain(Negative),
    /// The name exists without an address of this family.
    #[error("no address{}", says(.0))]
    NoData(Negative),
    /// SERVFAIL.
    #[error("the nameserver failed (SERVFAIL)")]
    ServFail,
    /// The server does not recurse and knows nothing about the name.
    #[error("the nameserver only refers elsewhere")]
    LameReferral,
    /// REFUSED, NOTIMP or NOTAUTH.
    #[error("the nameserver will not answer ({0})")]
    Rejected(&'static str),
    /// Aliases that lead to each other, and no address: for Go's resolver there is no such host.
    #[error("malformed answer: the alias chain does not end")]
    AliasLoop,
    /// What came back does not answer the question.
    #[error("malformed answer: {0}")]
    Malformed(&'static str),
    /// Datagrams that do not answer the question, until the time was over: Go passes them over.
    #[error("malformed answer: {0}")]
    Strays(&'static str),
    /// Nobody answers where Go asks because no nameserver is configured.
    #[error("{0}, and resolv.conf names no nameserver")]
    NoNameserver(IoFault),
}

impl ResolveFault {
    /// The reason that this fault counts as.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Io(fault) => fault.reason(),
            Self::NxDomain(_) => Reason::NxDomain,
            Self::NoData(_) => Reason::NoData,
            Self::ServFail => Reason::ServFail,
            Self::Rejected(_) | Self::LameReferral => Reason::Rejected,
            Self::AliasLoop | Self::Malformed(_) | Self::Strays(_) => Reason::Malformed,
            Self::NoNameserver(_) => Reason::NoNameserver,
        }
    }

    /// The negative answer, if it is a proper one.
    pub fn negative(&self) -> Option<&Negative> {
        match self {
            Self::NxDomain(negative) | Self::NoData(negative) => Some(negative),
            _ => None,
        }
    }
}

fn says(negative: &Negative) -> String {
    negative
        .soa
        .as_ref()
        .map(|zone| format!(", says zone {zone}"))
        .unwrap_or_default()
}

/// Decodes the message in a packet.
pub(super) fn decode(message: &[u8]) -> Result<Message, ResolveFault> {
    Message::from_vec(message).map_err(|_| ResolveFault::Malformed("the answer cannot be decoded"))
}

/// What `message` says about the addresses of `name`.
pub(super) fn read(message: &Message, name: &Name) -> Result<Answer, ResolveFault> {
    match message.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        ResponseCode::ServFail => return Err(ResolveFault::ServFail),
        ResponseCode::Refused => return Err(ResolveFault::Rejected("REFUSED")),
        ResponseCode::NotImp => return Err(ResolveFault::Rejected("NOTIMP")),
        ResponseCode::NotAuth => return Err(ResolveFault::Rejected("NOTAUTH")),
        ResponseCode::FormErr => return Err(ResolveFault::Malformed("FORMERR")),
        _ => {
            return Err(ResolveFault::Malformed(
                "a response code that lookups do not have",
            ));
        }
    }
    let chain = follow_aliases(name, &message.answers)?;
    let addresses: Vec<_> = message.answers.iter().filter_map(address).collect();
    let nothing = |chain| Negative {
        chain,
        soa: soa_owner(message),
    };
    if message.metadata.response_code == ResponseCode::NXDomain {
        return Err(ResolveFault::NxDomain(nothing(chain)));
    }
    if !addresses.is_empty() {
        let ttl = message
            .answers
            .iter()
            .map(|record| record.ttl)
            .min()
            .unwrap_or(0);
        return Ok(Answer {
            chain,
            addresses,
            ttl,
            is_cut: message.metadata.truncation,
        });
    }
    if is_lame_referral(message) {
        return Err(ResolveFault::LameReferral);
    }
    Err(ResolveFault::NoData(nothing(chain)))
}

fn follow_aliases(start: &Name, answers: &[Record]) -> Result<Vec<Alias>, ResolveFault> {
    let mut chain = Vec::new();
    let mut at = start;
    while let Some((ttl, target)) = answers.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if record.name == *at => Some((record.ttl, &target.0)),
        _ => None,
    }) {
        if chain.len() == MAX_CHAIN {
            return Err(ResolveFault::AliasLoop);
        }
        chain.push(Alias {
            name: plain(target),
            ttl,
        });
        at = target;
    }
    Ok(chain)
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

fn soa_owner(message: &Message) -> Option<String> {
    let soa = message
        .authorities
        .iter()
        .find(|r| r.record_type() == RecordType::SOA)?;
    Some(plain(&soa.name))
}

/// An empty answer without authority from a server that offers no recursion. Go's resolver moves on to
/// the next server (net/dnsclient_unix.go, `checkHeader`), so it is not an answer.
fn is_lame_referral(message: &Message) -> bool {
    !message.metadata.authoritative
        && !message.metadata.recursion_available
        && message.answers.is_empty()
        && soa_owner(message).is_none()
}

fn plain(name: &Name) -> String {
    let name = name.to_ascii().to_lowercase();
    name.strip_suffix('.')
        .map_or_else(|| name.clone(), str::to_owned)
}
