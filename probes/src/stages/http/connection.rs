//! One HTTP/1.1 request over an open connection, with caps on all that comes back. The stages
//! `challenge`, `token`, `manifest`, `blob` and `http` stand on it; what an answer means is theirs to say.

use std::{
    future::Future,
    io::{self, ErrorKind},
    net::IpAddr,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{
    HeaderMap, StatusCode,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{
        ACCEPT, AUTHORIZATION, CONNECTION, HOST, HeaderName, HeaderValue, LOCATION, RANGE,
        RETRY_AFTER, SERVER, USER_AGENT,
    },
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::AbortHandle,
    time::{Instant, timeout_at},
};

use crate::{
    net::{
        allowance::{Allowance, Exhausted},
        inert::excerpt,
        io_fault::IoFault,
        redact::redacted,
    },
    words::reason::Reason,
};

/// Headers in all; registries answer with less than one.
const MAX_HEAD: usize = 64 * 1024;
/// Lines of headers.
const MAX_HEADERS: usize = 500;
/// Body, where one is read at all.
const MAX_BODY: usize = 64 * 1024;
/// Who asks; no client is imitated.
pub(crate) const AGENT: &str = concat!(
    "regprobe/",
    env!("CARGO_PKG_VERSION"),
    " (+",
    env!("CARGO_PKG_REPOSITORY"),
    ")"
);
/// ACR's name for the id that its support asks for.
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");

/// A connection that speaks HTTP/1.1; its task ends when this is dropped.
#[derive(Debug)]
pub(crate) struct HttpConnection {
    sender: SendRequest<Empty<Bytes>>,
    authority: String,
    allowance: Allowance,
    worth: Worth,
    task: AbortHandle,
}

/// What a connection is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    /// It has answered nothing yet.
    New,
    /// It has answered.
    Proven,
    /// It was closed after an answer, in place of the next.
    Stale,
}

impl HttpConnection {
    /// Starts HTTP/1.1 over `stream`, for the `Host` that `authority` names.
    pub(crate) async fn open<S>(
        stream: S,
        authority: String,
        allowance: Allowance,
    ) -> Result<Self, HttpFault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(stream))
            .await?;
        // An error of the connection also reaches the request that it belongs to.
        let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(Self {
            sender,
            authority,
            allowance,
            worth: Worth::New,
            task,
        })
    }

    /// Whether another request can go over this connection; a body that nobody reads to its end
    /// makes it useless.
    pub(crate) async fn is_reusable(&mut self, deadline: Instant) -> bool {
        !self.is_stale() && matches!(timeout_at(deadline, self.sender.ready()).await, Ok(Ok(())))
    }

    /// Whether the server closed it in place of the last answer. It may have done so before it knew of the
    /// request, so Go's client sends that once more, over another connection.
    pub(crate) fn is_stale(&self) -> bool {
        self.worth == Worth::Stale
    }

    /// Sends `GET target` and waits for the head of the answer.
    pub(crate) async fn get(
        &mut self,
        target: &str,
        deadline: Instant,
    ) -> Result<Response, HttpFault> {
        self.send(Request::of(target), deadline).await
    }

    /// Sends `request` and waits for the head of the answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<'_>,
        deadline: Instant,
    ) -> Result<Response, HttpFault> {
        let mut get = hyper::Request::get(request.target)
            .header(HOST, self.authority.as_str())
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, request.accept)
            .header(CONNECTION, "keep-alive");
        if let Some(bearer) = request.authorization {
            get = get.header(AUTHORIZATION, bearer);
        }
        if let Some(range) = request.range {
            get = get.header(RANGE, range);
        }
        let request = get
            .body(Empty::new())
            .map_err(|error| HttpFault::Malformed(format!("the request target: {error}")))?;
        self.allowance.renew(0);
        let answer = within(deadline, self.sender.send_request(request)).await;
        self.worth = match (&answer, self.worth) {
            (Ok(_), _) => Worth::Proven,
            (Err(HttpFault::Io(IoFault::Closed | IoFault::Reset)), Worth::Proven) => Worth::Stale,
            (Err(_), before) => before,
        };
        let (head, body) = answer?.into_parts();
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body: Some(body),
            allowance: self.allowance.clone(),
        })
    }
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A `GET`. It has no `Debug`: the target may be signed.
pub(crate) struct Request<'a> {
    /// Path and query.
    pub target: &'a str,
    /// The header `Accept`.
    pub accept: &'a str,
    /// The header `Authorization`.
    pub authorization: Option<HeaderValue>,
    /// The header `Range`.
    pub range: Option<&'static str>,
}

impl<'a> Request<'a> {
    /// A request for `target`, whatever its type.
    pub(crate) fn of(target: &'a str) -> Self {
        Self {
            target,
            accept: "*/*",
            authorization: None,
            range: None,
        }
    }
}

