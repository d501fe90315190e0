//! Nameservers that lie, flood, send one byte at a time, and never end.

use std::sync::Arc;
use std::time::Duration;

use super::attack::{Attack, nameserver};
use super::nameserver::{Answers, Query};
use super::speech::{Speech, say};

/// Response, recursion desired and available; no error.
const FINE: [u8; 2] = [0x81, 0x80];
/// The same, truncated.
const CUT: [u8; 2] = [0x83, 0x80];
const FORMERR: [u8; 2] = [0x81, 0x81];

const A: u16 = 1;
const CNAME: u16 = 5;
const OPT: u16 = 41;
/// The offset of the name in the question.
const ASKED: [u8; 2] = [0xc0, 12];

pub(crate) fn attacks() -> Vec<Attack> {
    vec![
        // Names.
        one("a compression pointer to itself", "malformed", |query| {
            let at = end(query);
            query.message(FINE, [1, 0, 0], &record(&pointer(at), A, &[10, 0, 0, 1]))
        }),
        one(
            "two compression pointers to each other",
            "malformed",
            |query| {
                let at = end(query);
                let names = [pointer(at + 2), pointer(at)].concat();
                query.message(FINE, [1, 0, 0], &record(&names, A, &[10, 0, 0, 1]))
            },
        ),
        one(
            "a compression pointer behind the end",
            "malformed",
            |query| {
                query.message(
                    FINE,
                    [1, 0, 0],
                    &record(&pointer(0x3ffe), A, &[10, 0, 0, 1]),
                )
            },
        ),
        one("a label of a type that is none", "malformed", |query| {
            query.message(FINE, [1, 0, 0], &record(&[0x80, 1, 0], A, &[10, 0, 0, 1]))
        }),
        one("a name beyond the maximum length", "malformed", |query| {
            let mut name = [&[63][..], &[b'a'; 63]].concat().repeat(5);
            name.push(0);
            query.message(FINE, [1, 0, 0], &record(&name, A, &[10, 0, 0, 1]))
        }),
        // Records.
        one("an address of three bytes", "malformed", |query| {
            query.message(FINE, [1, 0, 0], &record(&ASKED, A, &[10, 0, 1]))
        }),
        one("more records counted than sent", "malformed", |query| {
            query.message(FINE, [60_000, 0, 0], &record(&ASKED, A, &[10, 0, 0, 1]))
        }),
        one("a record longer than the message", "malformed", |query| {
            let mut record = record(&ASKED, A, &[10, 0, 0, 1]);
            record[10] = 0xff;
            query.message(FINE, [1, 0, 0], &record)
        }),
        one("only a header", "malformed", |query| {
            query.message(FINE, [0, 0, 0], &[])[..12].to_vec()
        }),
        // Aliases.
        one("an alias of itself", "malformed", |query| {
            query.message(FINE, [1, 0, 0], &record(&ASKED, CNAME, &ASKED))
        }),
        one("two aliases of each other", "malformed", |query| {
            let other = name(&[b"loop"]);
            let records = [record(&ASKED, CNAME, &other), record(&other, CNAME, &ASKED)];
            query.message(FINE, [2, 0, 0], &records.concat())
        }),
        over_tcp("a chain of 65 aliases", "malformed", |query| {
            framed(&chain(query, 65))
        }),
        over_tcp("a chain of 2000 aliases", "malformed", |query| {
            framed(&chain(query, 2000))
        }),
        one(
            "aliases to control characters that lead nowhere",
            "nodata",
            |query| {
                let target = name(&[
                    b"\x1b[31m\r\nHost: a",
                    b"\x00\x07",
                    b"<script>",
                    b"\xff\xfe",
                ]);
                query.message(FINE, [1, 0, 0], &record(&ASKED, CNAME, &target))
            },
        ),
        // Identities.
        one("another id", "malformed", |query| {
            let mut message = address(query);
            message[0] ^= 0x55;
            message
        }),
        one("another question", "malformed", |query| {
            let mut message = address(query);
            message[13] ^= 1;
            message
        }),
        one("the question itself", "malformed", |query| {
            query.packet.clone()
        }),
        nameserver(
            "the answer from another port",
            "timeout",
            Arc::new(|query| Answers {
                from_elsewhere: vec![address(query)],
                ..Answers::default()
            }),
        ),
        nameserver(
            "a thousand guesses of the id",
            "malformed",
            Arc::new(|query| Answers {
                packets: (0..1000_u16).map(|guess| with_id(query, guess)).collect(),
                ..Answers::default()
            }),
        ),
        nameserver(
            "a flood of empty datagrams",
            "malformed",
            Arc::new(|_| Answers {
                packets: vec![Vec::new()],
                times: 5000,
                ..Answers::default()
            }),
        ),
        nameserver(
            "a flood of large datagrams",
            "malformed",
            Arc::new(|_| Answers {
                packets: vec![vec![0xff; 60_000]],
                times: 1000,
                ..Answers::default()
            }),
        ),
        nameserver(
            "the answer a second too late",
            "timeout",
            Arc::new(|query| Answers {
                after: Duration::from_millis(2300),
                packets: vec![address(query)],
                ..Answers::default()
            }),
        ),
        one("no question, and an answer", "malformed", |query| {
            let mut message = query.packet[..2].to_vec();
            message.extend(FINE);
            message.extend([0, 0, 0, 1, 0, 0, 0, 0]);
            message.extend(record(&[0], A, &[10, 0, 0, 1]));
            message
        }),
        // Codes and EDNS.
        one("FORMERR, forever", "malformed", |query| {
            query.message(FORMERR, [0, 0, 0], &[])
        }),
        one("a response code of EDNS", "malformed", |query| {
            query.message(FINE, [0, 0, 1], &opt([1, 0, 0, 0], &[]))
        }),
        one("two OPT records", "malformed", |query| {
            let both = [opt([0, 0, 0, 0], &[]), opt([0, 0, 0, 0], &[])].concat();
            query.message(FINE, [0, 0, 2], &both)
        }),
        one("an option longer than its record", "malformed", |query| {
            query.message(FINE, [0, 0, 1], &opt([0, 0, 0, 0], &[0, 10, 0xff, 0xff, 1]))
        }),
        // TCP.
        over_tcp(
            "a cut answer, then one byte at a time",
            "timeout",
            |query| say([]).drip(framed_bytes(&vec![0; 1000], query)),
        ),
        over_tcp("a cut answer, then a length and nothing", "timeout", |_| {
            say([0x1f, 0xff]).hang()
        }),
        over_tcp("a cut answer, then half of the length", "closed", |_| {
            say([0])
        }),
        over_tcp(
            "a cut answer, then less than announced",
            "closed",
            |query| say([&[0x10, 0][..], &address(query)].concat()),
        ),
        over_tcp("a cut answer, then one of no bytes", "malformed", |_| {
            say([0, 0])
        }),
        over_tcp(
            "a cut answer, then zeroes that never end",
            "malformed",
            |_| say([]).endless([0; 1024]),
        ),
        over_tcp("4,600 aliases in 65,535 bytes", "malformed", |query| {
            let records = record(&ASKED, CNAME, &ASKED).repeat(4600);
            framed(&query.message(FINE, [4600, 0, 0], &records))
        }),
        over_tcp(
            "names of 127 labels, 4,000 times by pointers",
            "malformed",
            |query| {
                let mut long = [1, b'a'].repeat(126);
                long.push(0);
                let at = end(query);
                let mut records = record(&long, 16, &[0]);
                records.extend(record(&pointer(at), CNAME, &pointer(at)).repeat(4000));
                framed(&query.message(FINE, [4001, 0, 0], &records))
            },
        ),
        over_tcp("thousands of addresses off the map", "malformed", |query| {
            let hosts = (0..4000_u16).map(|n| n.to_be_bytes());
            let records = hosts.flat_map(|[high, low]| record(&ASKED, A, &[192, 0, high, low]));
            let records: Vec<u8> = records.collect();
            framed(&query.message(FINE, [4000, 0, 0], &records))
        }),
        one("thousands of EDNS options", "nodata", |query| {
            query.message(
                FINE,
                [0, 0, 1],
                &opt([0, 0, 0, 0], &[0, 15, 0, 0].repeat(1000)),
            )
        }),
    ]
}

