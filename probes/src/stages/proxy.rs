//! The stage `proxy`: `CONNECT` at the proxy that the node's environment names for a host, as Go's
//! net/http sends it. It never dials and speaks no TLS: it takes an open stream to the proxy and
//! returns the same stream, with every byte after the proxy's head still unread.

use std::io;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout_at},
};

use crate::{
    net::{inert::excerpt, io_fault::IoFault},
    node::{ProxyCredentials, ProxyUrl},
    stages::http::connection::AGENT,
    words::{endpoint::Endpoint, reason::Reason},
};

/// In bytes, more than any proxy's head; it is read byte by byte.
const MAX_HEAD: usize = 16 * 1024;

/// Asks `proxy`, at the other end of `stream`, to connect to `endpoint`. The returned stream leads to
/// the endpoint. [`super::socks`] is for SOCKS proxies.
pub(crate) async fn tunnel<S>(
    mut stream: S,
    proxy: &ProxyUrl,
    endpoint: &Endpoint,
    deadline: Instant,
) -> Result<S, ProxyFault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let request = request(proxy, endpoint);
    let asked = async {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        read_head(&mut stream).await
    };
    let head = timeout_at(deadline, asked)
        .await
        .map_err(|_| IoFault::Timeout)??;
    let (code, status) = parse(&head)?;
    match code {
        200 => Ok(stream),
        407 => Err(ProxyFault::AuthRequired {
            sent: proxy.credentials.is_some(),
        }),
        400..=499 => Err(ProxyFault::Denied(status)),
        _ => Err(ProxyFault::Failed(status)),
    }
}

/// A way through a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// The proxy's URL, without credentials.
    pub proxy: String,
}

impl Tunnel {
    pub(crate) fn through(proxy: &ProxyUrl) -> Self {
        let shown = ProxyUrl {
            credentials: None,
            ..proxy.clone()
        };
        Self {
            proxy: shown.to_string(),
        }
    }
}

/// Why a proxy made no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFault {
    /// The socket's fault.
    #[error(transparent)]
    Io(#[from] IoFault),
    /// 403, or another status that blames the request.
    #[error("the proxy does not allow this host: {0}")]
    Denied(String),
    /// 407.
    #[error("the proxy {}", if *sent { "rejects the user name and password" } else { "wants a user name and password" })]
    AuthRequired {
        /// Whether the proxy's URL has any, which were sent.
        sent: bool,
    },
    /// Not HTTP.
    #[error("the proxy's answer is not HTTP: {0}")]
    Malformed(String),
    /// 5xx, or a status that is no answer to `CONNECT`.
    #[error("the proxy did not connect: {0}")]
    Failed(String),
    /// A rule of a SOCKS proxy.
    #[error("the proxy does not allow this host: {0}")]
    SocksDenied(String),
    /// What else a SOCKS proxy answers.
    #[error("the proxy did not connect: {0}")]
    SocksFailed(String),
    /// A SOCKS proxy accepts no way to log in that it was offered.
    #[error("the proxy {}", if *sent { "rejects the user name and password" } else { "wants a user name and password" })]
    SocksAuthRequired {
        /// Whether the proxy's URL has any.
        sent: bool,
    },
}

impl ProxyFault {
    /// The reason that this fault counts as.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Io(fault) => fault.reason(),
            Self::Denied(_) | Self::SocksDenied(_) => Reason::Denied,
            Self::AuthRequired { .. } | Self::SocksAuthRequired { .. } => Reason::AuthRequired,
            Self::Malformed(_) | Self::Failed(_) | Self::SocksFailed(_) => Reason::Malformed,
        }
    }
}

impl From<io::Error> for ProxyFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // TLS to the proxy that breaks after the handshake.
            io::ErrorKind::InvalidData => Self::Malformed(excerpt(error.to_string().as_bytes())),
            _ => Self::Io(IoFault::from(error)),
        }
    }
}

