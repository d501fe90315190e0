//! What containerd prints for a status that it has no use for.
//!
//! Source: containerd `core/remotes/errors/errors.go` of 1.7 and later; 1.6 has a text for each place.

use super::{
    go_http::Followed,
    stop::{Class, GoError},
};
use crate::{net::redact::shown, node::ContainerdRelease};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Token,
    Descriptor,
    Content,
}

pub(super) fn unexpected_status(
    release: ContainerdRelease,
    answer: &Followed,
    wanted: Wanted,
) -> GoError {
    let (status, url) = (answer.response.status, shown(&answer.url));
    let said = phrase(status);
    let text = match wanted {
        // What redirected the request is named; the server's own words follow.
        Wanted::Content if !release.names_the_request_for_content() => {
            format!("unexpected status code {}: {said}", shown(&answer.asked))
        }
        _ if release.names_the_request_of_a_status() => {
            let method = &answer.method;
            format!("unexpected status from {method} request to {url}: {said}")
        }
        Wanted::Token => format!("unexpected status: {said}"),
        Wanted::Descriptor | Wanted::Content => {
            let host = answer.url.authority();
            let mut parts = answer.url.path().rsplit('/');
            let (object, kind) = (parts.next(), parts.next());
            let (kind, object) = (kind.unwrap_or_default(), object.unwrap_or_default());
            format!("pulling from host {host} failed with status code [{kind} {object}]: {said}")
        }
    };
    GoError::new(Class::Status(status), text)
}

/// As Go writes a status.
fn phrase(status: u16) -> String {
    let known = hyper::StatusCode::from_u16(status).ok();
    let reason = known.and_then(|status| status.canonical_reason());
    reason.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}"))
}
