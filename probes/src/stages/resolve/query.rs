//! One question to a nameserver: the packet that carries it, and which packets answer it.

use std::{io, net::SocketAddr, time::Duration};

use aws_lc_rs::rand;
use hickory_resolver::proto::{
    op::{Edns, Header, Message, MessageType, Metadata, OpCode, Query},
    rr::{Name, RecordType},
    serialize::binary::{BinDecodable, BinDecoder},
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::UdpSocket,
    time::{Instant, timeout_at},
};

use super::answer::{self, Answer, ResolveFault};
use crate::{
    net::{
        io_fault::IoFault,
        wire::{self, Control, want_stamps},
    },
    stages::connect,
};

/// The UDP payload in bytes that EDNS announces: safe on any path (DNS flag day 2020).
const UDP_PAYLOAD: u16 = 1232;
/// More datagrams than this without an answer are a flood.
const MAX_STRAYS: u32 = 64;

/// One question and the packet that carries it.
pub(crate) struct DnsQuery {
    id: u16,
    query: Query,
    pub(crate) packet: Vec<u8>,
}

impl DnsQuery {
    pub(crate) fn new(name: &str, record_type: RecordType) -> Result<Self, ResolveFault> {
        let mut id = [0; 2];
        rand::fill(&mut id).map_err(|_| IoFault::Unknown)?;
        Self::with_id(u16::from_be_bytes(id), name, record_type)
    }

    pub(crate) fn with_id(
        id: u16,
        name: &str,
        record_type: RecordType,
    ) -> Result<Self, ResolveFault> {
        let mut name = Name::from_ascii(name)
            .map_err(|_| ResolveFault::Malformed("the name cannot be looked up"))?;
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
            .map_err(|_| ResolveFault::Malformed("the name cannot be looked up"))?;
        Ok(Self { id, query, packet })
    }

    /// The answer and how long it took, or `None` if it is truncated.
    pub(super) async fn ask_over_udp(
        &self,
        server: SocketAddr,
        deadline: Instant,
    ) -> Result<Option<(Message, Duration)>, ResolveFault> {
        let (socket, sent) = self.send_over_udp(server).map_err(IoFault::from)?;
        let (mut buffer, mut control) = ([0; 4096], Control::new());
        for strays in 0..=MAX_STRAYS {
            // The socket may report a refused connection before anyone listens; it is then only an
            // error.
            let receive = socket.async_io(Interest::READABLE | Interest::ERROR, || {
                wire::receive(&socket, &mut buffer, &mut control)
            });
            let Ok(received) = timeout_at(deadline, receive).await else {
                return Err(match strays {
                    0 => IoFault::Timeout.into(),
                    _ => ResolveFault::Strays("only datagrams that do not answer the question"),
                });
            };
            let (length, at) = received.map_err(IoFault::from)?;
            let datagram = &buffer[..length];
            if let Some(metadata) = self.answered_by(datagram) {
                return match metadata.truncation {
                    true => Ok(None),
                    false => {
                        let took = at.saturating_duration_since(sent);
                        answer::decode(datagram).map(|message| Some((message, took)))
                    }
                };
            }
        }
        Err(ResolveFault::Strays(
            "a flood of datagrams that do not answer the question",
        ))
    }

    /// A new socket always has room for the question.
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
    pub(super) async fn ask_over_tcp(
        &self,
        server: SocketAddr,
        deadline: Instant,
        max_bytes: u16,
    ) -> Result<Message, ResolveFault> {
        let mut stream = connect::dial(server, deadline).await?.0;
        let length = u16::try_from(self.packet.len()).unwrap_or(u16::MAX);
        let framed = [&length.to_be_bytes(), self.packet.as_slice()].concat();
        stream.write_all(&framed).await.map_err(IoFault::from)?;
        let length = stream.read_u16().await.map_err(IoFault::from)?;
        if length > max_bytes {
            return Err(ResolveFault::Malformed("an answer that is too large"));
        }
        let mut message = vec![0; usize::from(length)];
        stream
            .read_exact(&mut message)
            .await
            .map_err(IoFault::from)?;
        match self.answered_by(&message) {
            Some(_) => answer::decode(&message),
            None => Err(ResolveFault::Malformed(
                "an answer over TCP to another question",
            )),
        }
    }

    /// What a packet answers to this question.
    pub(crate) fn read_packet(&self, packet: &[u8]) -> Result<Answer, ResolveFault> {
        match self.answered_by(packet) {
            Some(_) => self.read(&answer::decode(packet)?),
            None => Err(ResolveFault::Malformed("an answer to another question")),
        }
    }

    /// The header of a response with our id to our question, whatever else the message contains.
    fn answered_by(&self, message: &[u8]) -> Option<Metadata> {
        let mut decoder = BinDecoder::new(message);
        let header = Header::read(&mut decoder).ok()?;
        let queries = Message::read_queries(&mut decoder, header.counts.queries.min(2).into());
        let ours = header.metadata.id == self.id
            && header.metadata.message_type == MessageType::Response
            && queries.ok()?.as_slice() == [self.query.clone()];
        ours.then_some(header.metadata)
    }

    /// What a message says that is known to answer this question.
    pub(super) fn read(&self, message: &Message) -> Result<Answer, ResolveFault> {
        answer::read(message, self.query.name())
    }
}
