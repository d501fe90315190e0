//! An HTTP answer: its head, its body up to a limit, and why it refuses.

use std::net::IpAddr;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, StatusCode, Version,
    body::Incoming,
    header::{CONNECTION, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER, SERVER},
    http::response::Parts,
};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{
    download::Begun,
    fault::{HttpFault, Refusal},
};
use crate::net::{allowance::Allowance, inert::excerpt, io_fault::IoFault};

/// Bytes of body that are read.
const MAX_BODY: usize = 64 * 1024;
/// A body has stopped once nothing more has come in this part of the time it had.
const STOPPED: u32 = 3;
/// ACR's name for the id that its support asks for.
pub(crate) const CORRELATION_ID: HeaderName =
    HeaderName::from_static("x-ms-correlation-request-id");

/// The head of an answer, and its body until it is read. It has no `Debug`, because headers may be
/// signed.
pub(crate) struct Response {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// Whether the server takes another request over this connection.
    pub keeps_open: bool,
    body: Option<Incoming>,
    allowance: Allowance,
}

impl Response {
    pub(super) fn new(head: Parts, body: Incoming, allowance: Allowance) -> Self {
        let closes = head.headers.get(CONNECTION);
        let closes = closes.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        Self {
            status: head.status,
            keeps_open: head.version >= Version::HTTP_11 && !closes,
            headers: head.headers,
            body: Some(body),
            allowance,
        }
    }

    /// A header as text, shortened to fit a message.
    pub(crate) fn header(&self, name: impl hyper::header::AsHeaderName) -> Option<String> {
        self.headers
            .get(name)
            .map(|value| excerpt(value.as_bytes()))
    }

    /// The id that the registry's support asks for.
    pub(crate) fn correlation_id(&self) -> Option<String> {
        self.header(CORRELATION_ID)
    }

    /// Where the answer redirects to, in full: to follow, never to print. The statuses are those that
    /// Go's client follows.
    pub(crate) fn redirect(&self) -> Option<&str> {
        let follows = matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let location = self.headers.get(LOCATION).filter(|_| follows)?;
        std::str::from_utf8(location.as_bytes()).ok()
    }

    /// Reads the start of the body: `wanted` bytes, or all of a shorter one, or what has come by the `deadline` if it
    /// still comes. Gives the rest, unless the body has ended. Unless that is read as well, the connection cannot be used
    /// again.
    pub(crate) async fn start(
        &mut self,
        wanted: usize,
        deadline: Instant,
    ) -> (Bytes, Result<Option<Begun>, HttpFault>) {
        let Some(mut body) = self.body.take() else {
            return (Bytes::new(), Ok(None));
        };
        self.allowance.renew(wanted);
        let pause = deadline.saturating_duration_since(Instant::now()) / STOPPED;
        let mut start = Vec::new();
        let mut came = 0;
        // Of a body that has begun, the next part.
        let mut next = deadline;
        while start.len() < wanted {
            match timeout_at(next, body.frame()).await {
                Err(_) if came > 0 && next == deadline => break,
                Err(_) => return (start.into(), Err(IoFault::Timeout.into())),
                Ok(None) => return (start.into(), Ok(None)),
                Ok(Some(Err(error))) => return (start.into(), Err(error.into())),
                Ok(Some(Ok(frame))) => {
                    let part = frame.into_data().unwrap_or_default();
                    came += part.len();
                    start.extend_from_slice(&part[..part.len().min(wanted - start.len())]);
                    next = deadline.min(Instant::now() + pause);
                }
            }
        }
        let rest = Begun {
            came: came as u64,
            body,
            allowance: self.allowance.clone(),
        };
        (start.into(), Ok(Some(rest)))
    }

    /// Reads the body, up to what an answer about a registry needs; empty the second time.
    pub(crate) async fn body(&mut self, deadline: Instant) -> Result<Bytes, HttpFault> {
        let (bytes, end) = self.body_up_to(MAX_BODY, deadline).await;
        end.map(|()| bytes)
    }

    /// Reads the body, up to `cap` bytes; empty the second time. Also gives what came before the connection ended.
    pub(crate) async fn body_up_to(
        &mut self,
        cap: usize,
        deadline: Instant,
    ) -> (Bytes, Result<(), HttpFault>) {
        let mut parts = Vec::new();
        let end = self.read_into(&mut parts, cap, deadline).await;
        if matches!(end, Err(HttpFault::TooLarge(_))) {
            parts.clear();
        }
        (parts.concat().into(), end)
    }

    async fn read_into(
        &mut self,
        parts: &mut Vec<Bytes>,
        cap: usize,
        deadline: Instant,
    ) -> Result<(), HttpFault> {
        let Some(mut body) = self.body.take() else {
            return Ok(());
        };
        self.allowance.renew(cap);
        let mut left = cap;
        while let Some(frame) = timeout_at(deadline, body.frame())
            .await
            .map_err(|_| IoFault::Timeout)?
        {
            let frame = frame.map_err(|error| match HttpFault::from(error) {
                HttpFault::TooLarge(_) => HttpFault::TooLarge("body"),
                fault => fault,
            })?;
            if let Ok(part) = frame.into_data() {
                let rest = left.checked_sub(part.len());
                left = rest.ok_or(HttpFault::TooLarge("body"))?;
                parts.push(part);
            }
        }
        Ok(())
    }

    /// What the server says, if the status is a refusal.
    pub(crate) async fn refusal(mut self, deadline: Instant) -> HttpFault {
        // A body that is late, endless or cut short does not change the status.
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
            is_json: self
                .header(CONTENT_TYPE)
                .is_some_and(|kind| kind.starts_with("application/json")),
            client_ip,
            server: self.header(SERVER),
            correlation_id: self.correlation_id(),
            retry_after: self.header(RETRY_AFTER),
        }))
    }
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

    /// ACR's network rules answer `DENIED` and quote the refused address.
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
    use std::time::Duration;

    use super::*;
    use crate::{
        stages::{fake::Fake, http::connection::Request},
        words::reason::Reason,
    };

    #[test]
    fn network_rules_differ_from_other_denials() {
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

    #[tokio::test]
    async fn the_start_of_a_body_comes_and_is_cut_off_or_stops() {
        const HUNDRED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nxx";
        let start = async |fake: Fake| {
            let deadline = Instant::now() + Duration::from_millis(300);
            let mut http = fake.http().await;
            let mut response = http.send(Request::of("/"), deadline).await.unwrap();
            let (start, rest) = response.start(20, deadline).await;
            (start.len(), rest.map(|rest| rest.is_some()))
        };
        let endless = Fake::endless("HTTP/1.1 200 OK\r\n\r\n", "xxx").await;
        assert_eq!(start(endless).await, (20, Ok(true)));
        let short = Fake::answering(["HTTP/1.1 200 OK\r\n\r\nxx"]).await;
        assert_eq!(start(short).await, (2, Ok(false)));
        let (came, end) = start(Fake::answering([HUNDRED]).await).await;
        assert!(came == 2 && end.is_err_and(|fault| fault.reason() == Reason::Closed));
        let stopped = HttpFault::Io(IoFault::Timeout);
        let stops = Fake::hanging_after(HUNDRED).await;
        assert_eq!(start(stops).await, (2, Err(stopped)));
    }
}
