//! HTTP/1.1 requests over an open connection, with limits on everything that comes back. The stages
//! `challenge`, `token`, `manifest`, `blob` and `http` use it and decide what an answer means.

use std::future::Future;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{
    client::conn::http1::{self, SendRequest},
    header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST, HeaderValue, RANGE, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::AbortHandle,
    time::{Instant, timeout_at},
};

use super::{fault::HttpFault, response::Response};
use crate::net::{allowance::Allowance, io_fault::IoFault};

/// Bytes of headers; registries send less than one KiB.
const MAX_HEAD: usize = 64 * 1024;
/// Number of headers.
const MAX_HEADERS: usize = 500;
/// The `User-Agent`; no client is imitated.
pub(crate) const AGENT: &str = concat!(
    "regprobe/",
    env!("CARGO_PKG_VERSION"),
    " (+",
    env!("CARGO_PKG_REPOSITORY"),
    ")"
);
/// An HTTP/1.1 connection; its task ends when this is dropped.
#[derive(Debug)]
pub(crate) struct HttpConnection {
    sender: SendRequest<Empty<Bytes>>,
    authority: String,
    allowance: Allowance,
    state: ConnectionState,
    task: AbortHandle,
}

/// Whether a connection has answered, and still can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionState {
    /// It has not answered yet.
    New,
    /// It has answered.
    Proven,
    /// The server closed it after an answer, in place of the next.
    Stale,
}

impl HttpConnection {
    /// Starts HTTP/1.1 over `stream`, with `authority` as `Host`.
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
        // The request also gets the error of its connection.
        let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(Self {
            sender,
            authority,
            allowance,
            state: ConnectionState::New,
            task,
        })
    }

    /// Whether another request can use this connection; it cannot if a body was not read to its end.
    pub(crate) async fn is_reusable(&mut self, deadline: Instant) -> bool {
        !self.is_stale() && matches!(timeout_at(deadline, self.sender.ready()).await, Ok(Ok(())))
    }

    /// Whether the server closed it in place of the last answer. The server may have done so before it
    /// got the request, so Go's client sends the request again, over another connection.
    pub(crate) fn is_stale(&self) -> bool {
        self.state == ConnectionState::Stale
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
        self.state = match (&answer, self.state) {
            (Ok(_), _) => ConnectionState::Proven,
            (Err(HttpFault::Io(IoFault::Closed | IoFault::Reset)), ConnectionState::Proven) => {
                ConnectionState::Stale
            }
            (Err(_), before) => before,
        };
        let (head, body) = answer?.into_parts();
        Ok(Response::new(head, body, self.allowance.clone()))
    }
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A `GET` request. It has no `Debug`, because the target may be signed.
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
    /// A request for `target` of any type.
    pub(crate) fn of(target: &'a str) -> Self {
        Self {
            target,
            accept: "*/*",
            authorization: None,
            range: None,
        }
    }
}

async fn within<T>(
    deadline: Instant,
    future: impl Future<Output = Result<T, hyper::Error>>,
) -> Result<T, HttpFault> {
    Ok(timeout_at(deadline, future)
        .await
        .map_err(|_| IoFault::Timeout)??)
}