/// One answer over UDP, to questions of both families.
fn one(
    name: &str,
    reason: &'static str,
    message: impl Fn(&Query) -> Vec<u8> + Send + Sync + 'static,
) -> Attack {
    let lie = move |query: &Query| Answers {
        packets: vec![message(query)],
        ..Answers::default()
    };
    nameserver(name, reason, Arc::new(lie))
}

/// A cut answer over UDP, and what follows over TCP.
fn over_tcp(
    name: &str,
    reason: &'static str,
    speech: impl Fn(&Query) -> Speech + Send + Sync + 'static,
) -> Attack {
    let lie = move |query: &Query| Answers {
        packets: vec![query.message(CUT, [0, 0, 0], &[])],
        over_tcp: Some(speech(query)),
        ..Answers::default()
    };
    nameserver(name, reason, Arc::new(lie))
}

fn address(query: &Query) -> Vec<u8> {
    query.message(FINE, [1, 0, 0], &record(&ASKED, A, &[10, 0, 0, 1]))
}

fn with_id(query: &Query, id: u16) -> Vec<u8> {
    let mut message = address(query);
    let ours = [message[0], message[1]];
    message[..2].copy_from_slice(&id.to_be_bytes());
    if message[..2] == ours {
        message[0] ^= 1;
    }
    message
}

/// The offset of the records.
fn end(query: &Query) -> u16 {
    u16::try_from(query.packet.len()).unwrap_or(0)
}

fn pointer(at: u16) -> Vec<u8> {
    (0xc000 | at).to_be_bytes().to_vec()
}

fn name(labels: &[&[u8]]) -> Vec<u8> {
    let mut name = Vec::new();
    for label in labels {
        name.push(u8::try_from(label.len()).unwrap_or(63));
        name.extend(*label);
    }
    name.push(0);
    name
}

fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let mut record = owner.to_vec();
    record.extend(kind.to_be_bytes());
    // Class IN, and a time to live of a minute.
    record.extend([0, 1, 0, 0, 0, 60]);
    record.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
    record.extend(data);
    record
}

fn opt(flags: [u8; 4], options: &[u8]) -> Vec<u8> {
    let mut opt = vec![0];
    opt.extend(OPT.to_be_bytes());
    opt.extend(1232_u16.to_be_bytes());
    opt.extend(flags);
    opt.extend(u16::try_from(options.len()).unwrap_or(0).to_be_bytes());
    opt.extend(options);
    opt
}

/// Aliases one after another, without an address at the end.
fn chain(query: &Query, length: u16) -> Vec<u8> {
    let label = |n: u16| name(&[format!("a{n}").as_bytes()]);
    let mut records = record(&ASKED, CNAME, &label(0));
    for n in 1..length {
        records.extend(record(&label(n - 1), CNAME, &label(n)));
    }
    query.message(FINE, [length, 0, 0], &records)
}

/// A message after its length, as over TCP.
fn framed(message: &[u8]) -> Speech {
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    say([&length.to_be_bytes(), message].concat())
}

fn framed_bytes(message: &[u8], _: &Query) -> Vec<u8> {
    [&[3, 0xe8], message].concat()
}
