//! What single rules of the machine make of an input, for tests that ask containerd and Go the same.

use std::time::Duration;

use futures_util::FutureExt;
use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, HeaderValue, LOCATION, WWW_AUTHENTICATE},
};
use url::Position;

use super::{
    auth_header, authorizer,
    document::{self, Contents, Descriptor},
    go_http::{self, Anonymous},
    stop::Stop,
    transport::{Body, Content, Read, Transport, WalkReply, WalkRequest, WalkResponse},
};
use crate::{
    net::go_url::{self, NoUrl},
    node::ContainerdRelease,
    words::{digest::Digest, platform::Platform},
};

/// Answers with these statuses and locations, one after another, and notes what is asked.
struct Script<'a> {
    answers: &'a [(u16, Vec<u8>)],
    asked: Vec<String>,
}

impl Transport for Script<'_> {
    async fn send(&mut self, request: &WalkRequest) -> WalkReply {
        let url = &request.url;
        if !url.username().is_empty() || url.password().is_some() {
            return WalkReply::NotSeen("the URL carries credentials".to_owned());
        }
        let by = request.headers.get(AUTHORIZATION).is_some();
        let (host, port) = (
            url.host_str().unwrap_or_default(),
            url.port_or_known_default(),
        );
        self.asked.push(format!(
            "{} {}://{host}:{} {} {by}",
            request.method,
            url.scheme(),
            port.unwrap_or_default(),
            &url[Position::BeforePath..Position::AfterQuery],
        ));
        let (status, location) = match self.answers.get(self.asked.len() - 1) {
            Some((status, location)) => (*status, HeaderValue::from_bytes(location).ok()),
            None => (200, None),
        };
        let headers = location.map(|location| (LOCATION, location));
        WalkReply::Response(WalkResponse {
            status,
            headers: headers.into_iter().collect(),
            length: None,
            in_the_clear: false,
            keeps_open: true,
            said: None,
            body: Body::default(),
        })
    }

    async fn pause(&mut self, _: Duration) -> bool {
        true
    }
}

/// What is asked in turn, each with its method and whether the token went along, and how it ends. `None` where the
/// agent does not follow.
pub(crate) fn follow(method: &str, first: &str, answers: &[(u16, Vec<u8>)]) -> Option<Vec<String>> {
    let mut script = Script {
        answers,
        asked: Vec::new(),
    };
    let token = HeaderValue::from_static("Bearer token");
    let request = WalkRequest {
        host: 0,
        content: Content::Manifest,
        subject: String::new(),
        method: method.parse().ok()?,
        url: go_url::absolute(first).ok()?,
        headers: HeaderMap::from_iter([(AUTHORIZATION, token)]),
        offered: None,
        read: Read::Nothing,
    };
    let sent = go_http::send(
        &mut script,
        &mut Anonymous,
        &request,
        ContainerdRelease::NEWEST,
    )
    .now_or_never()?;
    let end = match sent {
        Ok(answer) => answer.response.status.to_string(),
        Err(Stop::NotFollowed(..) | Stop::NotSeen(_)) => return None,
        Err(Stop::Failed(_)) => "error".to_owned(),
    };
    script.asked.push(end);
    Some(script.asked)
}

/// Whether the first of the challenges in these header lines is a Bearer's, and its realm, service, scope and error.
pub(crate) fn challenge(lines: &[Vec<u8>]) -> Option<Vec<String>> {
    let lines = lines
        .iter()
        .filter_map(|line| HeaderValue::from_bytes(line).ok());
    let headers = lines.map(|line| (WWW_AUTHENTICATE, line)).collect();
    let known = auth_header::challenges(&headers);
    let first = known.first()?;
    let mut read = vec![first.is_bearer.to_string()];
    let names = ["realm", "service", "scope", "error"];
    read.extend(names.map(|name| first.parameter(name).unwrap_or_default().to_owned()));
    Some(read)
}

/// The URL of a token request: what comes before its parameters, and these; else whether containerd asks where the
/// agent does not.
pub(crate) fn token_url(
    realm: &str,
    service: &str,
    scopes: &[String],
) -> Result<Vec<String>, bool> {
    let realm = go_url::absolute(realm).map_err(|why| why == NoUrl::Differs)?;
    if !realm.username().is_empty() || realm.password().is_some() {
        return Err(true);
    }
    let url = authorizer::with_parameters(&realm, service, scopes);
    let mut parts = vec![url[..Position::AfterPath].to_owned()];
    let parameters = go_url::parameters(url.query().unwrap_or_default());
    parts.extend(
        parameters
            .into_iter()
            .map(|(name, value)| format!("{name}={value}")),
    );
    Ok(parts)
}

/// The entries of an index that a node of the platform `linux/amd64` fetches, its image first, or what a manifest names, or nothing for a
/// configuration of an image with this many layers that can be unpacked. `None` for what containerd refuses.
pub(crate) fn document(kind: &str, body: &[u8], layers: usize) -> Option<Vec<String>> {
    let node = Platform::normal("linux", "amd64", "");
    let of = |media_type: &str| Descriptor {
        media_type: media_type.to_owned(),
        digest: Digest::of(body),
        size: body.len() as u64,
        platform: None,
        urls: Vec::new(),
    };
    let shown = |one: Descriptor| format!("{} {} {}", one.media_type, one.digest, one.size);
    match kind {
        "index" => {
            let index = of("application/vnd.oci.image.index.v1+json");
            let release = ContainerdRelease::NEWEST;
            let entries = document::entries(body, &index, &node, release).ok()?;
            entries.has_image.ok()?;
            Some(entries.fetched.into_iter().map(shown).collect())
        }
        "manifest" => {
            let manifest = of("application/vnd.oci.image.manifest.v1+json");
            let Contents { config, layers } = document::contents(body, &manifest).ok()?;
            Some([config].into_iter().chain(layers).map(shown).collect())
        }
        _ => {
            let layer = of("application/vnd.oci.image.layer.v1.tar");
            let contents = Contents {
                config: of("application/vnd.oci.image.config.v1+json"),
                layers: vec![layer; layers],
            };
            let release = ContainerdRelease::NEWEST;
            document::check_config(body, &contents, Some(&of("")), &node, release).ok()?;
            Some(Vec::new())
        }
    }
}
