//! Content that is said to be compressed on its way. A probe asks for no compression and unpacks none, so it knows how
//! the client fares only where that cannot unpack it either.
//!
//! Source: containerd `core/remotes/docker/fetcher.go` (`open`); Go `net/http/transport.go`, `compress/gzip`.

use hyper::header::CONTENT_ENCODING;

use crate::{
    client::containerd::{
        go_http::Followed,
        source::header,
        stop::{Class, GoError, Stop},
        transport::Read,
    },
    net::inert::excerpt,
    stages::http::fault::HttpFault,
};

/// How a file by gzip begins.
const GZIP: &[u8] = &[0x1f, 0x8b];

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
        Some("gzip") => Err(gzip(&answer, read)),
        Some(name @ ("zstd" | "deflate")) => Err(not_unpacked(name)),
        Some(name) => Err(refused(
            name,
            format!("unsupported Content-Encoding algorithm: {name}"),
        )),
    }
}

/// As Go's transport reads it where a client leaves that to it, as containerd did before.
pub(super) fn unpacked_by_go(answer: Followed, read: Read) -> Result<Followed, Stop> {
    match header(&answer, &CONTENT_ENCODING) {
        Some(name) if name.eq_ignore_ascii_case("gzip") => Err(gzip(&answer, read)),
        _ => Ok(answer),
    }
}

fn gzip(answer: &Followed, read: Read) -> Stop {
    let body = &answer.response.body.bytes;
    match read {
        Read::Whole(_) if !body.starts_with(GZIP) => {
            refused("gzip", "gzip: invalid header".to_owned())
        }
        _ => not_unpacked("gzip"),
    }
}

fn refused(name: &str, error: String) -> Stop {
    let name = excerpt(name.as_bytes());
    let fault = HttpFault::Malformed(format!("said to be compressed by {name}"));
    GoError::new(Class::Other, error).with_content(fault).into()
}

fn not_unpacked(name: &str) -> Stop {
    Stop::NotSeen(format!("content comes compressed, by {name}"))
}
