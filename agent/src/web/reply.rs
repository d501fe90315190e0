//! Answers, with the headers that every one of them has.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use serde::Serialize;

use crate::printable::printable_json;

/// What a handler returns.
pub(super) type Reply = Response<Full<Bytes>>;

/// On every answer: it is what its type says, nobody learns from it where a reader comes from, and
/// no page of others shows it.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// A line for people.
pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    reply(status, "text/plain; charset=utf-8", body)
}

/// A document for programs.
pub(super) fn json(status: StatusCode, document: &impl Serialize) -> Reply {
    self::document(status, serde_json::to_string(document))
}

/// The same for people to look into.
pub(super) fn pretty_json(document: &impl Serialize) -> Reply {
    self::document(StatusCode::OK, serde_json::to_string_pretty(document))
}

/// Whoever reads it at a terminal reads strangers' text, too.
fn document(status: StatusCode, json: serde_json::Result<String>) -> Reply {
    match json {
        Ok(json) => {
            let json = printable_json(&json).into_owned();
            reply(status, "application/json", json)
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// Why a program gets no document.
pub(super) fn error(status: StatusCode, error: &str) -> Reply {
    json(status, &serde_json::json!({ "error": error }))
}

/// Any answer.
pub(super) fn reply(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    for (name, value) in HEADERS {
        set(&mut response, name, value);
    }
    set(&mut response, header::CONTENT_TYPE, media_type);
    response
}

/// Gives an answer a header, in place of the one that it had.
pub(super) fn set(response: &mut Reply, name: HeaderName, value: &'static str) {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}
