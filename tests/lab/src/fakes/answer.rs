//! The ways in which a server of the lab can answer, told by name, and what each of them puts on the wire. The
//! healthy answers, and most refusals, are those of an Azure Container Registry.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fakes::http::{Framing, Request, Response};

/// How an endpoint answers; anything but [`Answer::AsAzure`] is a fault or at least odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As an Azure Container Registry in good health does.
    AsAzure,
    /// 403 `DENIED`, naming the address the registry saw.
    Firewall(IpAddr),
    /// This status, with an error of the registry's kind in the body and nothing else: 401 thus
    /// lacks a challenge, 403 is not the firewall's.
    Status(u16),
    /// This status, with an error of this message.
    Refused(u16, String),
    /// This status, and a body of this type.
    Body(u16, String, String),
    /// An answer with these headers before its own.
    With(Vec<(String, String)>, Box<Self>),
    /// 429, with `Retry-After` where a time is given.
    Throttled(Option<Duration>),
    /// 401 with another challenge than the usual one.
    Challenge(Challenge),
    /// 200 with `Docker-Distribution-Api-Version` and no body, as mcr.microsoft.com.
    Mcr,
    /// 200 `{}`: a registry that wants no credentials; for a token: no token.
    EmptyJson,
    /// 200 and JSON that is cut off.
    NotJson,
    /// 200 and four megabytes of JSON, with a token at the end.
    HugeJson,
    /// 200 and a page that asks to log in.
    CaptivePortal,
    /// 302 to another URL.
    RedirectTo(String),
    /// 307 to the same path and query behind this, which is a host or a path.
    MovedTo(String),
    /// So to some requests, and as Azure to all others.
    Only(Kind, Box<Self>),
    /// 302 to the very URL that was asked.
    RedirectLoop,
    /// The request is read and never answered.
    HangBeforeHeaders,
    /// Headers, a part of the body, and then nothing.
    HangInBody,
    /// A body that never ends.
    EndlessBody,
    /// A header of one megabyte.
    HugeHeaders,
    /// Headers that never end.
    EndlessHeaders,
    /// The connection is closed in place of an answer.
    Eof,
    /// The connection is reset in place of an answer.
    Reset,
    /// Bytes that are not HTTP.
    Garbage,
    /// The healthy answer, and the connection is closed in place of its last byte.
    EndsEarly,
    /// The healthy answer, with its last byte changed.
    Damaged,
    /// The healthy answer, in HTTP/1.0.
    Http10,
    /// The healthy answer, its body in chunks.
    Chunked,
    /// The healthy answer, after a while.
    Late(Duration),
    /// The healthy answer, so many bytes a second.
    Slowly(usize),
    /// The healthy answer, and the connection is closed in place of the next one.
    Once,
}

/// A kind of request that an answer can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Head,
    Get,
    /// With `Range`.
    Range,
    /// Without the header `X-Access`.
    Stranger,
    /// For the last layer of the image.
    LastLayer,
}

/// Challenges that are legal (RFC 9110, section 11) and not what Azure sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// `bEaReR rEaLm=…`
    MixedCase,
    /// Two schemes in one header, the first with a comma in a quoted string.
    Several,
    /// The realm with quoted pairs: `https:\/\/…`
    QuotedPairs,
    /// Unknown parameters, a token in place of a quoted string, spaces around commas.
    ExtraParameters,
    /// `Basic` and `Bearer`, each in its own header.
    BasicAndBearer,
    /// Basic alone.
    BasicOnly,
    /// The usual challenge with a realm elsewhere, such as another host, or
    /// `http://169.254.169.254/metadata/identity/oauth2/token`, which nobody should follow.
    Realm(String),
    /// These values of `Www-Authenticate`, as they are.
    Raw(Vec<String>),
}

/// What a connection does with a request.
pub(crate) enum Act {
    Respond(Response, Framing),
    /// Responds after a while.
    RespondLate(Response, Duration),
    /// Responds with so many bytes a second.
    RespondSlowly(Response, usize),
    /// Responds, and reads another request before it closes.
    RespondOnce(Response),
    /// Writes these bytes, and then does as told.
    Raw(Vec<u8>, Then),
}

