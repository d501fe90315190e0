//! The stage `blob`: whether the first byte of a blob can be fetched. The registry serves it or
//! redirects; each redirect becomes a [`Hop`], an endpoint that the caller takes through its own
//! stages. Signed URLs are never printed, and the bearer token never leaves the registry.

use std::fmt;

use hyper::{StatusCode, header::SERVER};
use tokio::time::Instant;
use url::{Position, Url};

use crate::{
    net::redact::redacted,
    stages::{
        http::{
            HttpAnswer,
            connection::{HttpConnection, Request},
            fault::HttpFault,
            response::Response,
        },
        manifest::Descriptor,
        pull::Pull,
    },
    words::endpoint::{Endpoint, Role, Scheme},
};

/// As many as Go's client follows.
const MAX_HOPS: usize = 10;

/// How far one host got the pull.
#[derive(Debug)]
pub(crate) enum BlobStep {
    /// It serves the blob.
    Served(HttpAnswer),
    /// It redirects to another URL.
    Redirect(HttpAnswer, Hop),
}

/// A URL on the way to a blob, checked to be one that a probe may request.
#[derive(Clone)]
pub(crate) struct Hop {
    /// The endpoint to ask. Its role is [`Role::Storage`], unless it is the registry again.
    pub endpoint: Endpoint,
    url: Url,
    followed: usize,
}

impl Hop {
    /// The registry itself, which every blob is requested from first.
    pub(crate) fn first(pull: &Pull<'_>, blob: &Descriptor) -> Self {
        Self {
            endpoint: pull.registry.clone(),
            url: pull.url(&format!("blobs/{}", blob.digest)),
            followed: 0,
        }
    }

    /// Requests the blob over a connection to this hop's endpoint.
    pub(crate) async fn fetch(
        &self,
        connection: &mut HttpConnection,
        pull: &Pull<'_>,
        blob: &Descriptor,
        deadline: Instant,
    ) -> Result<BlobStep, HttpFault> {
        let request = Request {
            authorization: pull.authorization(&self.endpoint)?,
            range: Some("bytes=0-0"),
            ..Request::of(&self.url[Position::BeforePath..Position::AfterQuery])
        };
        let mut response = connection.send(request, deadline).await?;
        let answered = HttpAnswer {
            status: response.status.as_u16(),
            server: response.header(SERVER),
            correlation_id: response.correlation_id(),
        };
        if let Some(location) = response.redirect() {
            let next = self.redirected(location, pull.registry)?;
            return Ok(BlobStep::Redirect(answered, next));
        }
        match is_served(&mut response, blob, deadline).await? {
            true => Ok(BlobStep::Served(answered)),
            false => Err(response.refusal(deadline).await),
        }
    }

    fn redirected(&self, location: &str, registry: &Endpoint) -> Result<Self, HttpFault> {
        if self.followed == MAX_HOPS {
            return Err(HttpFault::TooManyRedirects(MAX_HOPS));
        }
        let malformed =
            |_| HttpFault::Malformed("a redirect to something that is not a URL".to_owned());
        let url = self.url.join(location).map_err(malformed)?;
        let denied = |why| Err(HttpFault::redirect_denied(url.as_str(), why));
        let Some(endpoint) = Endpoint::of(&url, Role::Storage) else {
            return denied("neither https nor http");
        };
        if endpoint.scheme == Scheme::Http && registry.scheme == Scheme::Https {
            return denied("from https to plain http");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return denied("a redirect must not carry credentials");
        }
        let endpoint = match endpoint.is_same_server(registry) {
            true => registry.clone(),
            false => endpoint,
        };
        Ok(Self {
            endpoint,
            url,
            followed: self.followed + 1,
        })
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(self.url.as_str()))
    }
}

impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hop({self})")
    }
}

