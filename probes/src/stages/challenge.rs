//! The stage `challenge`: `GET /v2/` without credentials at a login server. A healthy private registry
//! answers with a Bearer challenge; 200 from a registry is healthy too.

use std::{fmt, time::SystemTime};

use hyper::{
    HeaderMap, StatusCode,
    header::{DATE, SERVER, WWW_AUTHENTICATE},
};
use jiff::{Timestamp, fmt::rfc2822};
use serde::de::IgnoredAny;
use tokio::time::Instant;
use url::Url;

use crate::{
    net::{go_url, redact::redacted},
    stages::http::{
        connection::HttpConnection, fault::HttpFault, response::Response, www_authenticate,
    },
};

/// Redirects of `/v2/` that are followed on the same host; Go follows ten.
pub(crate) const MAX_REDIRECTS: usize = 10;
/// Registries that follow the distribution specification send it, some even where they need not.
const API_VERSION: &str = "docker-distribution-api-version";

/// Asks the registry at `url` which credentials it wants. One request per step, so that the caller can
/// replace a connection that a redirect closed.
pub(crate) async fn ask(
    connection: &mut HttpConnection,
    url: &Url,
    deadline: Instant,
) -> Result<ChallengeStep, HttpFault> {
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut response = connection.get(target, deadline).await?;
    if let Some(location) = response.redirect() {
        return Ok(ChallengeStep::Redirect(on_the_same_host(url, location)?));
    }
    let Some(access) = access(&mut response, deadline).await? else {
        return Err(response.refusal(deadline).await);
    };
    Ok(ChallengeStep::Answered(Challenge {
        status: response.status.as_u16(),
        readable_by_client: is_readable_by_client(&response.headers, &access),
        access,
        server: response.header(SERVER),
        correlation_id: response.correlation_id(),
        clock_skew: clock_skew(&response.headers),
    }))
}

/// What one request led to.
pub(crate) enum ChallengeStep {
    /// The registry's answer.
    Answered(Challenge),
    /// A redirect to another URL on the same host.
    Redirect(Url),
}

/// How a registry answered `GET /v2/`.
#[derive(Clone, Debug, PartialEq)]
pub struct Challenge {
    /// 200 or 401.
    pub status: u16,
    /// What it asks for.
    pub access: Access,
    /// Whether containerd, which reads less than RFC 9110 allows, understands the challenge.
    pub readable_by_client: bool,
    /// The header `Server`.
    pub server: Option<String>,
    /// The id that the registry's support asks for.
    pub correlation_id: Option<String>,
    /// This node's clock minus the registry's, in seconds; negative if this node is behind. `Date` has
    /// whole seconds.
    pub clock_skew: Option<f64>,
}

impl Challenge {
    /// The Bearer challenge, if it is one.
    pub fn bearer(&self) -> Option<&Bearer> {
        match &self.access {
            Access::Bearer(bearer) => Some(bearer),
            Access::Open | Access::Basic => None,
        }
    }
}

/// What a registry wants from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Open,
    /// User name and password; there is no anonymous token to request.
    Basic,
    /// A token.
    Bearer(Bearer),
}

/// A Bearer challenge of the distribution specification. `Debug` hides the secrets of the realm's URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The URL that issues tokens, as sent.
    pub realm: String,
    /// The name of the service that the token is for; at a regional ACR endpoint, the global name.
    pub service: Option<String>,
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bearer({}, {:?})", redacted(&self.realm), self.service)
    }
}

/// `None` if the status is a refusal.
async fn access(response: &mut Response, deadline: Instant) -> Result<Option<Access>, HttpFault> {
    let status = response.status;
    let not_a_registry = |why| {
        Err(HttpFault::NotARegistry {
            status: status.as_u16(),
            why,
        })
    };
    match status {
        StatusCode::UNAUTHORIZED => match asked_for(&response.headers) {
            Some(access) => Ok(Some(access)),
            None => not_a_registry("no usable challenge"),
        },
        StatusCode::OK if response.headers.contains_key(API_VERSION) => Ok(Some(Access::Open)),
        // MCR answers with a body of `{}` or nothing at all.
        StatusCode::OK => match &*response.body(deadline).await? {
            body if is_empty_json(body) => Ok(Some(Access::Open)),
            body if serde_json::from_slice::<IgnoredAny>(body).is_err() => {
                Err(HttpFault::Page(status.as_u16()))
            }
            _ => not_a_registry("no Docker-Distribution-Api-Version and no empty JSON"),
        },
        _ => Ok(None),
    }
}

