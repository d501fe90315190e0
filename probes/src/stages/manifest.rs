//! The stage `manifest`: from an image's reference to the manifest for this node's platform, with
//! containerd's requests and rules, and the blobs that a pull would fetch next. It makes one request
//! per step, so that the caller can replace the connection in between. Redirects are followed only on
//! the registry's own host.

use hyper::StatusCode;
use tokio::time::Instant;
use url::{Position, Url};

use self::document::{Document, Entry, Kind, RawPlatform, malformed, offered};
pub use self::{digest::Digest, document::Descriptor, platform::Platform};
use crate::stages::{
    challenge,
    http::{
        connection::{HttpConnection, Request},
        fault::HttpFault,
        response::Response,
    },
    pull::Pull,
};

mod digest;
mod document;
mod platform;

/// In bytes: what the distribution specification ("Pushing Manifests") asks registries to accept at
/// least, and about the most that containerd reads.
const MAX_MANIFEST: usize = 4 * 1024 * 1024;
/// Over all documents of an image.
const MAX_REDIRECTS: usize = 10;
/// Nested indexes above the manifest; images have one.
const MAX_INDEXES: usize = 3;
/// The media types that containerd asks for by name.
const ANY_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

/// The walk from a reference to a manifest.
pub(crate) struct ManifestWalk<'a> {
    pull: &'a Pull<'a>,
    node: Platform,
    url: Url,
    /// The digest that the next document must have; a tag promises none.
    digest: Option<Digest>,
    /// The media type that an index gives for the next document.
    kind: Option<Kind>,
    platform: Option<Platform>,
    redirects: usize,
    indexes: usize,
}

impl<'a> ManifestWalk<'a> {
    /// Starts at `reference`, a tag or a digest.
    pub(crate) fn start(pull: &'a Pull<'a>, reference: &str) -> Self {
        Self {
            pull,
            node: Platform::of_this_node(),
            url: pull.url(&format!("manifests/{reference}")),
            digest: Digest::parse(reference),
            kind: None,
            platform: None,
            redirects: 0,
            indexes: 0,
        }
    }

    /// Makes one request over a connection to the registry; `None` means that another one is needed.
    pub(crate) async fn step(
        &mut self,
        connection: &mut HttpConnection,
        deadline: Instant,
    ) -> Result<Option<Manifest>, HttpFault> {
        let accept = match self.kind {
            Some(kind) => &format!("{}, */*", kind.media_type()),
            None => ANY_MANIFEST,
        };
        let request = Request {
            accept,
            authorization: self.pull.authorization(self.pull.registry)?,
            ..Request::of(&self.url[Position::BeforePath..Position::AfterQuery])
        };
        let mut response = connection.send(request, deadline).await?;
        if let Some(location) = response.redirect() {
            self.url = self.redirected(location)?;
            // Read so that the connection can be used again; otherwise the caller makes another.
            let _ = response.body(deadline).await;
            return Ok(None);
        }
        if response.status != StatusCode::OK {
            return Err(response.refusal(deadline).await);
        }
        let kind = match self.kind {
            Some(kind) => kind,
            None => Kind::of(&response)?,
        };
        let promised = promised_digest(&response)?;
        let body = response.body_up_to(MAX_MANIFEST, deadline).await?;
        let digest = self
            .digest
            .take()
            .or(promised)
            .unwrap_or_else(|| Digest::of(&body));
        if !digest.names(&body) {
            return malformed(format!("the content does not match {digest}"));
        }
        match Document::read(&body, kind)? {
            Document::Index(entries) => self.descend(&entries).map(|()| None),
            Document::Manifest(blobs) => Ok(Some(Manifest {
                digest,
                platform: self.platform.take(),
                blobs: blobs
                    .iter()
                    .map(Entry::descriptor)
                    .collect::<Result<_, _>>()?,
            })),
        }
    }

    fn redirected(&mut self, location: &str) -> Result<Url, HttpFault> {
        if self.redirects == MAX_REDIRECTS {
            return Err(HttpFault::TooManyRedirects(MAX_REDIRECTS));
        }
        self.redirects += 1;
        challenge::on_the_same_host(&self.url, location)
    }

    /// Goes on with the entry that containerd would take from an index: the best platform, or else the
    /// first document that names none.
    fn descend(&mut self, entries: &[Entry<'_>]) -> Result<(), HttpFault> {
        if self.indexes == MAX_INDEXES {
            return malformed(format!("more than {MAX_INDEXES} nested indexes"));
        }
        self.indexes += 1;
        let ranked = entries.iter().filter_map(|entry| {
            let platform = entry.platform.as_ref().map(RawPlatform::normal);
            let rank = match &platform {
                Some(platform) => self.node.rank(platform)?,
                None => usize::MAX,
            };
            Some((rank, entry, platform))
        });
        let best = ranked.min_by_key(|(rank, ..)| *rank);
        let Some((_, entry, platform)) = best else {
            return Err(HttpFault::PlatformMismatch {
                platform: self.node.to_string(),
                offered: offered(entries),
            });
        };
        let digest = entry.digest()?;
        self.kind = Some(Kind::named(&entry.media_type)?);
        self.url = self.pull.url(&format!("manifests/{digest}"));
        self.digest = Some(digest);
        self.platform = platform.or_else(|| self.platform.take());
        Ok(())
    }
}

/// An image as this node would pull it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The manifest's digest.
    pub digest: Digest,
    /// As the index says; `None` if the reference is the manifest's own.
    pub platform: Option<Platform>,
    /// The configuration and the first layer.
    pub blobs: Vec<Descriptor>,
}

/// The digest that the registry gives for the content.
fn promised_digest(response: &Response) -> Result<Option<Digest>, HttpFault> {
    let Some(text) = response.header("docker-content-digest") else {
        return Ok(None);
    };
    match Digest::parse(&text) {
        Some(digest) => Ok(Some(digest)),
        None => malformed(format!("{text:?} is not a digest")),
    }
}

#[cfg(test)]
mod tests;