/// `false` if the status is a refusal. An empty blob has no first byte and no range.
async fn is_served(
    response: &mut Response,
    blob: &Descriptor,
    deadline: Instant,
) -> Result<bool, HttpFault> {
    match response.status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
            if blob.size > 0 && !response.has_first_byte(deadline).await? {
                let Descriptor { size, .. } = blob;
                let why = format!("no byte of a blob of {size} bytes");
                return Err(HttpFault::Malformed(why));
            }
            Ok(true)
        }
        StatusCode::RANGE_NOT_SATISFIABLE => Ok(blob.size == 0),
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        net::io_fault::IoFault,
        stages::{
            fake::{Fake, answer},
            manifest::Digest,
            token::Secret,
        },
        words::reason::Reason,
    };

    fn content(size: u64) -> Descriptor {
        Descriptor {
            digest: Digest::of(b"layer"),
            size,
        }
    }

    const LIMIT: Duration = Duration::from_millis(1500);

    async fn ask(fake: &Fake, size: u64) -> Result<BlobStep, HttpFault> {
        ask_within(LIMIT, fake, size).await
    }

    async fn ask_within(limit: Duration, fake: &Fake, size: u64) -> Result<BlobStep, HttpFault> {
        let (registry, token) = (fake.endpoint(), Secret::from("t0k3n"));
        let pull = Pull {
            registry: &registry,
            repository: "probe/hello",
            token: Some(&token),
        };
        let blob = content(size);
        let first = Hop::first(&pull, &blob);
        let deadline = Instant::now() + limit;
        first
            .fetch(&mut fake.http().await, &pull, &blob, deadline)
            .await
    }

    async fn fault_of(answer: String, size: u64) -> HttpFault {
        ask(&Fake::answering([answer]).await, size)
            .await
            .unwrap_err()
    }

    fn redirect(to: &str) -> String {
        let location = format!("Location: {to}");
        answer("307 Temporary Redirect", &[&location], "")
    }

    fn hop(from: &str) -> Hop {
        let url = Url::parse(from).unwrap();
        Hop {
            endpoint: Endpoint::of(&url, Role::Login).unwrap(),
            url,
            followed: 0,
        }
    }

    #[tokio::test]
    async fn the_registry_serves() {
        let fake = Fake::answering([answer("206 Partial Content", &["Server: s"], "x")]).await;
        let Ok(BlobStep::Served(answered)) = ask(&fake, 9).await else {
            panic!("not served");
        };
        assert_eq!(
            (answered.status, answered.server.as_deref()),
            (206, Some("s"))
        );
        let head = &fake.heads()[0];
        let path = format!(
            "GET /v2/probe/hello/blobs/{} HTTP/1.1\r\n",
            Digest::of(b"layer")
        );
        assert!(head.starts_with(&path));
        assert!(head.contains("\r\nauthorization: Bearer t0k3n\r\n"));
        assert!(head.contains("\r\nrange: bytes=0-0\r\n"));
    }

    #[tokio::test]
    async fn one_byte_of_an_endless_blob_is_enough() {
        let fake = Fake::endless("HTTP/1.1 200 OK\r\n\r\n", "xxxxxxxx").await;
        let step = ask(&fake, u64::MAX).await;
        assert!(matches!(step, Ok(BlobStep::Served(_))));
    }

    #[tokio::test]
    async fn an_empty_blob_needs_no_byte() {
        for status in ["200 OK", "416 Range Not Satisfiable"] {
            let fake = Fake::answering([answer(status, &[], "")]).await;
            assert!(
                matches!(ask(&fake, 0).await, Ok(BlobStep::Served(_))),
                "{status}"
            );
        }
        let empty = fault_of(answer("200 OK", &[], ""), 9).await;
        assert_eq!(
            empty,
            HttpFault::Malformed("no byte of a blob of 9 bytes".to_owned())
        );
        let range = fault_of(answer("416 Range Not Satisfiable", &[], ""), 9).await;
        assert_eq!(range.reason(), Reason::UnexpectedStatus);
    }

    #[tokio::test]
    async fn the_bearer_stays_with_the_registry() {
        let storage = Fake::answering([answer("200 OK", &[], "x")]).await;
        let port = storage.endpoint().port;
        let location = format!("http://127.0.0.1:{port}/blob?sig=secret");
        let fake = Fake::answering([redirect(&location)]).await;
        let Ok(BlobStep::Redirect(answered, hop)) = ask(&fake, 9).await else {
            panic!("not redirected");
        };
        assert_eq!(answered.status, 307);
        assert_eq!(hop.endpoint.role, Role::Storage);
        for shown in [format!("{hop}"), format!("{hop:?}")] {
            assert!(!shown.contains("secret"), "{shown}");
        }
        let (registry, token) = (fake.endpoint(), Secret::from("t0k3n"));
        let pull = Pull {
            registry: &registry,
            repository: "probe/hello",
            token: Some(&token),
        };
        let mut http = storage.http().await;
        let step = hop
            .fetch(&mut http, &pull, &content(9), Instant::now() + LIMIT)
            .await;
        assert!(matches!(step, Ok(BlobStep::Served(_))));
        let head = &storage.heads()[0];
        assert!(head.starts_with("GET /blob?sig=secret HTTP/1.1\r\n"));
        assert!(!head.contains("authorization") && head.contains("range: bytes=0-0"));
    }

    #[test]
    fn a_redirect_to_the_registry_is_the_registry_again() {
        let here = hop("https://contoso.azurecr.io/v2/");
        let next = here.redirected("/blob?x=1", &here.endpoint).unwrap();
        assert_eq!(next.endpoint.role, Role::Login);
        assert_eq!(next.to_string(), "https://contoso.azurecr.io/blob?…");
        for near in [
            "https://contoso.azurecr.io:8443/",
            "https://x.contoso.azurecr.io/",
            "https://contoso.azurecr.io.evil.example/",
        ] {
            let next = here.redirected(near, &here.endpoint).unwrap();
            assert_eq!(next.endpoint.role, Role::Storage, "{near}");
        }
    }

    #[test]
    fn redirects_that_are_refused() {
        let https = hop("https://contoso.azurecr.io/v2/");
        for (location, shown) in [
            (
                "http://data.example/b?sig=1",
                "sent to http://data.example/b?…: from https to plain http",
            ),
            (
                "https://u:p@data.example/",
                "sent to https://…@data.example/: a redirect must not carry credentials",
            ),
            (
                "https:\\\\u:p@data.example",
                "sent to https://…@data.example/: a redirect must not carry credentials",
            ),
            (
                "file:///etc/passwd",
                "sent to file:///etc/passwd: neither https nor http",
            ),
            (
                "https://",
                "malformed answer: a redirect to something that is not a URL",
            ),
        ] {
            let fault = https.redirected(location, &https.endpoint).unwrap_err();
            assert_eq!(fault.to_string(), shown);
        }
        let http = hop("http://registry.example:5000/v2/");
        assert!(
            http.redirected("http://data.example/", &http.endpoint)
                .is_ok()
        );
    }

    #[test]
    fn redirects_end() {
        let start = hop("https://contoso.azurecr.io/v2/");
        let registry = start.endpoint.clone();
        let mut hop = start;
        for _ in 0..MAX_HOPS {
            hop = hop.redirected("/again", &registry).unwrap();
        }
        let fault = hop.redirected("/again", &registry).unwrap_err();
        assert_eq!(fault, HttpFault::TooManyRedirects(10));
    }

    #[tokio::test]
    async fn a_refusal_is_reported_by_its_status() {
        for (status, reason) in [
            ("403 Forbidden", Reason::Forbidden),
            ("404 Not Found", Reason::NotFound),
            ("429 Too Many Requests", Reason::Throttled),
            ("500 Internal Server Error", Reason::ServerError),
            ("307 Temporary Redirect", Reason::UnexpectedStatus),
            ("304 Not Modified", Reason::UnexpectedStatus),
        ] {
            assert_eq!(fault_of(answer(status, &[], ""), 9).await.reason(), reason);
        }
        let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_owned();
        assert_eq!(fault_of(cut, 9).await, HttpFault::Io(IoFault::Closed));
        let garbage = fault_of("\x16\x03\x01\r\n\r\n".to_owned(), 9).await;
        assert_eq!(garbage.reason(), Reason::Malformed);
        let limit = Duration::from_millis(100);
        let silent = ask_within(limit, &Fake::silent().await, 9).await;
        assert!(matches!(silent, Err(HttpFault::Io(IoFault::Timeout))));
    }
}
