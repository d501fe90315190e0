//! The stage `proxy`: `CONNECT` over a connection to the node's proxy, as Go's client asks it. What
//! comes back after the head belongs to the endpoint behind and is not touched.

use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout_at},
};

use crate::{
    exchange::{AGENT, printable},
    io_fault::{Errno, IoFault},
    node::proxy::ProxyUrl,
    reason::Reason,
};

/// A proxy's answer to CONNECT is a few lines.
const MAX_HEAD: usize = 64 * 1024;

/// Has `proxy`, at the other end of `stream`, connect to `host:port`; the stream then leads there.
pub(crate) async fn connect<S>(
    mut stream: S,
    proxy: &ProxyUrl,
    host: &str,
    port: u16,
    deadline: Instant,
) -> Result<S, ProxyFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let answered = timeout_at(deadline, ask(&mut stream, proxy, host, port));
    let head = answered.await.map_err(|_| IoFault::Timeout)??;
    let (status, reason) = status_line(&head)?;
    match status {
        200..=299 => Ok(stream),
        407 => Err(ProxyFault::AuthRequired),
        403 => Err(ProxyFault::Denied(reason)),
        _ => Err(ProxyFault::Failed(reason)),
    }
}

/// Why a proxy does not lead to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFault {
    /// The socket's fault.
    #[error("{0} by the proxy")]
    Io(#[from] IoFault),
    /// 403.
    #[error("the proxy forbids the connection ({0})")]
    Denied(String),
    /// 407.
    #[error("the proxy wants credentials (407)")]
    AuthRequired,
    /// Any other status.
    #[error("the proxy cannot connect ({0})")]
    Failed(String),
    /// The answer is not HTTP.
    #[error("the proxy does not answer in HTTP")]
    NotHttp,
    /// More head than any proxy sends.
    #[error("the proxy's answer has no end")]
    TooLarge,
    /// The node's settings name a proxy that no client can use.
    #[error("{0}")]
    Unusable(String),
    /// The client could use it, this agent cannot.
    #[error("regprobe does not speak SOCKS")]
    Socks,
}

impl ProxyFault {
    /// The reason that this fault counts as.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Io(fault) => fault.reason(),
            Self::Denied(_) => Reason::Denied,
            Self::AuthRequired => Reason::AuthRequired,
            Self::Failed(_) | Self::NotHttp | Self::TooLarge | Self::Unusable(_) => {
                Reason::Malformed
            }
            Self::Socks => IoFault::Local(Errno(libc::EPROTONOSUPPORT)).reason(),
        }
    }
}

async fn ask<S>(
    stream: &mut S,
    proxy: &ProxyUrl,
    host: &str,
    port: u16,
) -> Result<Vec<u8>, ProxyFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let authority = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let mut request =
        format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {AGENT}\r\n");
    if let Some(credentials) = &proxy.credentials {
        let pair = format!("{}:{}", credentials.username, credentials.password);
        let pair = BASE64_STANDARD.encode(pair);
        request.push_str(&format!("Proxy-Authorization: Basic {pair}\r\n"));
    }
    request.push_str("\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(IoFault::from)?;
    stream.flush().await.map_err(IoFault::from)?;

    // Byte by byte, so that nothing after the head is taken from the stream.
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_HEAD {
            return Err(ProxyFault::TooLarge);
        }
        head.push(stream.read_u8().await.map_err(IoFault::from)?);
        if head.len() == 5 && !head.starts_with(b"HTTP/") {
            return Err(ProxyFault::NotHttp);
        }
    }
    Ok(head)
}

/// `HTTP/1.1 200 Connection established`: the status and what follows the version.
fn status_line(head: &[u8]) -> Result<(u16, String), ProxyFault> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let text = printable(line);
    let (_, rest) = text.split_once(' ').ok_or(ProxyFault::NotHttp)?;
    let status = rest
        .get(..3)
        .and_then(|status| status.parse().ok())
        .ok_or(ProxyFault::NotHttp)?;
    Ok((status, rest.to_owned()))
}