pub(crate) enum Then {
    Close,
    Reset,
    Hang,
    /// Writes these bytes until the client has had enough.
    Repeat(Vec<u8>),
}

/// What an answer may need to know of the request it answers.
pub(crate) struct Asked<'a> {
    pub(crate) url: String,
    pub(crate) request: &'a Request,
    pub(crate) realm: String,
    pub(crate) service: &'a str,
    /// Its digest.
    pub(crate) last_layer: Option<&'a str>,
}

impl Asked<'_> {
    /// Whether the request is for what is behind a place, which is a host or a path.
    fn is_below(&self, place: &str) -> bool {
        self.url.starts_with(place) || self.request.target.starts_with(place)
    }
}

impl Answer {
    /// What to do, given what Azure would have answered.
    pub(crate) fn act(&self, asked: &Asked<'_>, azure: Response) -> Act {
        match self {
            Self::AsAzure => respond(azure),
            Self::Firewall(client) => respond(firewall(*client)),
            Self::Status(status) => respond(refusal(*status)),
            Self::Refused(status, message) => respond(error(*status, "DENIED", message)),
            Self::Body(status, media_type, text) => {
                respond(Response::new(*status).body(media_type, text.clone()))
            }
            Self::With(headers, answer) => match answer.act(asked, azure) {
                Act::Respond(response, framing) => {
                    Act::Respond(response.with_first(headers), framing)
                }
                act => act,
            },
            Self::Throttled(retry_after) => respond(throttled(*retry_after)),
            Self::Challenge(challenge) => respond(challenge.response(&asked.realm, asked.service)),
            Self::Mcr => respond(Response::new(200).header(API_VERSION.0, API_VERSION.1)),
            Self::EmptyJson => respond(Response::new(200).json(&json!({}))),
            Self::NotJson => {
                respond(Response::new(200).body("application/json", "{\"access_token\":"))
            }
            Self::HugeJson => respond(Response::new(200).json(&huge_json())),
            Self::CaptivePortal => respond(captive_portal()),
            // What has moved is there.
            Self::MovedTo(place) if asked.is_below(place) => respond(azure),
            Self::MovedTo(place) => {
                let url = format!("{place}{}", asked.request.target);
                respond(Response::new(307).header("Location", url))
            }
            Self::Only(kind, answer) if kind.is_of(asked) => answer.act(asked, azure),
            Self::Only(..) => respond(azure),
            Self::RedirectTo(url) => respond(Response::new(302).header("Location", url)),
            Self::RedirectLoop => respond(Response::new(302).header("Location", &asked.url)),
            Self::HangBeforeHeaders => Act::Raw(Vec::new(), Then::Hang),
            Self::HangInBody => Act::Raw(body_of_thousand(), Then::Hang),
            Self::EndlessBody => Act::Raw(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"a\":\"".to_vec(),
                Then::Repeat(vec![b'a'; 16 * 1024]),
            ),
            Self::HugeHeaders => respond(azure.header("X-Filler", "a".repeat(1024 * 1024))),
            Self::EndlessHeaders => Act::Raw(
                b"HTTP/1.1 401 Unauthorized\r\n".to_vec(),
                Then::Repeat(b"X-Filler: and so on\r\n".repeat(500)),
            ),
            Self::Eof => Act::Raw(Vec::new(), Then::Close),
            Self::Reset => Act::Raw(Vec::new(), Then::Reset),
            Self::Garbage => Act::Raw(b"\x00\x01 this is not HTTP\r\n\r\n".to_vec(), Then::Close),
            Self::EndsEarly => {
                let mut bytes = azure.encode(&asked.request.method, Framing::Length);
                if !azure.body.is_empty() && asked.request.method != "HEAD" {
                    bytes.pop();
                }
                Act::Raw(bytes, Then::Close)
            }
            Self::Damaged => respond(azure.with_last_byte_changed()),
            Self::Http10 => Act::Respond(azure, Framing::Http10),
            Self::Chunked => Act::Respond(azure, Framing::Chunked),
            Self::Late(wait) => Act::RespondLate(azure, *wait),
            Self::Slowly(rate) => Act::RespondSlowly(azure, *rate),
            Self::Once => Act::RespondOnce(azure),
        }
    }
}

