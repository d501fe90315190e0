//! The stage `resolve`: one name asked at one nameserver, A and AAAA side by side. Every question
//! is one packet from a socket of its own, never repeated, so a lost packet is a time-out and a
//! closed port is refused. No cache, no search list, no other nameserver: those are the caller's.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::rand;
use hickory_resolver::proto::{
    op::{Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType},
    serialize::binary::{BinDecodable, BinDecoder},
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::UdpSocket,
    time::{Instant, timeout_at},
};

use crate::{
    net::{
        io_fault::IoFault,
        wire::{self, Control, want_stamps},
    },
    stages::connect,
    words::{endpoint::Nameserver, reason::Reason},
};

/// What EDNS says we take over UDP: safe on any path (DNS flag day 2020).
const UDP_PAYLOAD: u16 = 1232;
/// A longer alias chain is not followed.
const MAX_CHAIN: usize = 64;
/// More datagrams than this that do not answer the question are a flood.
const MAX_STRAYS: u32 = 64;

/// Asks `nameserver` for the IPv4 and IPv6 addresses of `name`, each within `limit`, and over TCP for no
/// more than `most` bytes.
pub async fn lookup(
    nameserver: &Arc<Nameserver>,
    name: &str,
    limit: Duration,
    most: u16,
) -> Lookup {
    let (a, aaaa) = tokio::join!(
        timed_ask(nameserver.address, name, RecordType::A, limit, most),
        timed_ask(nameserver.address, name, RecordType::AAAA, limit, most),
    );
    Lookup {
        nameserver: nameserver.clone(),
        name: name.into(),
        took: a.0.max(aaaa.0),
        a: a.1,
        aaaa: aaaa.1,
    }
}

/// What one nameserver said of one name.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// Who was asked.
    pub nameserver: Arc<Nameserver>,
    /// The name as asked.
    pub name: Arc<str>,
    /// The slower of the two questions.
    pub took: Duration,
    /// The IPv4 question.
    pub a: Result<Answer, ResolveFault>,
    /// The IPv6 question.
    pub aaaa: Result<Answer, ResolveFault>,
}

impl Lookup {
    /// The addresses of both families, IPv4 first, each in the order of its answer.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.answers()
            .flat_map(|answer| answer.addresses.iter().copied())
    }

    /// The same, each once and in order.
    pub fn address_set(&self) -> Vec<IpAddr> {
        let mut addresses: Vec<_> = self.addresses().collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// The longest alias chain seen, negative answers included.
    pub fn chain(&self) -> &[Alias] {
        [&self.a, &self.aaaa]
            .into_iter()
            .map(|result| match result {
                Ok(answer) => answer.chain.as_slice(),
                Err(fault) => fault.negative().map_or(&[][..], |negative| &negative.chain),
            })
            .max_by_key(|chain| chain.len())
            .unwrap_or_default()
    }

    /// The lowest TTL of the records that gave the addresses, in seconds.
    pub fn ttl(&self) -> Option<u32> {
        self.answers().map(|answer| answer.ttl).min()
    }

    /// Why the lookup failed. A family without addresses is no failure while the other has some;
    /// a question that got no proper answer always is, because a client waits for both.
    pub fn fault(&self) -> Option<&ResolveFault> {
        let faults = || {
            [&self.a, &self.aaaa]
                .into_iter()
                .filter_map(|r| r.as_ref().err())
        };
        faults()
            .find(|fault| fault.negative().is_none())
            .or_else(|| {
                let found = self.addresses().next().is_some();
                let nxdomain = || faults().find(|f| matches!(f, ResolveFault::NxDomain(_)));
                (!found)
                    .then(|| nxdomain().or_else(|| faults().next()))
                    .flatten()
            })
    }

    fn answers(&self) -> impl Iterator<Item = &Answer> {
        [&self.a, &self.aaaa].into_iter().flatten()
    }
}

