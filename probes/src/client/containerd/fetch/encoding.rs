//! Content that is said to be compressed on its way. A probe asks for no compression and unpacks none, so it knows how
//! the client fares only where that cannot unpack it either.
//!
//! Source: containerd `core/remotes/docker/fetcher.go` (`open`).

use hyper::header::CONTENT_ENCODING;

use crate::client::containerd::{
    go_http::{Followed, not_unpacked, refused},
    source::header,
    stop::Stop,
    transport::Read,
};

/// As containerd opens it since 2.0.
pub(super) fn opened(answer: Followed, read: Read) -> Result<Followed, Stop> {
    let said = header(&answer, &CONTENT_ENCODING).unwrap_or_default();
    let said = said.to_lowercase();
    let mut names = said
        .split([' ', '\t', ','])
        .filter(|name| !name.is_empty() && *name != "identity");
    // The last one was applied last.
    match names.next_back() {
        None => Ok(answer),
        Some("gzip") => Err(answer.said_to_be_gzip(read)),
        Some(name @ ("zstd" | "deflate")) => Err(not_unpacked(name)),
        Some(name) => Err(refused(
            name,
            format!("unsupported Content-Encoding algorithm: {name}"),
        )),
    }
}
