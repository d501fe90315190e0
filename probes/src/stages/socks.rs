//! The stage `proxy` at a SOCKS 5 proxy, as Go's net/http speaks it: the proxy looks up the name. It never dials: it
//! takes an open stream to the proxy and returns the same stream, with every byte after the proxy's reply unread.
//!
//! Sources: RFC 1928 and 1929; Go `net/http/socks_bundle.go` (`connect`), whose errors these are.

use std::net::IpAddr;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout_at},
};

use super::proxy::ProxyFault;
use crate::{
    net::io_fault::IoFault,
    node::{ProxyCredentials, ProxyUrl},
    words::endpoint::Endpoint,
};

const VERSION: u8 = 5;
const CONNECT: u8 = 1;
const NO_AUTHENTICATION: u8 = 0;
const PASSWORD: u8 = 2;
const NOTHING_ACCEPTABLE: u8 = 0xff;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Asks `proxy`, at the other end of `stream`, to connect to `endpoint`.
pub(crate) async fn tunnel<S>(
    mut stream: S,
    proxy: &ProxyUrl,
    endpoint: &Endpoint,
    deadline: Instant,
) -> Result<S, ProxyFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let asked = async {
        authenticate(&mut stream, proxy.credentials.as_ref()).await?;
        stream.write_all(&request(endpoint)?).await?;
        read_reply(&mut stream).await
    };
    timeout_at(deadline, asked)
        .await
        .map_err(|_| IoFault::Timeout)??;
    Ok(stream)
}

async fn authenticate<S>(
    stream: &mut S,
    credentials: Option<&ProxyCredentials>,
) -> Result<(), ProxyFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let offer: &[u8] = match credentials {
        None => &[VERSION, 1, NO_AUTHENTICATION],
        Some(_) => &[VERSION, 2, NO_AUTHENTICATION, PASSWORD],
    };
    stream.write_all(offer).await?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await?;
    match (chosen, credentials) {
        ([VERSION, NOTHING_ACCEPTABLE], _) => Err(ProxyFault::SocksAuthRequired {
            sent: credentials.is_some(),
        }),
        ([VERSION, NO_AUTHENTICATION], _) => Ok(()),
        ([VERSION, PASSWORD], Some(credentials)) => log_in(stream, credentials).await,
        ([VERSION, method], _) => {
            let why = format!("unsupported authentication method {method}");
            Err(ProxyFault::Malformed(why))
        }
        ([version, _], _) => Err(unexpected_version(version)),
    }
}

async fn log_in<S>(stream: &mut S, credentials: &ProxyCredentials) -> Result<(), ProxyFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = vec![1];
    for text in [&credentials.username, &credentials.password] {
        let length = u8::try_from(text.len())
            .map_err(|_| ProxyFault::Malformed("invalid username/password".to_owned()))?;
        request.push(length);
        request.extend_from_slice(text.as_bytes());
    }
    stream.write_all(&request).await?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await?;
    match answer {
        [1, 0] => Ok(()),
        [1, _] => Err(ProxyFault::SocksAuthRequired { sent: true }),
        _ => Err(ProxyFault::Malformed(
            "invalid username/password version".to_owned(),
        )),
    }
}

fn request(endpoint: &Endpoint) -> Result<Vec<u8>, ProxyFault> {
    let mut request = vec![VERSION, CONNECT, 0];
    match endpoint.literal() {
        Some(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend_from_slice(&address.octets());
        }
        Some(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend_from_slice(&address.octets());
        }
        None => {
            let length = u8::try_from(endpoint.host.len())
                .map_err(|_| ProxyFault::Malformed("FQDN too long".to_owned()))?;
            request.extend_from_slice(&[NAME, length]);
            request.extend_from_slice(endpoint.host.as_bytes());
        }
    }
    request.extend_from_slice(&endpoint.port.to_be_bytes());
    Ok(request)
}

async fn read_reply<S: AsyncRead + Unpin>(stream: &mut S) -> Result<(), ProxyFault> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let [version, status, reserved, kind] = head;
    if version != VERSION {
        return Err(unexpected_version(version));
    }
    if let Some(refusal) = refusal(status) {
        return Err(match status {
            2 => ProxyFault::SocksDenied(refusal),
            _ => ProxyFault::SocksFailed(refusal),
        });
    }
    if reserved != 0 {
        return Err(ProxyFault::Malformed("non-zero reserved field".to_owned()));
    }
    let bound = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(stream.read_u8().await?),
        other => {
            let why = format!("unknown address type {other}");
            return Err(ProxyFault::Malformed(why));
        }
    };
    let mut bound_and_port = vec![0; bound + 2];
    stream.read_exact(&mut bound_and_port).await?;
    Ok(())
}

