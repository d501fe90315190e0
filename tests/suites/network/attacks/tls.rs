//! Servers whose TLS lies, floods or never ends. Handshakes are those of TLS 1.2, in which a server sends
//! all of this in the clear; sessions start healthy.

use std::sync::Arc;

use anyhow::Result;
use regprobe_lab::pki::{Identity, self_signed};
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::attack::{Attack, session, tcp, tls};
use super::speech::{self, say};

const CHANGE_CIPHER: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

const HELLO_REQUEST: u8 = 0;
const SERVER_HELLO: u8 = 2;
const TICKET: u8 = 4;
const CERTIFICATE: u8 = 11;
const KEY_EXCHANGE: u8 = 12;
const CERTIFICATE_REQUEST: u8 = 13;
const DONE: u8 = 14;

const NAME: &str = "attacked.registry.example";

pub(crate) fn attacks() -> Vec<Attack> {
    let mut attacks = vec![
        // Records.
        tls("empty records that never end", "not_tls", |_| {
            say([]).endless(record(HANDSHAKE, &[]))
        }),
        tls("warnings that never end", "not_tls", |_| {
            say([]).endless(record(ALERT, &[1, 90]))
        }),
        tls("changes of cipher that never end", "not_tls", |_| {
            say([]).endless(record(CHANGE_CIPHER, &[1]))
        }),
        tls("a record beyond the maximum length", "not_tls", |_| {
            say([&[HANDSHAKE, 3, 3, 0xff, 0xff][..], &[0; 70_000]].concat()).hang()
        }),
        tls("records of an undefined type", "not_tls", |_| {
            say(record(99, &[0; 100])).hang()
        }),
        tls("data before the handshake", "not_tls", |_| {
            say([]).endless(record(DATA, b"HTTP/1.1 200 OK\r\n\r\n"))
        }),
        tls("a hello one byte a record", "bad_certificate", |hello| {
            let all = [
                hello_to(hello),
                certificates(&[b"junk"]),
                key_exchange(),
                done(),
            ]
            .concat();
            say(all
                .iter()
                .flat_map(|byte| record(HANDSHAKE, &[*byte]))
                .collect::<Vec<_>>())
            .hang()
        }),
        tls(
            "a chain one byte a record that never ends",
            "bad_certificate",
            |hello| {
                let start = [hello_to(hello), vec![CERTIFICATE, 0xff, 0xff, 0xff]].concat();
                say(record(HANDSHAKE, &start)).endless(record(HANDSHAKE, &[0]))
            },
        ),
        // Messages.
        tls("a message of 16 MB", "bad_certificate", |_| {
            say(record(HANDSHAKE, &[SERVER_HELLO, 0xff, 0xff, 0xff]))
                .endless(record(HANDSHAKE, &[0; 1024]))
        }),
        tls("hello requests that never end", "not_tls", |_| {
            say([]).endless(record(HANDSHAKE, &message(HELLO_REQUEST, &[])))
        }),
        tls("hellos that never end", "not_tls", |hello| {
            say([]).endless(record(HANDSHAKE, &hello_to(hello)))
        }),
        tls(
            "requests for a certificate that never end",
            "not_tls",
            |hello| {
                let start = [hello_to(hello), certificates(&[b"junk"]), key_exchange()].concat();
                let request = message(CERTIFICATE_REQUEST, &[1, 64, 0, 2, 4, 3, 0, 0]);
                say(record(HANDSHAKE, &start)).endless(record(HANDSHAKE, &request))
            },
        ),
        tls("tickets before anything else", "not_tls", |_| {
            say([]).endless(record(HANDSHAKE, &message(TICKET, &[0; 12])))
        }),
        tls("retries that never end", "not_tls", |hello| {
            say([]).endless(record(HANDSHAKE, &retry(hello)))
        }),
        // Versions and parameters.
        tls("SSL 3", "version", |hello| {
            say(record(
                HANDSHAKE,
                &hello_with(hello, [3, 0], [0xc0, 0x2b], 0),
            ))
            .hang()
        }),
        tls("TLS 1.1", "version", |hello| {
            say(record(
                HANDSHAKE,
                &hello_with(hello, [3, 2], [0xc0, 0x2b], 0),
            ))
            .hang()
        }),
        tls("a future version", "version", |hello| {
            say(record(
                HANDSHAKE,
                &hello_with(hello, [3, 9], [0xc0, 0x2b], 0),
            ))
            .hang()
        }),
        tls("a cipher that was not offered", "not_tls", |hello| {
            say(record(HANDSHAKE, &hello_with(hello, [3, 3], [0, 5], 0))).hang()
        }),
        tls("compression", "not_tls", |hello| {
            say(record(
                HANDSHAKE,
                &hello_with(hello, [3, 3], [0xc0, 0x2b], 1),
            ))
            .hang()
        }),
        // Certificates.
        tls("no certificate", "bad_certificate", |hello| {
            full(hello, &[])
        }),
        tls("an empty certificate", "bad_certificate", |hello| {
            full(hello, &[b""])
        }),
        tls("an invalid certificate", "bad_certificate", |hello| {
            full(hello, &[&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30, 0x80]])
        }),
        tls(
            "a chain of 3000 invalid certificates",
            "bad_certificate",
            |hello| full(hello, &[&[0x30; 16][..]; 3000]),
        ),
        tls("a chain of a megabyte", "bad_certificate", |hello| {
            full(hello, &[&[0x30; 1000][..]; 1000])
        }),
    ];
    attacks.extend(certificates_of_strangers());
    attacks.extend(sessions());
    attacks
}

