//! A second ClientHello, with every cipher suite that Go's client offers, for a server that agrees to none of those that
//! the TLS library here has. It only asks what the server would choose, and ends there.
//!
//! Source: Go `crypto/tls/cipher_suites.go`, `defaults.go`; RFC 5246.

use rustls::crypto::SecureRandom;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout_at},
};

/// What both have, as far as TLS 1.2 has it.
const SPOKEN: [u16; 6] = [0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8];
/// What Go's client has beside them.
const CBC: [(u16, &str); 4] = [
    (0xc009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
    (0xc013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
    (0xc00a, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
    (0xc014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
];
/// What it had until Go 1.22 and 1.23.
const FORMER: [(u16, &str); 6] = [
    (0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256"),
    (0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384"),
    (0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA"),
    (0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"),
    (0xc012, "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x000a, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
];

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const TLS_1_2: [u8; 2] = [3, 3];
/// Of the record and of the message in it; version and random bytes.
const HEADERS: usize = 5 + 4;
const FIXED: usize = 2 + 32;

/// Asks for `host` over `stream`; the suite that the server chooses, if it is one that the TLS library here lacks.
/// `with_former` offers those that Go's client has no longer, too.
pub(crate) async fn unspoken_suite<S>(
    stream: &mut S,
    host: &str,
    with_former: bool,
    random: &dyn SecureRandom,
    deadline: Instant,
) -> Option<&'static str>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut bytes = [0; 32];
    random.fill(&mut bytes).ok()?;
    let hello = hello(host, with_former, bytes);
    let asked = async {
        stream.write_all(&hello).await.ok()?;
        stream.flush().await.ok()?;
        chosen(stream).await
    };
    let chosen = timeout_at(deadline, asked).await.ok()??;
    let mut unspoken = CBC.into_iter().chain(FORMER);
    unspoken.find_map(|(suite, name)| (suite == chosen).then_some(name))
}

/// The suite of a ServerHello.
async fn chosen<S: AsyncRead + Unpin>(stream: &mut S) -> Option<u16> {
    let mut head = [0; HEADERS + FIXED];
    stream.read_exact(&mut head).await.ok()?;
    if head[0] != HANDSHAKE || head[5] != SERVER_HELLO {
        return None;
    }
    let session = stream.read_u8().await.ok()?;
    let mut id = vec![0; session.into()];
    stream.read_exact(&mut id).await.ok()?;
    stream.read_u16().await.ok()
}

fn hello(host: &str, with_former: bool, random: [u8; 32]) -> Vec<u8> {
    let former = FORMER.iter().filter(|_| with_former);
    let beside = CBC.iter().chain(former).map(|(suite, _)| *suite);
    let suites = SPOKEN.into_iter().chain(beside).flat_map(u16::to_be_bytes);
    let body = [
        &TLS_1_2[..],
        &random,
        // No session.
        &[0],
        &counted::<2>(suites.collect()),
        // No compression.
        &[1, 0],
        &counted::<2>(extensions(host)),
    ];
    let message = [&[CLIENT_HELLO][..], &counted::<3>(body.concat())].concat();
    // Go's record says TLS 1.0, as everybody's does.
    [&[HANDSHAKE, 3, 1][..], &counted::<2>(message)].concat()
}

fn extensions(host: &str) -> Vec<u8> {
    const SERVER_NAME: u16 = 0;
    const GROUPS: u16 = 10;
    const POINT_FORMATS: u16 = 11;
    const SIGNATURES: u16 = 13;
    let numbers = |numbers: &[u16]| {
        let bytes = numbers.iter().copied().flat_map(u16::to_be_bytes);
        counted::<2>(bytes.collect())
    };
    let extension =
        |kind: u16, content: Vec<u8>| [&kind.to_be_bytes()[..], &counted::<2>(content)].concat();
    let name = [&[0][..], &counted::<2>(host.as_bytes().to_vec())].concat();
    let is_name = host.parse::<std::net::IpAddr>().is_err();
    let name = is_name.then(|| extension(SERVER_NAME, counted::<2>(name)));
    let rest = [
        extension(GROUPS, numbers(&[29, 23, 24, 25])),
        extension(POINT_FORMATS, vec![1, 0]),
        extension(
            SIGNATURES,
            numbers(&[
                0x0804, 0x0403, 0x0807, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0503, 0x0603,
                0x0201, 0x0203,
            ]),
        ),
    ];
    name.into_iter().chain(rest).flatten().collect()
}

/// Content after its length, of `N` bytes.
fn counted<const N: usize>(content: Vec<u8>) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    [&length[length.len() - N..], &content].concat()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::{crypto::aws_lc_rs, server::Acceptor};

    use super::*;

    /// What a server chooses that answers so.
    async fn answered(answer: &'static [u8]) -> Option<&'static str> {
        let (mut near, mut far) = tokio::io::duplex(1024);
        let server = async move {
            let mut hello = [0; 64];
            let _ = far.read_exact(&mut hello).await;
            let _ = far.write_all(answer).await;
        };
        let random = aws_lc_rs::default_provider().secure_random;
        let deadline = Instant::now() + Duration::from_secs(5);
        let asked = unspoken_suite(&mut near, "contoso.azurecr.io", true, random, deadline);
        tokio::join!(server, asked).1
    }

    fn server_hello(suite: u16) -> &'static [u8] {
        let mut hello = vec![HANDSHAKE, 3, 3, 0, 80, SERVER_HELLO, 0, 0, 76, 3, 3];
        hello.extend([7; 32]);
        hello.extend([2, 1, 1]);
        hello.extend(suite.to_be_bytes());
        hello.leak()
    }

    #[tokio::test]
    async fn what_a_server_chooses() {
        let chosen = async |suite| answered(server_hello(suite)).await;
        assert_eq!(
            chosen(0xc013).await,
            Some("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA")
        );
        assert_eq!(
            chosen(0x009c).await,
            Some("TLS_RSA_WITH_AES_128_GCM_SHA256")
        );
        assert_eq!(chosen(0xc02f).await, None);
        assert_eq!(answered(b"\x15\x03\x03\x00\x02\x02\x28").await, None);
        assert_eq!(answered(b"HTTP/1.1 400 Bad Request\r\n\r\n").await, None);
        assert_eq!(answered(b"").await, None);
    }

    /// Another TLS library reads the hello.
    #[test]
    fn the_hello_is_one() {
        for (host, with_former, suites) in
            [("contoso.azurecr.io", true, 16), ("10.1.2.3", false, 10)]
        {
            let mut acceptor = Acceptor::default();
            let hello = hello(host, with_former, [1; 32]);
            acceptor.read_tls(&mut &hello[..]).unwrap();
            let accepted = acceptor.accept().unwrap().unwrap();
            let read = accepted.client_hello();
            assert_eq!(read.server_name(), Some(host).filter(|_| with_former));
            assert_eq!(read.cipher_suites().len(), suites);
            assert!(!read.signature_schemes().is_empty());
        }
    }
}