/// A positive answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The aliases between the name asked and the name that holds the addresses.
    pub chain: Vec<Alias>,
    /// In the order of the answer; never empty.
    pub addresses: Vec<IpAddr>,
    /// The lowest TTL in the answer, in seconds.
    pub ttl: u32,
    /// Whether there is more than even an answer over TCP can hold.
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

/// An answer that there is nothing (RFC 2308).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negative {
    /// The aliases that led to where there is nothing.
    pub chain: Vec<Alias>,
    /// The zone that says so: owner of the SOA record in the authority section.
    pub soa: Option<String>,
}

/// Why one question got no address.
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
    /// A server that does not recurse and knows nothing of the name.
    #[error("the nameserver only refers elsewhere")]
    LameReferral,
    /// REFUSED, NOTIMP or NOTAUTH.
    #[error("the nameserver will not answer ({0})")]
    Rejected(&'static str),
    /// Aliases of each other, and no address: to Go's resolver there is no such host.
    #[error("malformed answer: the alias chain does not end")]
    AliasLoop,
    /// What came back is no answer to the question.
    #[error("malformed answer: {0}")]
    Malformed(&'static str),
    /// There is nobody to ask.
    #[error("no nameserver is configured")]
    NoNameserver,
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
            Self::AliasLoop | Self::Malformed(_) => Reason::Malformed,
            Self::NoNameserver => Reason::NoNameserver,
        }
    }

    /// The proper answer that there is nothing, if it is one.
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

async fn timed_ask(
    server: SocketAddr,
    name: &str,
    record_type: RecordType,
    limit: Duration,
    most: u16,
) -> (Duration, Result<Answer, ResolveFault>) {
    let start = Instant::now();
    let (answer, on_the_wire) = match ask(server, name, record_type, start + limit, most).await {
        Ok(asked) => asked,
        Err(fault) => (Err(fault), None),
    };
    (on_the_wire.unwrap_or_else(|| start.elapsed()), answer)
}

/// What the answer says, and how long it was on its way if it is one datagram.
async fn ask(
    server: SocketAddr,
    name: &str,
    record_type: RecordType,
    deadline: Instant,
    most: u16,
) -> Result<(Result<Answer, ResolveFault>, Option<Duration>), ResolveFault> {
    let question = Question::new(name, record_type)?;
    if let Some((message, took)) = question.ask_over_udp(server, deadline).await? {
        return Ok((question.read(&message), Some(took)));
    }
    let message = timeout_at(deadline, question.ask_over_tcp(server, deadline, most))
        .await
        .map_err(|_| IoFault::Timeout)??;
    Ok((question.read(&message), None))
}

/// One question and the packet that carries it.
pub(crate) struct Question {
    id: u16,
    query: Query,
    pub(crate) packet: Vec<u8>,
}

impl Question {
    pub(crate) fn new(name: &str, record_type: RecordType) -> Result<Self, ResolveFault> {
        let mut id = [0; 2];
        rand::fill(&mut id).map_err(|_| IoFault::Local(crate::net::io_fault::Errno(0)))?;
        Self::with_id(u16::from_be_bytes(id), name, record_type)
    }