fn request(proxy: &ProxyUrl, endpoint: &Endpoint) -> String {
    let line = |who: &ProxyCredentials| format!("Proxy-Authorization: {}\r\n", who.basic());
    let authorization = proxy.credentials.as_ref().map(line).unwrap_or_default();
    format!(
        "CONNECT {endpoint} HTTP/1.1\r\nHost: {endpoint}\r\nUser-Agent: {AGENT}\r\n{authorization}\r\n"
    )
}

/// Reads up to the empty line, byte by byte, because what follows belongs to the endpoint. Gives up at
/// once on what does not begin like HTTP, because it may never send an empty line.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, ProxyFault> {
    let mut head = Vec::with_capacity(256);
    while head.len() < MAX_HEAD {
        head.push(stream.read_u8().await?);
        if !head.starts_with(b"HTTP/") && !b"HTTP/".starts_with(&head) {
            let why = format!("it begins with {:?}", excerpt(&head));
            return Err(ProxyFault::Malformed(why));
        }
        if head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n") {
            return Ok(head);
        }
    }
    Err(ProxyFault::Malformed("the head does not end".to_owned()))
}

/// The status, as a number and as text.
fn parse(head: &[u8]) -> Result<(u16, String), ProxyFault> {
    let malformed =
        |why: &str, line: &[u8]| Err(ProxyFault::Malformed(format!("{why} {:?}", excerpt(line))));
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_end);
    let first = lines.next().unwrap_or_default();
    let mut words = first.splitn(2, |byte| *byte == b' ');
    let (version, status) = (words.next().unwrap_or_default(), words.next());
    let status = status.unwrap_or_default().trim_ascii_start();
    let code = status
        .split(|byte| *byte == b' ')
        .next()
        .unwrap_or_default();
    if !matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit())
        || code.len() != 3
        || !code.iter().all(u8::is_ascii_digit)
    {
        return malformed("the status line is", first);
    }
    // An indented line continues the header before it.
    if let Some(line) = lines.find(|line| {
        let indented = line.first().is_some_and(u8::is_ascii_whitespace);
        !line.is_empty() && !indented && !line.contains(&b':')
    }) {
        return malformed("a header is", line);
    }
    let number = code
        .iter()
        .fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    Ok((number, excerpt(status)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        node::proxy::ProxyScheme,
        stages::fake::Fake,
        words::endpoint::{Role, Scheme},
    };

    const LIMIT: Duration = Duration::from_secs(5);

    fn proxy(credentials: Option<ProxyCredentials>) -> ProxyUrl {
        ProxyUrl {
            scheme: ProxyScheme::Http,
            host: "proxy.contoso.com".into(),
            port: 3128,
            credentials,
        }
    }

    fn user() -> Option<ProxyCredentials> {
        Some(ProxyCredentials {
            username: "us@er".into(),
            password: "pa:ss".into(),
        })
    }

    fn endpoint(host: &str) -> Endpoint {
        Endpoint {
            host: host.into(),
            port: 443,
            role: Role::Login,
            scheme: Scheme::Https,
        }
    }

    async fn fault_of(
        fake: Fake,
        credentials: Option<ProxyCredentials>,
        limit: Duration,
    ) -> ProxyFault {
        let (proxy, endpoint) = (proxy(credentials), endpoint("contoso.azurecr.io"));
        let deadline = Instant::now() + limit;
        let tunnelled = tunnel(fake.dial().await, &proxy, &endpoint, deadline).await;
        tunnelled.unwrap_err()
    }

    #[tokio::test]
    async fn a_tunnel_keeps_what_comes_after_the_head() {
        let answers = ["HTTP/1.1 200 Connection established\r\nVia: 1.1 p\r\n\r\n\x16\x03\x03tls"];
        let fake = Fake::answering(answers).await;
        let endpoint = endpoint("contoso.azurecr.io");
        let mut stream = tunnel(
            fake.dial().await,
            &proxy(user()),
            &endpoint,
            Instant::now() + LIMIT,
        )
        .await
        .unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"\x16\x03\x03tls");
        let tunnel = Tunnel::through(&proxy(user()));
        assert_eq!(tunnel.proxy, "http://proxy.contoso.com:3128");
        assert_eq!(
            fake.heads(),
            [format!(
                "CONNECT contoso.azurecr.io:443 HTTP/1.1\r\nHost: contoso.azurecr.io:443\r\n\
                 User-Agent: {AGENT}\r\nProxy-Authorization: Basic dXNAZXI6cGE6c3M=\r\n\r\n"
            )]
        );
    }

    #[tokio::test]
    async fn an_address_is_asked_for_in_brackets_and_without_credentials() {
        let fake = Fake::answering(["HTTP/1.0 200\n\n"]).await;
        let (endpoint, deadline) = (endpoint("2001:db8::7"), Instant::now() + LIMIT);
        let tunnelled = tunnel(fake.dial().await, &proxy(None), &endpoint, deadline).await;
        assert!(tunnelled.is_ok());
        let head = &fake.heads()[0];
        assert!(head.starts_with("CONNECT [2001:db8::7]:443 HTTP/1.1\r\n"));
        assert!(!head.contains("Authorization"));
    }

    #[tokio::test]
    async fn every_status_has_its_reason() {
        #[rustfmt::skip]
        let table = [
            ("HTTP/1.1 403 Forbidden", Reason::Denied, "the proxy does not allow this host: 403 Forbidden"),
            ("HTTP/1.1 405 Method Not Allowed", Reason::Denied, "the proxy does not allow this host: 405 Method Not Allowed"),
            ("HTTP/1.1 407 Auth", Reason::AuthRequired, "the proxy wants a user name and password"),
            ("HTTP/1.1 503 Service Unavailable", Reason::Malformed, "the proxy did not connect: 503 Service Unavailable"),
            ("HTTP/1.1 302 Found", Reason::Malformed, "the proxy did not connect: 302 Found"),
            ("HTTP/1.1 204", Reason::Malformed, "the proxy did not connect: 204"),
            ("HTTP/1.1 2000 OK", Reason::Malformed, "the proxy's answer is not HTTP: the status line is \"HTTP/1.1 2000 OK\""),
            ("HTTP/1 200 OK", Reason::Malformed, "the proxy's answer is not HTTP: the status line is \"HTTP/1 200 OK\""),
            ("HTTP/1.1 200 OK\r\ngarbage", Reason::Malformed, "the proxy's answer is not HTTP: a header is \"garbage\""),
        ];
        for (head, reason, text) in table {
            let fake = Fake::answering([format!("{head}\r\n\r\n")]).await;
            let fault = fault_of(fake, None, LIMIT).await;
            assert_eq!((fault.reason(), &*fault.to_string()), (reason, text));
        }
        let fake = Fake::answering(["HTTP/1.1 407 Auth\r\n\r\n"]).await;
        let fault = fault_of(fake, user(), LIMIT).await;
        assert_eq!(
            fault.to_string(),
            "the proxy rejects the user name and password"
        );
    }

    #[tokio::test]
    async fn servers_that_are_not_a_proxy() {
        let silent = fault_of(Fake::silent().await, None, Duration::from_millis(100)).await;
        assert_eq!(silent, ProxyFault::Io(IoFault::Timeout));
        let closed = fault_of(Fake::answering([""; 0]).await, None, LIMIT).await;
        assert_eq!(closed, ProxyFault::Io(IoFault::Closed));
        let cut = fault_of(Fake::answering(["HTTP/1.1 200 OK\r\n"]).await, None, LIMIT).await;
        assert_eq!(cut, ProxyFault::Io(IoFault::Closed));
        // It would never end, and still its first byte gives it away.
        let ssh = fault_of(Fake::endless("", "SSH-2.0-x").await, None, LIMIT).await;
        assert_eq!(
            ssh.to_string(),
            "the proxy's answer is not HTTP: it begins with \"S\""
        );
        let flood = Fake::endless("HTTP/1.1 200 OK\r\n", "X-Flood: 1\r\n").await;
        let flood = fault_of(flood, None, LIMIT).await;
        assert_eq!(
            flood,
            ProxyFault::Malformed("the head does not end".to_owned())
        );
    }
}