/// The head of an answer, and the body for whoever wants it. It has no `Debug`: headers may be signed.
pub(crate) struct Response {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    body: Option<Incoming>,
    allowance: Allowance,
}

impl Response {
    /// A header as text, cut to what a message can bear.
    pub(crate) fn header(&self, name: impl hyper::header::AsHeaderName) -> Option<String> {
        self.headers
            .get(name)
            .map(|value| excerpt(value.as_bytes()))
    }

    /// The id that the registry's support asks for.
    pub(crate) fn correlation_id(&self) -> Option<String> {
        self.header(CORRELATION_ID)
    }

    /// Where the answer sends the client, uncut: for following, never for printing. The statuses
    /// are those that Go's client follows.
    pub(crate) fn redirect(&self) -> Option<&str> {
        let follows = matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let location = self.headers.get(LOCATION).filter(|_| follows)?;
        std::str::from_utf8(location.as_bytes()).ok()
    }

    /// Whether the body has a first byte; the rest is not read, so the connection is of no more
    /// use.
    pub(crate) async fn has_first_byte(&mut self, deadline: Instant) -> Result<bool, HttpFault> {
        let Some(mut body) = self.body.take() else {
            return Ok(false);
        };
        while let Some(frame) = timeout_at(deadline, body.frame())
            .await
            .map_err(|_| IoFault::Timeout)?
        {
            if frame?.data_ref().is_some_and(|data| !data.is_empty()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the body once, up to what answers about a registry need.
    pub(crate) async fn body(&mut self, deadline: Instant) -> Result<Bytes, HttpFault> {
        self.body_up_to(MAX_BODY, deadline).await
    }

    /// Reads the body once, up to `cap` bytes.
    pub(crate) async fn body_up_to(
        &mut self,
        cap: usize,
        deadline: Instant,
    ) -> Result<Bytes, HttpFault> {
        let Some(body) = self.body.take() else {
            return Ok(Bytes::new());
        };
        self.allowance.renew(cap);
        let collected = timeout_at(deadline, Limited::new(body, cap).collect())
            .await
            .map_err(|_| IoFault::Timeout)?;
        match collected {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(HttpFault::TooLarge("body")),
            Err(error) => Err(match error.downcast::<hyper::Error>() {
                Ok(error) => match HttpFault::from(*error) {
                    HttpFault::TooLarge(_) => HttpFault::TooLarge("body"),
                    fault => fault,
                },
                Err(error) => HttpFault::Malformed(error.to_string()),
            }),
        }
    }

    /// What the server says, in a status that means no.
    pub(crate) async fn refusal(mut self, deadline: Instant) -> HttpFault {
        // A body that is late, endless or cut short does not change what the status says.
        let body = self.body(deadline).await.unwrap_or_default();
        let error = RegistryError::first_in(&body);
        let client_ip = match self.status {
            StatusCode::FORBIDDEN => error.as_ref().and_then(RegistryError::denied_client),
            _ => None,
        };
        HttpFault::Refused(Box::new(Refusal {
            status: self.status.as_u16(),
            code: error.as_ref().map(|error| excerpt(error.code.as_bytes())),
            message: error
                .as_ref()
                .map(|error| excerpt(error.message.as_bytes())),
            client_ip,
            server: self.header(SERVER),
            correlation_id: self.correlation_id(),
            retry_after: self.header(RETRY_AFTER),
        }))
    }
}

/// A status that means no, with all that tells why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// The registry's error code, as `DENIED`.
    pub code: Option<String>,
    /// The registry's error message.
    pub message: Option<String>,
    /// The client address that the registry's network rules turned away.
    pub client_ip: Option<IpAddr>,
    /// The header `Server`.
    pub server: Option<String>,
    /// The id that the registry's support asks for.
    pub correlation_id: Option<String>,
    /// The header `Retry-After`, as sent.
    pub retry_after: Option<String>,
}

impl Refusal {
    fn reason(&self) -> Reason {
        match self.status {
            401 => Reason::Unauthorized,
            403 if self.client_ip.is_some() => Reason::Firewall,
            403 => Reason::Forbidden,
            404 => Reason::NotFound,
            429 => Reason::Throttled,
            500..=599 => Reason::ServerError,
            _ => Reason::UnexpectedStatus,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = StatusCode::from_u16(self.status).ok();
        let reason = status
            .and_then(|status| status.canonical_reason())
            .unwrap_or("");
        write!(f, "{} {reason}", self.status)?;
        if let (Some(code), Some(message)) = (&self.code, &self.message) {
            write!(f, ": {code}: {message}")?;
        }
        Ok(())
    }
}

/// Why an HTTP stage failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpFault {
    /// The socket's fault.
    #[error(transparent)]
    Io(#[from] IoFault),
    /// The server says no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// An answer, but not that of a registry.
    #[error("answers {status}, but not as a registry: {why}")]
    NotARegistry {
        /// The status.
        status: u16,
        /// What is missing.
        why: &'static str,
    },
    /// Not HTTP, or not what the stage's format demands.
    #[error("malformed answer: {0}")]
    Malformed(String),
    /// Over the cap.
    #[error("the answer's {0} is larger than any registry's")]
    TooLarge(&'static str),
    /// A redirect after redirects.
    #[error("redirected more than {0} times")]
    TooManyRedirects(usize),
    /// A redirect, or a token realm, to where no probe may go.
    #[error("sent to {to}: {why}")]
    RedirectDenied {
        /// Where to; the query is redacted.
        to: String,
        /// Why not.
        why: &'static str,
    },
    /// An image, but none that this node can run.
    #[error("the image is not built for {platform}, only for {offered}")]
    PlatformMismatch {
        /// This node's.
        platform: String,
        /// Those of the image, joined.
        offered: String,
    },
}

impl HttpFault {
    /// The reason that this fault counts as.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Io(fault) => fault.reason(),
            Self::Refused(refusal) => refusal.reason(),
            Self::NotARegistry { .. } => Reason::NoChallenge,
            Self::Malformed(_) => Reason::Malformed,
            Self::TooLarge(_) => Reason::TooLarge,
            Self::TooManyRedirects(_) => Reason::TooManyRedirects,
            Self::RedirectDenied { .. } => Reason::RedirectDenied,
            Self::PlatformMismatch { .. } => Reason::PlatformMismatch,
        }
    }

    fn broken_tls(error: &rustls::Error) -> Self {
        Self::Malformed(format!("TLS broke off ({error})"))
    }

    /// A redirect that is not followed.
    pub fn redirect_denied(to: &str, why: &'static str) -> Self {
        Self::RedirectDenied {
            to: excerpt(redacted(to).as_bytes()),
            why,
        }
    }
}

impl From<hyper::Error> for HttpFault {
    fn from(error: hyper::Error) -> Self {
        if error.is_parse_too_large() {
            return Self::TooLarge("head");
        }
        if error.is_parse() {
            return Self::Malformed(format!("not HTTP ({error})"));
        }
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        match cause.downcast_ref::<io::Error>() {
            Some(io) if Exhausted::is_in(io) => Self::TooLarge("head"),
            Some(io) => match io.get_ref().and_then(|inner| inner.downcast_ref()) {
                // A server of TLS 1.3 refuses a client's certificate after the handshake.
                Some(tls) => Self::broken_tls(tls),
                // Chunks that are none: the kernel gave no errno.
                None if io.raw_os_error().is_none() && is_of_framing(io.kind()) => {
                    Self::Malformed(format!("not HTTP ({io})"))
                }
                None => Self::Io(IoFault::from(io)),
            },
            // Incomplete message, or a connection that closed before the request was sent.
            None => Self::Io(IoFault::Closed),
        }
    }
}

fn is_of_framing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidData | ErrorKind::InvalidInput)
}