    pub(crate) fn with_id(
        id: u16,
        name: &str,
        record_type: RecordType,
    ) -> Result<Self, ResolveFault> {
        let mut name = Name::from_ascii(name)
            .map_err(|_| ResolveFault::Malformed("the name cannot be asked"))?;
        name.set_fqdn(true);
        let query = Query::query(name, record_type);

        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(query.clone());
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD);
        message.set_edns(edns);
        let packet = message
            .to_vec()
            .map_err(|_| ResolveFault::Malformed("the name cannot be asked"))?;
        Ok(Self { id, query, packet })
    }

    /// The answer and how long it took, or `None` where it says that it is truncated.
    async fn ask_over_udp(
        &self,
        server: SocketAddr,
        deadline: Instant,
    ) -> Result<Option<(Message, Duration)>, ResolveFault> {
        let (socket, sent) = self.send_over_udp(server).map_err(IoFault::from)?;
        let (mut buffer, mut control) = ([0; 4096], Control::new());
        for strays in 0..=MAX_STRAYS {
            // A refusal may be there before anybody listens, and is no more than an error then.
            let receive = socket.async_io(Interest::READABLE | Interest::ERROR, || {
                wire::receive(&socket, &mut buffer, &mut control)
            });
            let Ok(received) = timeout_at(deadline, receive).await else {
                return Err(match strays {
                    0 => IoFault::Timeout.into(),
                    _ => ResolveFault::Malformed("only datagrams that do not fit the question"),
                });
            };
            let (length, at) = received.map_err(IoFault::from)?;
            let datagram = &buffer[..length];
            if let Some(metadata) = self.answered_by(datagram) {
                return match metadata.truncation {
                    true => Ok(None),
                    false => {
                        let took = at.saturating_duration_since(sent);
                        decode(datagram).map(|message| Some((message, took)))
                    }
                };
            }
        }
        Err(ResolveFault::Malformed(
            "a flood of datagrams that do not fit the question",
        ))
    }

    /// A socket of its own has room for the question at once.
    fn send_over_udp(&self, server: SocketAddr) -> io::Result<(UdpSocket, Instant)> {
        let kind = Type::DGRAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(server), kind, Some(Protocol::UDP))?;
        socket.connect(&server.into())?;
        want_stamps(&socket);
        let sent = Instant::now();
        socket.send(&self.packet)?;
        Ok((UdpSocket::from_std(socket.into())?, sent))
    }

    /// RFC 7766: two bytes of length, then the message.
    async fn ask_over_tcp(
        &self,
        server: SocketAddr,
        deadline: Instant,
        most: u16,
    ) -> Result<Message, ResolveFault> {
        let mut stream = connect::dial(server, deadline).await?.0;
        let length = u16::try_from(self.packet.len()).unwrap_or(u16::MAX);
        let framed = [&length.to_be_bytes(), self.packet.as_slice()].concat();
        stream.write_all(&framed).await.map_err(IoFault::from)?;
        let length = stream.read_u16().await.map_err(IoFault::from)?;
        if length > most {
            return Err(ResolveFault::Malformed("an answer larger than anybody's"));
        }
        let mut message = vec![0; usize::from(length)];
        stream
            .read_exact(&mut message)
            .await
            .map_err(IoFault::from)?;
        match self.answered_by(&message) {
            Some(_) => decode(&message),
            None => Err(ResolveFault::Malformed(
                "an answer over TCP to another question",
            )),
        }
    }

    /// What a packet answers.
    pub(crate) fn read_packet(&self, packet: &[u8]) -> Result<Answer, ResolveFault> {
        match self.answered_by(packet) {
            Some(_) => self.read(&decode(packet)?),
            None => Err(ResolveFault::Malformed("an answer to another question")),
        }
    }

    /// The header of a response with our id to our question, whatever else the message holds.
    fn answered_by(&self, message: &[u8]) -> Option<Metadata> {
        let mut decoder = BinDecoder::new(message);
        let header = Header::read(&mut decoder).ok()?;
        let queries = Message::read_queries(&mut decoder, header.counts.queries.min(2).into());
        let ours = header.metadata.id == self.id
            && header.metadata.message_type == MessageType::Response
            && queries.ok()?.as_slice() == [self.query.clone()];
        ours.then_some(header.metadata)
    }

    fn read(&self, message: &Message) -> Result<Answer, ResolveFault> {
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
        let chain = follow_aliases(self.query.name(), &message.answers)?;
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
}

fn decode(message: &[u8]) -> Result<Message, ResolveFault> {
    Message::from_vec(message).map_err(|_| ResolveFault::Malformed("the answer cannot be decoded"))
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

/// An empty answer without authority from a server that offers no recursion: Go's resolver moves
/// on to the next server (net/dnsclient_unix.go, `checkHeader`), so it is no answer.
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