/// containerd prefers a token to a password if both are offered.
fn asked_for(headers: &HeaderMap) -> Option<Access> {
    let challenges: Vec<_> = lines(headers).flat_map(www_authenticate::parse).collect();
    let with = |scheme| challenges.iter().filter(move |one| one.scheme == scheme);
    let bearer = with("bearer").find_map(|challenge| {
        let service = challenge.parameter("service").map(str::to_owned);
        let realm = challenge.parameter("realm")?.to_owned();
        Some(Access::Bearer(Bearer { realm, service }))
    });
    bearer.or_else(|| with("basic").next().map(|_| Access::Basic))
}

/// containerd reads only the first challenge of each header line (`ParseAuthHeader` in its
/// `core/remotes/docker/auth/parse.go`).
fn is_readable_by_client(headers: &HeaderMap, access: &Access) -> bool {
    let wanted = match access {
        Access::Open => return true,
        Access::Basic => "basic",
        Access::Bearer(_) => "bearer",
    };
    let mut first =
        lines(headers).filter_map(|line| www_authenticate::parse(line).into_iter().next());
    first.any(|challenge| challenge.scheme == wanted)
}

fn lines(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(WWW_AUTHENTICATE).iter();
    lines.filter_map(|line| line.to_str().ok())
}

fn is_empty_json(body: &[u8]) -> bool {
    match serde_json::from_slice(body) {
        Ok(serde_json::Value::Object(object)) => object.is_empty(),
        _ => body.trim_ascii().is_empty(),
    }
}

/// The URL that `location` leads to, in an answer to a request for `asked`.
pub(crate) fn on_the_same_host(asked: &Url, location: &str) -> Result<Url, HttpFault> {
    let to = go_url::resolve(asked, location)
        .map_err(|why| HttpFault::not_asked(why, "a redirect to what", location))?;
    if to.origin() != asked.origin() {
        return Err(HttpFault::not_followed(
            to.as_str(),
            "another host than the registry's",
        ));
    }
    Ok(to)
}

fn clock_skew(headers: &HeaderMap) -> Option<f64> {
    let date = rfc2822::DateTimeParser::new()
        .parse_timestamp(headers.get(DATE)?.to_str().ok()?)
        .ok()?;
    let now = Timestamp::try_from(SystemTime::now()).ok()?;
    (now - date).total(jiff::Unit::Second).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| (WWW_AUTHENTICATE, line.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_token_is_preferred_to_a_password() {
        let both = headers(&[
            r#"Basic realm="b""#,
            r#"Bearer realm="https://r.example/t""#,
        ]);
        let bearer = Bearer {
            realm: "https://r.example/t".into(),
            service: None,
        };
        assert_eq!(asked_for(&both), Some(Access::Bearer(bearer)));
        assert_eq!(
            asked_for(&headers(&[r#"Basic realm="b""#])),
            Some(Access::Basic)
        );
        assert_eq!(asked_for(&headers(&["Bearer service=s"])), None);
        assert_eq!(asked_for(&headers(&[])), None);
    }

    #[test]
    fn mcr_and_portals() {
        assert!(is_empty_json(b"{}") && is_empty_json(b"") && is_empty_json(b" {} \n"));
        assert!(!is_empty_json(b"<html></html>") && !is_empty_json(br#"{"a":1}"#));
    }

    #[test]
    fn redirects_stay_on_the_host() {
        let origin = Url::parse("https://contoso.azurecr.io/").unwrap();
        for (location, to) in [
            ("/v2/x?y=1", "https://contoso.azurecr.io/v2/x?y=1"),
            ("x", "https://contoso.azurecr.io/x"),
            ("//contoso.azurecr.io//x", "https://contoso.azurecr.io//x"),
        ] {
            assert_eq!(on_the_same_host(&origin, location).unwrap().as_str(), to);
        }
        for away in [
            "https://login.example/",
            "http://contoso.azurecr.io/v2/",
            "//evil.example/",
        ] {
            let fault = on_the_same_host(&origin, away).unwrap_err();
            assert!(matches!(fault, HttpFault::NotFollowed { .. }), "{away}");
        }
    }
}
