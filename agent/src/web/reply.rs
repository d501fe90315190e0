//! Answers, with the headers that all of them have.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream::{self, Iter};
use http_body_util::{Either, Full, StreamBody};
use hyper::{
    Response, StatusCode,
    body::Frame,
    header::{self, HeaderName, HeaderValue},
};
use serde::Serialize;

use crate::printable::printable_json;

/// What a handler returns.
pub(super) type Reply = Response<Body>;

/// A complete body, or one that is made while it is sent.
pub(super) type Body = Either<Full<Bytes>, Pieces>;

type Pieces = StreamBody<Iter<Frames>>;
type Frames = Box<dyn Iterator<Item = Result<Frame<Bytes>, Infallible>> + Send>;

/// On every answer: no caching, no guessing of the type, no referrer, no embedding in pages of other sites.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// A line of text.
pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    reply(status, "text/plain; charset=utf-8", body)
}

/// A JSON document.
pub(super) fn json(status: StatusCode, document: &impl Serialize) -> Reply {
    self::document(status, serde_json::to_string(document))
}

/// The same, indented for people.
pub(super) fn pretty_json(document: &impl Serialize) -> Reply {
    self::document(StatusCode::OK, serde_json::to_string_pretty(document))
}

/// Unprintable characters are escaped: a document contains untrusted text, and may be read at a terminal.
fn document(status: StatusCode, json: serde_json::Result<String>) -> Reply {
    match json {
        Ok(json) => {
            let json = printable_json(&json).into_owned();
            reply(status, "application/json", json)
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// An error as a JSON document.
pub(super) fn error(status: StatusCode, error: &str) -> Reply {
    json(status, &serde_json::json!({ "error": error }))
}

/// Any answer.
pub(super) fn reply(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Reply {
    respond(status, media_type, Either::Left(Full::new(body.into())))
}

/// A long answer; each piece is made once the one before it has been sent.
pub(super) fn in_pieces(
    media_type: &'static str,
    pieces: impl Iterator<Item = Vec<u8>> + Send + 'static,
) -> Reply {
    let frames = pieces.map(|piece| Ok(Frame::data(piece.into())));
    let body = StreamBody::new(stream::iter(Box::new(frames) as Frames));
    respond(StatusCode::OK, media_type, Either::Right(body))
}

fn respond(status: StatusCode, media_type: &'static str, body: Body) -> Reply {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in HEADERS {
        set(&mut response, name, value);
    }
    set(&mut response, header::CONTENT_TYPE, media_type);
    response
}

/// Sets a header, replacing an existing one.
pub(super) fn set(response: &mut Reply, name: HeaderName, value: &'static str) {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}
