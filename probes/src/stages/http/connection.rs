//! HTTP/1.1 requests over an open connection, with limits on everything that comes back. The stages
//! `challenge`, `token`, `manifest`, `blob` and `http` use it and decide what an answer means.

use std::future::Future;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Version,
    client::conn::http1::{self, SendRequest},
    header::{
        ACCEPT, CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, PROXY_AUTHORIZATION,
        TRANSFER_ENCODING, USER_AGENT,
    },
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::AbortHandle,
    time::{Instant, timeout_at},
};

use super::{fault::HttpFault, response::Response};
use crate::{
    net::{allowance::Allowance, io_fault::IoFault},
    node::{ProxyCredentials, ProxyUrl},
};

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
    sender: SendRequest<Full<Bytes>>,
    authority: String,
    forwarder: Option<Forwarder>,
    allowance: Allowance,
    state: ConnectionState,
    task: AbortHandle,
}

/// A proxy that requests of plain HTTP are sent to, each with its whole URL.
#[derive(Debug)]
pub(crate) struct Forwarder {
    authorization: Option<HeaderValue>,
}

impl Forwarder {
    pub(crate) fn at(proxy: &ProxyUrl) -> Self {
        let basic = proxy.credentials.as_ref().map(ProxyCredentials::basic);
        let authorization = basic.and_then(|basic| {
            let mut value = HeaderValue::try_from(basic).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        Self { authorization }
    }
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
            forwarder: None,
            allowance,
            state: ConnectionState::New,
            task,
        })
    }

    /// The same, with a proxy at the other end that passes requests on.
    pub(crate) fn forwarded_by(mut self, forwarder: Option<Forwarder>) -> Self {
        self.forwarder = forwarder;
        self
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
        let mut sent = hyper::Request::new(Full::new(request.body));
        *sent.method_mut() = request.method;
        let target = match &self.forwarder {
            None => request.target.to_owned(),
            Some(_) => format!("http://{}{}", self.authority, request.target),
        };
        *sent.uri_mut() = target
            .parse()
            .map_err(|error| HttpFault::Malformed(format!("the request target: {error}")))?;
        let authority = HeaderValue::try_from(self.authority.as_str())
            .map_err(|error| HttpFault::Malformed(format!("the host: {error}")))?;
        let headers = sent.headers_mut();
        *headers = request.headers;
        headers.insert(HOST, authority);
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        let to_proxy = self.forwarder.iter().flat_map(|one| &one.authorization);
        headers.extend(to_proxy.map(|value| (PROXY_AUTHORIZATION, value.clone())));
        self.allowance.renew(0);
        let answer = within(deadline, self.sender.send_request(sent)).await;
        self.state = match (&answer, self.state) {
            (Ok(_), _) => ConnectionState::Proven,
            (Err(HttpFault::Io(IoFault::Closed | IoFault::Reset)), ConnectionState::Proven) => {
                ConnectionState::Stale
            }
            (Err(_), before) => before,
        };
        let (head, body) = answer?.into_parts();
        if !has_one_length(&head.headers) {
            let why = "its Content-Length is no length, or there are several";
            return Err(HttpFault::Malformed(why.to_owned()));
        }
        if !has_known_coding(head.version, &head.headers) {
            let why = "its Transfer-Encoding is not chunked";
            return Err(HttpFault::Malformed(why.to_owned()));
        }
        Ok(Response::new(head, body, self.allowance.clone()))
    }
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A request. It has no `Debug`: the target may be signed, and the body a secret.
pub(crate) struct Request<'a> {
    pub method: Method,
    /// Path and query.
    pub target: &'a str,
    /// Those that say more than whom and by whom.
    pub headers: HeaderMap,
    /// Empty where it needs none.
    pub body: Bytes,
}

impl<'a> Request<'a> {
    /// A `GET` of `target`, whatever its type.
    pub(crate) fn of(target: &'a str) -> Self {
        Self {
            method: Method::GET,
            target,
            headers: HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("*/*"))]),
            body: Bytes::new(),
        }
    }
}