/// As Go prints it behind "unknown error".
fn refusal(status: u8) -> Option<String> {
    let known = match status {
        0 => return None,
        1 => "general SOCKS server failure",
        2 => "connection not allowed by ruleset",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "TTL expired",
        7 => "command not supported",
        8 => "address type not supported",
        other => return Some(format!("unknown code: {other}")),
    };
    Some(known.to_owned())
}

fn unexpected_version(version: u8) -> ProxyFault {
    ProxyFault::Malformed(format!("unexpected protocol version {version}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::duplex;

    use super::*;
    use crate::{
        node::proxy::ProxyScheme,
        words::{
            endpoint::{Role, Scheme},
            reason::Reason,
        },
    };

    /// What came of it at a proxy that says `said`, and what that was sent.
    async fn ask(
        host: &str,
        password: Option<&str>,
        said: &[u8],
    ) -> (Result<(), ProxyFault>, Vec<u8>) {
        let proxy = ProxyUrl {
            scheme: ProxyScheme::Socks5,
            host: "proxy.contoso.com".into(),
            port: 1080,
            credentials: password.map(|password| ProxyCredentials {
                username: "us".to_owned(),
                password: password.to_owned(),
            }),
        };
        let endpoint = Endpoint {
            host: host.into(),
            port: 443,
            role: Role::Login,
            scheme: Scheme::Https,
        };
        let (ours, mut theirs) = duplex(1024);
        theirs.write_all(said).await.unwrap();
        let deadline = Instant::now() + Duration::from_millis(200);
        let asked = tunnel(ours, &proxy, &endpoint, deadline).await;
        let result = asked.map(drop);
        let mut sent = Vec::new();
        theirs.read_to_end(&mut sent).await.unwrap();
        (result, sent)
    }

    #[tokio::test]
    async fn a_tunnel_to_a_name_and_to_addresses() {
        const OPENED: &[u8] = b"\x05\0\x05\0\0\x01\0\0\0\0\0\0";
        for (host, address) in [
            ("a.io", &b"\x03\x04a.io"[..]),
            ("192.0.2.7", b"\x01\xc0\0\x02\x07"),
            ("::1", b"\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"),
        ] {
            let (result, sent) = ask(host, None, OPENED).await;
            assert_eq!(result, Ok(()));
            let expected = [&b"\x05\x01\0\x05\x01\0"[..], address, b"\x01\xbb"].concat();
            assert_eq!(sent, expected, "{host}");
        }
        let named = b"\x05\x02\x01\0\x05\0\0\x03\x02ab\0\0";
        let (result, sent) = ask("a.io", Some("pw"), named).await;
        assert_eq!(result, Ok(()));
        assert!(
            sent.starts_with(b"\x05\x02\0\x02\x01\x02us\x02pw\x05"),
            "{sent:?}"
        );
    }

    #[tokio::test]
    async fn every_refusal_has_its_reason() {
        let long = "x".repeat(256);
        let cases: [(Option<&str>, &[u8], Reason); 10] = [
            (None, b"\x05\xff", Reason::AuthRequired),
            (Some("pw"), b"\x05\x02\x01\x01", Reason::AuthRequired),
            (Some(&long), b"\x05\x02", Reason::Malformed),
            (None, b"\x05\x02", Reason::Malformed),
            (None, b"\x05\0\x05\x02\0\x01", Reason::Denied),
            (None, b"\x05\0\x05\x04\0\x01", Reason::Malformed),
            (None, b"\x05\0\x05\0\0\x09", Reason::Malformed),
            (None, b"HTTP/1.1 400", Reason::Malformed),
            (None, b"\x04\0", Reason::Malformed),
            (None, b"", Reason::Timeout),
        ];
        for (password, said, reason) in cases {
            let (result, _) = ask("a.io", password, said).await;
            assert_eq!(
                result.map_err(|fault| fault.reason()),
                Err(reason),
                "{said:?}"
            );
        }
    }
}