impl Kind {
    fn is_of(self, asked: &Asked<'_>) -> bool {
        let request = asked.request;
        match self {
            Self::Head => request.method == "HEAD",
            Self::Get => request.method == "GET",
            Self::Range => request.header("range").is_some(),
            Self::Stranger => request.header("x-access").is_none(),
            Self::LastLayer => asked
                .last_layer
                .and_then(|digest| digest.strip_prefix("sha256:"))
                .is_some_and(|hex| request.target.contains(hex)),
        }
    }
}

impl Challenge {
    pub(crate) fn response(&self, realm: &str, service: &str) -> Response {
        self.lines(realm, service)
            .into_iter()
            .fold(unauthorized(), |response, line| {
                response.header("Www-Authenticate", line)
            })
    }

    fn lines(&self, realm: &str, service: &str) -> Vec<String> {
        match self {
            Self::MixedCase => vec![format!(r#"bEaReR rEaLm="{realm}",SERVICE="{service}""#)],
            Self::Several => vec![format!(
                r#"Digest realm="a, b", nonce="c=", Bearer realm="{realm}",service="{service}""#
            )],
            Self::QuotedPairs => {
                let realm = realm.replace('/', r"\/");
                vec![format!(r#"Bearer realm="{realm}",service="{service}""#)]
            }
            Self::ExtraParameters => vec![format!(
                r#"Bearer charset=UTF-8 , realm="{realm}" ,, error_description="a, \"b\"", service="{service}""#
            )],
            Self::BasicAndBearer => vec![
                format!(r#"Basic realm="{service}""#),
                azure_challenge(realm, service),
            ],
            Self::BasicOnly => vec![format!(r#"Basic realm="{service}""#)],
            Self::Realm(elsewhere) => vec![azure_challenge(elsewhere, service)],
            Self::Raw(lines) => lines.clone(),
        }
    }
}

pub(crate) const API_VERSION: (&str, &str) = ("Docker-Distribution-Api-Version", "registry/2.0");

pub(crate) fn azure_challenge(realm: &str, service: &str) -> String {
    format!(r#"Bearer realm="{realm}",service="{service}""#)
}

/// The body Azure sends with every 401; the challenge is up to the caller.
pub(crate) fn unauthorized() -> Response {
    error(
        401,
        "UNAUTHORIZED",
        "authentication required, visit https://aka.ms/acr/authorization for more information.",
    )
    .header(API_VERSION.0, API_VERSION.1)
}

/// An error as the distribution specification words them.
pub(crate) fn error(status: u16, code: &str, message: &str) -> Response {
    Response::new(status)
        .json(&json!({"errors": [{"code": code, "message": message, "detail": null}]}))
}

fn firewall(client: IpAddr) -> Response {
    let message = format!(
        "client with IP '{client}' is not allowed access. Refer https://aka.ms/acr/firewall to grant access."
    );
    Response::new(403).json(&json!({"errors": [{"code": "DENIED", "message": message}]}))
}

fn refusal(status: u16) -> Response {
    match status {
        401 => unauthorized(),
        404 => error(404, "NOT_FOUND", "the requested resource does not exist"),
        _ => error(status, "UNKNOWN", "something went wrong"),
    }
}

fn throttled(retry_after: Option<Duration>) -> Response {
    let response = error(429, "TOOMANYREQUESTS", "too many requests");
    match retry_after {
        Some(time) => response.header("Retry-After", time.as_secs().to_string()),
        None => response,
    }
}

fn huge_json() -> Value {
    json!({"a_filler": "a".repeat(4 * 1024 * 1024), "access_token": "at the end"})
}

fn captive_portal() -> Response {
    Response::new(200).body(
        "text/html",
        "<!doctype html><title>Welcome</title><form>Please log in to use this network.</form>",
    )
}

fn body_of_thousand() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{".to_vec()
}

fn respond(response: Response) -> Act {
    Act::Respond(response, Framing::Length)
}
