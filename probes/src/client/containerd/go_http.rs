//! Go's `http.Client.Do`: redirects, which headers go along, and what it makes of a body by gzip.
//!
//! Source: Go `net/http/client.go` (`redirectBehavior`, `makeHeadersCopier`, `shouldCopyHeaderOnRedirect`, `do`),
//! `net/http/transport.go` (`gzipReader`), `compress/gzip`.

use std::sync::Arc;

use hyper::{
    Method,
    header::{
        AUTHORIZATION, CONTENT_ENCODING, CONTENT_RANGE, COOKIE, HeaderName, HeaderValue, LOCATION,
        PROXY_AUTHORIZATION,
    },
};
use url::Url;

use super::{
    stop::{Class, GoError, Stop},
    transport::{
        Body, BodyEnd, FaultKind, Manner, Offered, Read, Transport, WalkReply, WalkRequest,
        WalkResponse,
    },
};
use crate::{
    client::credential::Credential,
    net::{
        go_url::{self, NoUrl},
        inert::excerpt,
        redact::{shown, without_values},
    },
    node::ContainerdRelease,
    stages::http::fault::HttpFault,
};

/// How a file by gzip begins.
const GZIP: &[u8] = &[0x1f, 0x8b];

const MAX_REDIRECTS: usize = 10;
/// What does not go along to other hosts.
const SECRET: [HeaderName; 3] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];

/// An answer, and the URL that gave it.
pub(super) struct Followed {
    pub response: WalkResponse,
    pub url: Url,
    /// The URL that was asked before any redirect.
    pub asked: Url,
    pub method: Method,
}

impl Followed {
    /// Whether the body is larger than what was to be read of it.
    pub(super) fn is_too_large(&self) -> bool {
        matches!(self.response.body.end, BodyEnd::TooLarge)
    }

    /// Whether the connection was closed before the end of the body.
    pub(super) fn ends_early(&self) -> bool {
        matches!(&self.response.body.end, BodyEnd::Cut(fault) if fault.kind == FaultKind::Eof)
    }

    /// How much of the body came.
    pub(super) fn length(&self) -> usize {
        self.response.body.bytes.len()
    }

    /// Adds what came of the rest, as the client takes it: without `Content-Range` it is the whole again. `false` where
    /// it cannot go on with that.
    pub(super) fn goes_on_with(&mut self, rest: &Self) -> bool {
        let WalkResponse { headers, body, .. } = &rest.response;
        let had = &self.response.body.bytes;
        let starts_there = |range: &HeaderValue| {
            let start = format!("bytes {}-", had.len());
            range.as_bytes().starts_with(start.as_bytes())
        };
        let more = match headers.get(CONTENT_RANGE).filter(|_| !had.is_empty()) {
            Some(range) => Some(&*body.bytes).filter(|_| starts_there(range)),
            None => body.bytes.get(had.len()..),
        };
        let Some(more) = more else { return false };
        self.response.body = Body {
            bytes: [had, more].concat().into(),
            end: body.end.clone(),
        };
        true
    }

    /// The body, where all of it came.
    pub(super) fn whole(&self) -> Result<&[u8], Stop> {
        let (text, class) = match &self.response.body.end {
            BodyEnd::Complete => return Ok(&self.response.body.bytes),
            // For the rest of a body no release has a limit.
            BodyEnd::Cut(fault) if fault.kind.is_timeout() => (None, Class::Hangs),
            BodyEnd::Cut(fault) => (fault.text.clone(), Class::Other),
            BodyEnd::TooLarge => (None, Class::Other),
        };
        Err(GoError {
            text,
            ..GoError::untold(class)
        }
        .into())
    }

    /// The answer as Go reads its body where the client leaves compression to it. A probe asks for none and unpacks none.
    pub(super) fn unpacked(self, read: Read) -> Result<Self, Stop> {
        let said = self.response.headers.get(CONTENT_ENCODING);
        match said.is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"gzip")) {
            true => Err(self.said_to_be_gzip(read)),
            false => Ok(self),
        }
    }

    /// What comes of a body that is said to be by gzip: Go cannot unpack it, or the probe does not.
    pub(super) fn said_to_be_gzip(&self, read: Read) -> Stop {
        let body = &self.response.body.bytes;
        match read {
            Read::Whole(_) if !body.starts_with(GZIP) => {
                refused("gzip", "gzip: invalid header".to_owned())
            }
            _ => not_unpacked("gzip"),
        }
    }
}

/// That a body is said to be compressed in a way that the client cannot read, which then prints `error`.
pub(super) fn refused(name: &str, error: String) -> Stop {
    let name = excerpt(name.as_bytes());
    let fault = HttpFault::Malformed(format!("said to be compressed by {name}"));
    GoError::new(Class::Other, error).with_content(fault).into()
}

/// That a body comes in a way that the client may unpack.
pub(super) fn not_unpacked(name: &str) -> Stop {
    Stop::NotSeen(format!("content comes compressed, by {name}"))
}

/// What goes into the header `Authorization`.
pub(super) enum Authorization {
    Token(HeaderValue),
    Password(Arc<Credential>),
}

/// Who puts an `Authorization` on each request.
pub(super) trait Authorize<T: Transport> {
    /// That of a request to `url`; `None` where it needs none.
    async fn authorize(
        &mut self,
        transport: &mut T,
        url: &Url,
    ) -> Result<Option<Authorization>, Stop>;
}

/// Nobody: a token request carries no more than it began with.
pub(super) struct Anonymous;

impl<T: Transport> Authorize<T> for Anonymous {
    async fn authorize(&mut self, _: &mut T, _: &Url) -> Result<Option<Authorization>, Stop> {
        Ok(None)
    }
}

