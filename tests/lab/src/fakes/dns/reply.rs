//! What becomes of a query: the truth that follows from the zones, or what a fault makes of it.

use std::time::Duration;

use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, Record, RecordType};

use super::{Asked, State, alias_record, parse, plain};

/// What RFC 1035, section 4.2.1, allows over UDP when the client does not say otherwise.
const CLASSIC_UDP_SIZE: usize = 512;

/// One way for a nameserver to go wrong, for one name or for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No query is answered, over UDP or TCP.
    Silent,
    /// The same of those for IPv6 addresses alone.
    SilentAboutAaaa,
    /// The next `n` UDP queries get lost, those after them are answered.
    DropNext(u32),
    ServFail,
    /// The answer of a server that does not serve this client or this zone.
    Refused,
    /// Every UDP answer is empty and has the TC bit; the value says what happens over TCP.
    Truncated(OverTcp),
    /// The answer to a query with another id.
    WrongId,
    /// A true answer to another question.
    WrongQuestion,
    /// Bytes that are no DNS message.
    Garbage,
    /// Bytes that are no DNS message, and then the true answer.
    GarbageThenTruth,
    /// The true answer, late.
    Delay(Duration),
    /// The true answer, its addresses in another order each time. No fault, but it must not be
    /// taken for one.
    Rotate,
    /// The name and one below it are aliases of each other.
    CnameLoop,
}

/// What a client finds that repeats a truncated query over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverTcp {
    Answers,
    Closes,
    Resets,
    Hangs,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// What goes back to the client, and when.
pub(super) struct Reply {
    pub(super) after: Duration,
    pub(super) packets: Vec<Vec<u8>>,
    pub(super) over_tcp: OverTcp,
}

impl Reply {
    fn packets(packets: Vec<Vec<u8>>) -> Self {
        Self {
            after: Duration::ZERO,
            packets,
            over_tcp: OverTcp::Answers,
        }
    }

    fn silence() -> Self {
        Self {
            over_tcp: OverTcp::Hangs,
            ..Self::packets(Vec::new())
        }
    }
}

impl State {
    /// Records a query and decides what becomes of it.
    pub(super) fn reply(&mut self, packet: &[u8], transport: Transport) -> Reply {
        let Ok(query) = Message::from_vec(packet) else {
            return Reply::silence();
        };
        let Some(question) = query.queries.first().cloned() else {
            return Reply::silence();
        };
        self.asked.push(Asked {
            name: plain(&question.name),
            record_type: question.query_type.to_string(),
            over_tcp: transport == Transport::Tcp,
        });

        let fault = match self.fault_of.get_mut(&question.name) {
            Some(fault) => Some(fault),
            None => self.fault_of_all.as_mut(),
        };
        let mut truth = self.zones.answer(&query, &question);
        let limit = match transport {
            Transport::Udp => usize::from(query.max_payload()).max(CLASSIC_UDP_SIZE),
            Transport::Tcp => usize::from(u16::MAX),
        };
        match fault {
            Some(Fault::SilentAboutAaaa) if question.query_type == RecordType::AAAA => {
                Reply::silence()
            }
            None | Some(Fault::SilentAboutAaaa) => Reply::packets(vec![encode(&truth, limit)]),
            Some(Fault::Silent) => Reply::silence(),
            Some(Fault::DropNext(left)) if *left > 0 && transport == Transport::Udp => {
                *left -= 1;
                Reply::silence()
            }
            Some(Fault::DropNext(_)) => Reply::packets(vec![encode(&truth, limit)]),
            Some(Fault::ServFail) => {
                Reply::packets(vec![encode(&error(truth, ResponseCode::ServFail), limit)])
            }
            Some(Fault::Refused) => {
                Reply::packets(vec![encode(&error(truth, ResponseCode::Refused), limit)])
            }
            Some(Fault::Truncated(_)) if transport == Transport::Udp => {
                Reply::packets(vec![encode(&truth.truncate(), limit)])
            }
            Some(Fault::Truncated(over_tcp)) => Reply {
                over_tcp: *over_tcp,
                ..Reply::packets(vec![encode(&truth, limit)])
            },
            Some(Fault::WrongId) => {
                truth.metadata.id ^= 0x5555;
                Reply::packets(vec![encode(&truth, limit)])
            }
            Some(Fault::WrongQuestion) => {
                truth.queries = vec![Query::query(parse("unasked.example"), RecordType::A)];
                Reply::packets(vec![encode(&truth, limit)])
            }
            Some(Fault::Garbage) => Reply::packets(vec![GARBAGE.to_vec()]),
            Some(Fault::GarbageThenTruth) => {
                Reply::packets(vec![GARBAGE.to_vec(), encode(&truth, limit)])
            }
            Some(Fault::Delay(delay)) => Reply {
                after: *delay,
                ..Reply::packets(vec![encode(&truth, limit)])
            },
            Some(Fault::Rotate) => {
                self.rotation += STRIDE;
                rotate_addresses(&mut truth.answers, self.rotation);
                Reply::packets(vec![encode(&truth, limit)])
            }
            Some(Fault::CnameLoop) => {
                truth.answers = cname_loop(&question.name);
                truth.authorities.clear();
                truth.metadata.response_code = ResponseCode::NoError;
                Reply::packets(vec![encode(&truth, limit)])
            }
        }
    }
}

/// How far answers rotate: short ones by one address, long ones so far that other addresses fit in the packet.
const STRIDE: usize = 1009;
const GARBAGE: &[u8] = b"\xff\xfe this is not a DNS message";

/// The message as bytes; one that does not fit becomes an empty one with the TC bit.
fn encode(message: &Message, limit: usize) -> Vec<u8> {
    let bytes = message
        .to_vec()
        .expect("names and records were checked when they were set");
    if bytes.len() <= limit {
        return bytes;
    }
    message
        .truncate()
        .to_vec()
        .expect("a question alone always fits")
}

fn error(mut truth: Message, code: ResponseCode) -> Message {
    truth.metadata.response_code = code;
    truth.metadata.authoritative = false;
    truth.answers.clear();
    truth.authorities.clear();
    truth
}

/// Turns the addresses at the end of an answer; the aliases before them stay in order.
fn rotate_addresses(answers: &mut [Record], by: usize) {
    let aliases = answers
        .iter()
        .take_while(|record| record.record_type() == RecordType::CNAME)
        .count();
    let addresses = &mut answers[aliases..];
    if !addresses.is_empty() {
        addresses.rotate_left(by % addresses.len());
    }
}

fn cname_loop(name: &Name) -> Vec<Record> {
    let other = parse(&format!("loop.{}", plain(name)));
    vec![
        alias_record(name.clone(), other.clone(), 60),
        alias_record(other, name.clone(), 60),
    ]
}