async fn within<T>(
    deadline: Instant,
    future: impl Future<Output = Result<T, hyper::Error>>,
) -> Result<T, HttpFault> {
    Ok(timeout_at(deadline, future)
        .await
        .map_err(|_| IoFault::Timeout)??)
}

/// OCI distribution specification, "Error Codes".
#[derive(Deserialize)]
struct RegistryErrors {
    errors: Vec<RegistryError>,
}

#[derive(Deserialize)]
struct RegistryError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl RegistryError {
    fn first_in(body: &[u8]) -> Option<Self> {
        let errors: RegistryErrors = serde_json::from_slice(body).ok()?;
        errors.errors.into_iter().next()
    }

    /// ACR's network rules answer `DENIED` and quote the address that they turned away.
    fn denied_client(&self) -> Option<IpAddr> {
        let (_, rest) = self.message.split_once("client with IP '")?;
        let (address, _) = rest.split_once('\'')?;
        (self.code == "DENIED")
            .then(|| address.parse().ok())
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_rules_are_told_from_other_denials() {
        let body =
            |message: &str| format!(r#"{{"errors":[{{"code":"DENIED","message":"{message}"}}]}}"#);
        let denied = body(
            "client with IP '198.51.100.7' is not allowed access. Refer \
             https://aka.ms/acr/firewall to grant access.",
        );
        let client = |body: &str| RegistryError::first_in(body.as_bytes())?.denied_client();
        assert_eq!(client(&denied), "198.51.100.7".parse().ok());
        assert_eq!(
            client(&body("requested access to the resource is denied")),
            None
        );
        assert_eq!(client("<html>"), None);
    }
}