/// Valid TLS with certificates that are expensive to parse.
fn certificates_of_strangers() -> Vec<Attack> {
    let many: Vec<_> = (0..1500).map(|n| format!("a{n}.{NAME}")).collect();
    let one = self_signed([NAME]).issue();
    vec![
        presenting(
            "1,500 names",
            "name_mismatch",
            self_signed(many).issue(),
            1,
            |stream| async { drop(stream) },
        ),
        presenting(
            "names of control characters",
            "name_mismatch",
            self_signed(["\x1b]0;owned\x07\r\nHost: a", "<script>"]).issue(),
            1,
            |stream| async { drop(stream) },
        ),
        presenting(
            "one certificate 100 times",
            "unknown_issuer",
            one,
            100,
            |stream| async { drop(stream) },
        ),
    ]
}

/// Valid handshakes, and then no answer.
fn sessions() -> Vec<Attack> {
    vec![
        session("five thousand tickets", "malformed", 5000, |stream| async {
            say([]).hang().deliver(stream).await;
        }),
        session(
            "new keys that never end",
            "malformed",
            0,
            |mut stream| async move {
                while stream.get_mut().1.refresh_traffic_keys().is_ok() {
                    if stream.flush().await.is_err() {
                        return;
                    }
                }
            },
        ),
        session(
            "an end without close_notify",
            "closed",
            2,
            |stream| async move {
                let (mut stream, _) = stream.into_inner();
                let _ = stream.shutdown().await;
                say([]).hang().deliver(stream).await;
            },
        ),
        session(
            "plain HTTP after the handshake",
            "malformed",
            2,
            |stream| async move {
                let (stream, _) = stream.into_inner();
                say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                    .hang()
                    .deliver(stream)
                    .await;
            },
        ),
        session(
            "invalid records after the handshake",
            "malformed",
            2,
            |stream| async move {
                let (stream, _) = stream.into_inner();
                say(record(DATA, &[7; 500])).hang().deliver(stream).await;
            },
        ),
    ]
}

/// A server with this identity, its first certificate repeated this many times, and what it does after
/// the handshake.
fn presenting<F, Fut>(
    name: &str,
    reason: &'static str,
    identity: Result<Identity>,
    times: usize,
    then: F,
) -> Attack
where
    F: Fn(TlsStream<TcpStream>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let identity = identity.unwrap_or_else(|error| panic!("{name}: {error}"));
    let one = identity.chain_der().iter().cloned();
    let chain: Vec<_> = one.cycle().take(times).collect();
    let config = ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .and_then(|config| {
        config
            .with_no_client_auth()
            .with_single_cert(chain, identity.key_der())
    });
    let config = config.unwrap_or_else(|error| panic!("{name}: {error}"));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tcp(name, reason, move |stream| {
        let (acceptor, then) = (acceptor.clone(), then.clone());
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                then(stream).await;
            }
        }
    })
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 3];
    record.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
    record.extend(body);
    record
}

/// As many records as necessary.
fn records(body: &[u8]) -> Vec<u8> {
    body.chunks(16 * 1024)
        .flat_map(|part| record(HANDSHAKE, part))
        .collect()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(length(body));
    message.extend(body);
    message
}

/// In three bytes.
fn length(body: &[u8]) -> [u8; 3] {
    let [_, a, b, c] = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
    [a, b, c]
}

fn hello_to(hello: &[u8]) -> Vec<u8> {
    // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    hello_with(hello, [3, 3], [0xc0, 0x2b], 0)
}

fn hello_with(_: &[u8], version: [u8; 2], cipher: [u8; 2], compression: u8) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend(cipher);
    body.push(compression);
    message(SERVER_HELLO, &body)
}

/// A hello of TLS 1.3 that asks for another key share; RFC 8446, section 4.1.3.
fn retry(hello: &[u8]) -> Vec<u8> {
    const RANDOM: [u8; 32] = [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8,
        0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8,
        0x33, 0x9c,
    ];
    let mut body = vec![3, 3];
    body.extend(RANDOM);
    // The client's id of the session, behind record, message, version and random.
    let id = hello.get(43..43 + 33).unwrap_or(&[0]);
    body.extend(id);
    // TLS_AES_128_GCM_SHA256, no compression, TLS 1.3, secp384r1.
    body.extend([0x13, 0x01, 0, 0, 12, 0, 43, 0, 2, 3, 4, 0, 51, 0, 2, 0, 24]);
    message(SERVER_HELLO, &body)
}

fn certificates(chain: &[&[u8]]) -> Vec<u8> {
    let chain: Vec<u8> = chain
        .iter()
        .flat_map(|one| [&length(one)[..], one].concat())
        .collect();
    message(CERTIFICATE, &[&length(&chain)[..], &chain].concat())
}

/// X25519, and a signature that the client never checks.
fn key_exchange() -> Vec<u8> {
    let mut body = vec![3, 0, 29, 32];
    body.extend([9; 32]);
    body.extend([4, 3, 0, 8]);
    body.extend([5; 8]);
    message(KEY_EXCHANGE, &body)
}

fn done() -> Vec<u8> {
    message(DONE, &[])
}

fn full(hello: &[u8], chain: &[&[u8]]) -> speech::Speech {
    let all = [hello_to(hello), certificates(chain), key_exchange(), done()].concat();
    say(records(&all)).hang()
}