/// Whether Go takes the `Content-Length` of an answer, also to `HEAD`, of which hyper takes any (`fixLength` in Go's
/// `net/http/transfer.go`).
fn has_one_length(headers: &HeaderMap) -> bool {
    let lengths = headers.get_all(CONTENT_LENGTH).iter();
    let mut lengths = lengths.map(|length| length.as_bytes().trim_ascii());
    let Some(first) = lengths.next() else {
        return true;
    };
    let text = str::from_utf8(first)
        .ok()
        .filter(|_| first.iter().all(u8::is_ascii_digit));
    let is_length = text.is_some_and(|text| text.parse::<i64>().is_ok());
    headers.contains_key(TRANSFER_ENCODING) || is_length && lengths.all(|other| other == first)
}

/// Whether Go takes the `Transfer-Encoding` of an answer, which HTTP/1.0 does not have (`parseTransferEncoding` there).
fn has_known_coding(version: Version, headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let first = codings.next().filter(|_| version >= Version::HTTP_11);
    first.is_none_or(|coding| {
        codings.next().is_none() && coding.as_bytes().eq_ignore_ascii_case(b"chunked")
    })
}

async fn within<T>(
    deadline: Instant,
    future: impl Future<Output = Result<T, hyper::Error>>,
) -> Result<T, HttpFault> {
    Ok(timeout_at(deadline, future)
        .await
        .map_err(|_| IoFault::Timeout)??)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        node::proxy::ProxyScheme,
        stages::fake::{Fake, answer},
    };

    #[test]
    fn codings_that_go_refuses_make_no_answer() {
        for (codings, version, known) in [
            (&[][..], Version::HTTP_11, true),
            (&["Chunked"], Version::HTTP_11, true),
            (&["identity"], Version::HTTP_11, false),
            (&["gzip, chunked"], Version::HTTP_11, false),
            (&["chunked", "chunked"], Version::HTTP_11, false),
            (&["identity"], Version::HTTP_10, true),
        ] {
            let values = codings.iter().map(|coding| coding.parse().unwrap());
            let headers = values.map(|value| (TRANSFER_ENCODING, value)).collect();
            assert_eq!(has_known_coding(version, &headers), known, "{codings:?}");
        }
    }

    #[tokio::test]
    async fn lengths_that_go_refuses_make_no_answer() {
        let cases: [(&[&str], bool); 8] = [
            (&[], true),
            (&["Content-Length: 7"], true),
            (&["Content-Length: 7", "Content-Length: 7"], true),
            (&["Content-Length: 7", "Content-Length: 8"], false),
            (&["Content-Length: +7"], false),
            (&["Content-Length: -0"], false),
            (&["Content-Length: seven"], false),
            (&["Content-Length: 9223372036854775808"], false),
        ];
        for (headers, is_taken) in cases {
            let head = format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", headers.join("\r\n"));
            let head = head.replace("OK\r\n\r\n\r\n", "OK\r\n\r\n");
            let fake = Fake::answering([head]).await;
            let request = Request {
                method: Method::HEAD,
                ..Request::of("/")
            };
            let deadline = Instant::now() + Duration::from_secs(5);
            let answer = fake.http().await.send(request, deadline).await;
            assert_eq!(answer.is_ok(), is_taken, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn a_proxy_for_plain_http_gets_whole_urls_and_its_password() {
        let fake = Fake::answering([answer("200 OK", &[], "")]).await;
        let proxy = ProxyUrl {
            scheme: ProxyScheme::Http,
            host: "proxy.contoso.com".into(),
            port: 3128,
            credentials: Some(ProxyCredentials {
                username: "us@er".into(),
                password: "pa:ss".into(),
            }),
        };
        let mut http = fake.http().await.forwarded_by(Some(Forwarder::at(&proxy)));
        let deadline = Instant::now() + Duration::from_secs(5);
        http.get("/v2/?ns=a", deadline).await.unwrap();
        let (authority, head) = (fake.endpoint().authority(), fake.heads().remove(0));
        assert!(
            head.starts_with(&format!("GET http://{authority}/v2/?ns=a HTTP/1.1\r\n")),
            "{head}"
        );
        assert!(
            head.contains("\r\nproxy-authorization: Basic dXNAZXI6cGE6c3M=\r\n"),
            "{head}"
        );
    }
}