/// Sends a request and follows its redirects. `by` is asked for each hop, as containerd's `CheckRedirect` does.
pub(super) async fn send<T: Transport>(
    transport: &mut T,
    by: &mut impl Authorize<T>,
    request: &WalkRequest,
    release: ContainerdRelease,
) -> Result<Followed, Stop> {
    let url_error = |url: &Url, text: &str| url_error(release, &request.method, url, text);
    let mut request = request.clone();
    let authorization = by.authorize(transport, &request.url).await;
    set(
        &mut request,
        authorization.map_err(|stop| stop.within("failed to authorize"))?,
    );
    // What goes along is that of the first request. What stays behind once, stays behind.
    let mut first = request.clone();
    let mut hops = 0;
    loop {
        let response = match transport.send(&request).await {
            WalkReply::Response(response) => response,
            WalkReply::NotSeen(why) => return Err(Stop::NotSeen(why)),
            WalkReply::Fault(fault) => {
                let class = match fault.kind {
                    FaultKind::Timeout | FaultKind::Silence | FaultKind::Eof => Class::Transient,
                    FaultKind::Hangs => Class::Hangs,
                    FaultKind::Dial | FaultKind::Other => Class::Other,
                };
                let text = fault.text.map(|text| url_error(&request.url, &text));
                return Err(GoError {
                    text,
                    ..GoError::untold(class)
                }
                .into());
            }
        };
        let Some((method, location)) = redirect(&request.method, &response) else {
            let mut url = request.url;
            if response.in_the_clear {
                // Go prints the URL that its transport fell back to; a redirect starts from the one it was given.
                let _ = url.set_scheme("http");
            }
            return Ok(Followed {
                response,
                url,
                asked: first.url,
                method: request.method,
            });
        };
        let next = go_url::resolve(&request.url, &location);
        hops += 1;
        // `len(via)` is how many requests were sent before.
        if hops >= MAX_REDIRECTS && next != Err(NoUrl::Refused) {
            let text = format!("stopped after {MAX_REDIRECTS} redirects");
            let text = next.ok().map(|url| url_error(&url, &text));
            let error = GoError {
                text,
                ..GoError::untold(Class::Other)
            };
            let fault = HttpFault::TooManyRedirects(MAX_REDIRECTS);
            return Err(error.with_content(fault).into());
        }
        let url =
            next.map_err(|why| leads_nowhere(release, &first, &request.url, &location, why))?;
        let keeps_body = matches!(response.status, 307 | 308);
        let keeps_secrets = keeps_credentials(&first.url, &url);
        if !keeps_secrets {
            for name in SECRET {
                first.headers.remove(name);
            }
        }
        first.offered = first.offered.filter(|offered| match offered.by {
            Manner::Basic => keeps_secrets,
            Manner::Form(_) => keeps_body,
        });
        request = WalkRequest {
            method,
            url,
            ..first.clone()
        };
        let authorization = by.authorize(transport, &request.url).await;
        let authorization =
            authorization.map_err(|stop| stop.within("failed to authorize redirect"));
        set(&mut request, authorization?);
    }
}

fn set(request: &mut WalkRequest, authorization: Option<Authorization>) {
    match authorization {
        None => {}
        Some(Authorization::Token(value)) => drop(request.headers.insert(AUTHORIZATION, value)),
        Some(Authorization::Password(credential)) => {
            request.offered = Some(Offered {
                credential,
                by: Manner::Basic,
            });
        }
    }
}

/// Where an answer leads, as it says, and by which method; `None` where it is the end.
fn redirect(method: &Method, response: &WalkResponse) -> Option<(Method, String)> {
    let method = match (response.status, method) {
        (301..=303, &Method::GET | &Method::HEAD) | (307 | 308, _) => method.clone(),
        (301..=303, _) => Method::GET,
        _ => return None,
    };
    // Without a location the answer itself is the end.
    let location = response.headers.get(LOCATION)?;
    let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
    (!location.is_empty()).then_some((method, location))
}

/// Why a `location` is not asked.
fn leads_nowhere(
    release: ContainerdRelease,
    first: &WalkRequest,
    from: &Url,
    location: &str,
    why: NoUrl,
) -> Stop {
    let fault = HttpFault::not_asked(why, "a redirect to what", location);
    let text = match why {
        NoUrl::Differs => return Stop::NotFollowed(first.content, fault),
        NoUrl::Refused => None,
        NoUrl::NotSent => {
            let url = from.join(location).ok();
            let url = url.filter(|url| !matches!(url.scheme(), "http" | "https"));
            url.map(|url| {
                let text = format!("unsupported protocol scheme {:?}", url.scheme());
                url_error(release, &first.method, &url, &text)
            })
        }
    };
    GoError {
        text,
        ..GoError::untold(Class::Other)
    }
    .with_content(fault)
    .into()
}

/// Whether a header with credentials goes along from the first URL: to the same host and to those below it.
fn keeps_credentials(first: &Url, to: &Url) -> bool {
    let (Some(from), Some(to)) = (first.host_str(), to.host_str()) else {
        return false;
    };
    from == to
        || to
            .strip_suffix(from)
            .is_some_and(|rest| rest.ends_with('.'))
}

/// `url.Error` as it prints, and CRI hands it on.
fn url_error(release: ContainerdRelease, method: &Method, url: &Url, text: &str) -> String {
    let mut verb = method.as_str().to_lowercase();
    if let Some(first) = verb.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let url = match release.hides_queries() {
        true => without_values(url),
        false => shown(url),
    };
    format!("{verb} \"{url}\": {text}")
}
