//! Whom a pull asks, and how: the hosts of an image, each with its tokens.
//!
//! Source: containerd `core/remotes/docker/resolver.go` (`dockerBase`, `request`).

use std::{collections::HashMap, sync::Arc};

use hyper::{
    HeaderMap, Method,
    header::{ACCEPT, HeaderName, HeaderValue, RANGE},
};
use url::Url;

use super::{
    authorizer::Authorizer,
    document::Descriptor,
    go_http::{self, Anonymous, Followed},
    retries,
    stop::Stop,
    transport::{Content, Read, Transport, WalkRequest},
};
use crate::{
    client::credential::Credential,
    node::ContainerdRelease,
    words::{platform::Platform, throughput::Throughput},
};

/// `MaxManifestSize`, which is meant to be 4 MiB.
pub(super) const MAX_MANIFEST: u64 = 4 * 1048 * 1048;

/// A host to pull from.
pub(crate) struct Host {
    /// By which the transport knows it.
    pub place: usize,
    /// With scheme and port; the path is the root of its API.
    pub url: Url,
    /// The registry that a mirror stands in for, as `ns=` names it.
    pub namespace: Option<String>,
    /// Whether tags may be resolved here, and content fetched.
    pub resolves: bool,
    pub pulls: bool,
    /// Headers of `hosts.toml`.
    pub headers: HeaderMap,
    /// The place of the host whose tokens are used, and whose client asks for them: itself, where `hosts.toml` gives
    /// it a client of its own, else the first that has none.
    pub tokens_of: usize,
    /// Whether its client is that of all hosts without settings, and so of those that a descriptor names.
    pub shares_client: bool,
}

/// What is pulled.
pub(crate) struct WantedImage<'a> {
    /// As the configuration names it, without the registry.
    pub name: &'a str,
    /// As the pod names it.
    pub reference: &'a str,
    /// As `probe/hello`.
    pub repository: &'a str,
    /// A tag or a digest.
    pub object: &'a str,
    pub platform: &'a Platform,
    /// Of its largest layer, so much is downloaded.
    pub throughput: Option<Throughput>,
    /// Of how many of its layers something is asked for.
    pub layers: usize,
}

/// The hosts of one image, and what is known of them during its pull.
pub(super) struct Source<'a, T> {
    transport: &'a mut T,
    pub(super) image: &'a WantedImage<'a>,
    pub(super) hosts: &'a [Host],
    pub(super) release: ContainerdRelease,
    /// What the kubelet gave along.
    credential: Option<Arc<Credential>>,
    /// By the place of the host whose tokens they are.
    authorizers: HashMap<usize, Authorizer>,
    scope: String,
}

impl<'a, T: Transport> Source<'a, T> {
    pub(super) fn new(
        transport: &'a mut T,
        image: &'a WantedImage<'a>,
        hosts: &'a [Host],
        release: ContainerdRelease,
        credential: Option<Arc<Credential>>,
    ) -> Self {
        Self {
            transport,
            image,
            hosts,
            release,
            credential,
            authorizers: HashMap::new(),
            scope: format!("repository:{}:pull", image.repository),
        }
    }

    pub(super) fn turn_to_content(&mut self) {
        self.transport.turns_to_content();
    }

    /// A request for a part of the repository, as `manifests/v1`, at the host of this number.
    pub(super) fn request(
        &self,
        at: usize,
        method: Method,
        part: &str,
        accept: &str,
        read: Read,
    ) -> WalkRequest {
        let host = &self.hosts[at];
        let mut url = host.url.clone();
        let root = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{root}/{}/{part}", self.image.repository));
        if let Some(namespace) = &host.namespace {
            url.query_pairs_mut().append_pair("ns", namespace);
        }
        let mut headers = host.headers.clone();
        if let Ok(accept) = HeaderValue::from_str(accept) {
            headers.insert(ACCEPT, accept);
        }
        let (content, subject) = match part.split_once('/') {
            Some(("blobs", digest)) if read != Read::Nothing => (Content::Blob, digest.to_owned()),
            _ => (Content::Manifest, self.image.name.to_owned()),
        };
        WalkRequest {
            host: host.place,
            content,
            subject,
            method,
            url,
            headers,
            offered: None,
            read,
        }
    }

    /// Asks for content where its descriptor says that it is, outside of the registry: with no token or header of a host.
    pub(super) async fn send_elsewhere(
        &mut self,
        url: Url,
        content: &Descriptor,
        read: Read,
        from: usize,
    ) -> Result<Followed, Stop> {
        let Some(host) = self.hosts.iter().find(|host| host.shares_client) else {
            let why = "content outside of the registry, where each host has settings of its own";
            return Err(Stop::NotSeen(why.to_owned()));
        };
        let accepted = HeaderValue::from_str(&content.accepted());
        let request = WalkRequest {
            host: host.place,
            content: Content::Blob,
            subject: content.digest.to_string(),
            method: Method::GET,
            url,
            headers: accepted
                .into_iter()
                .map(|accepted| (ACCEPT, accepted))
                .chain(range(from))
                .collect(),
            offered: None,
            read,
        };
        let answer = go_http::send(self.transport, &mut Anonymous, &request, self.release).await;
        answer.map_err(|stop| stop.within("failed to do request"))
    }

    /// Sends it, `last` if no other host is asked after this one.
    pub(super) async fn send(
        &mut self,
        at: usize,
        request: WalkRequest,
        last: bool,
    ) -> Result<Followed, Stop> {
        let tokens_of = self.hosts[at].tokens_of;
        let (hosts, release) = (self.hosts, self.release);
        let headers = || match release.sends_headers_for_tokens() {
            true => hosts.iter().find(|host| host.place == tokens_of),
            false => None,
        };
        let headers = || {
            headers()
                .map(|host| host.headers.clone())
                .unwrap_or_default()
        };
        let authorizer = self.authorizers.entry(tokens_of).or_insert_with(|| {
            Authorizer::of(tokens_of, headers(), release, self.credential.clone())
        });
        retries::send(
            self.transport,
            authorizer,
            self.release,
            request,
            &self.scope,
            last,
        )
        .await
    }
}

/// What asks for content without its first bytes.
pub(super) fn range(from: usize) -> Option<(HeaderName, HeaderValue)> {
    let range = HeaderValue::try_from(format!("bytes={from}-")).ok()?;
    (from > 0).then_some((RANGE, range))
}

/// A header as text, unless it is empty.
pub(super) fn header(answer: &Followed, name: &HeaderName) -> Option<String> {
    let value = answer.response.headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned()).filter(|text| !text.is_empty())
}
