//! A reference to a descriptor.
//!
//! Source: containerd `core/remotes/docker/resolver.go` (`Resolve`).

use hyper::{
    Method,
    header::{CONTENT_TYPE, HeaderName},
};

use super::{
    document::{Descriptor, MANIFEST_DOCKER, MANIFEST_OCI, SCHEMA_1},
    go_http::Followed,
    source::{MAX_MANIFEST, Source, header},
    stop::{Class, GoError, Stop},
    transport::{Read, Transport},
    unexpected::{Wanted, unexpected_status},
};
use crate::{net::inert::excerpt, stages::http::fault::HttpFault, words::digest::Digest};

const ACCEPTED: &str = "application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";
/// How far the error of a host came that does not have the image.
const NOT_THERE: u8 = 2;
const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

impl<T: Transport> Source<'_, T> {
    /// The first host that answers names what the reference stands for. Of several errors the one that
    /// came furthest counts.
    pub(super) async fn resolve(&mut self) -> Result<Descriptor, Stop> {
        let by_digest = Digest::parse(self.image.object);
        let hosts: Vec<usize> = (0..self.hosts.len())
            .filter(|at| {
                let host = &self.hosts[*at];
                host.pulls && (by_digest.is_some() || host.resolves)
            })
            .collect();
        let Some(&last) = hosts.last() else {
            return Err(GoError::not_found("no resolve hosts").into());
        };
        let kinds: &[&str] = match by_digest {
            Some(_) => &["manifests", "blobs"],
            None => &["manifests"],
        };
        let mut worst: (u8, Option<GoError>) = (0, None);
        let ranks = self.release.ranks_errors_of_hosts();
        let mut note = |priority: u8, error: GoError| {
            let counts = match ranks {
                true => worst.0 < priority,
                false => worst.1.is_none() && priority != NOT_THERE,
            };
            if counts {
                worst = (priority, Some(error));
            }
        };
        let mut give_up = false;
        for kind in kinds {
            if give_up {
                break;
            }
            for &at in &hosts {
                let part = format!("{kind}/{}", self.image.object);
                let request = self.request(at, Method::HEAD, &part, ACCEPTED, Read::Nothing);
                let answer = match self.send(at, request, at == last).await {
                    Ok(answer) => answer,
                    Err(Stop::Failed(error)) if error.class != Class::Hangs => {
                        note(1, denied(error));
                        continue;
                    }
                    Err(end) => return Err(end),
                };
                match answer.response.status {
                    404 => {
                        note(NOT_THERE, GoError::not_found(self.image.reference));
                        continue;
                    }
                    400.. => {
                        give_up = true;
                        note(
                            3,
                            unexpected_status(self.release, &answer, Wanted::Descriptor),
                        );
                        continue;
                    }
                    300..400 => {
                        return Err(
                            unexpected_status(self.release, &answer, Wanted::Descriptor).into()
                        );
                    }
                    _ => {}
                }
                let descriptor = self
                    .described(at, &part, &answer, by_digest.clone())
                    .await?;
                if descriptor.size > MAX_MANIFEST {
                    give_up = true;
                    let size = descriptor.size;
                    let what = format!(
                        "rejecting {size} byte manifest for {}",
                        self.image.reference
                    );
                    note(4, GoError::not_found(what));
                    continue;
                }
                return Ok(descriptor);
            }
        }
        let error = worst
            .1
            .unwrap_or_else(|| GoError::not_found(self.image.reference));
        Err(error.into())
    }

    /// The descriptor by the headers of a manifest, else by its body.
    async fn described(
        &mut self,
        at: usize,
        part: &str,
        head: &Followed,
        by_digest: Option<Digest>,
    ) -> Result<Descriptor, Stop> {
        let named = match (
            by_digest,
            header(head, &DOCKER_CONTENT_DIGEST),
            head.response.length,
        ) {
            (Some(digest), _, _) => Some(digest),
            (None, Some(text), Some(_)) => Some(Digest::parse(&text).ok_or_else(|| {
                let fault =
                    HttpFault::Malformed(format!("{} is no digest", excerpt(text.as_bytes())));
                let text = format!("{text:?} in header not a valid digest");
                GoError::untold(Class::Other)
                    .within(text)
                    .with_content(fault)
            })?),
            (None, _, _) => None,
        };
        if let (Some(digest), Some(size)) = (&named, head.response.length) {
            return Ok(Descriptor {
                media_type: media_type(head),
                digest: digest.clone(),
                size,
                platform: None,
                urls: Vec::new(),
            });
        }
        let request = self.request(at, Method::GET, part, ACCEPTED, Read::Whole(MAX_MANIFEST));
        let answer = self.send(at, request, true).await?;
        if answer.response.status >= 400 {
            return Err(unexpected_status(self.release, &answer, Wanted::Descriptor).into());
        }
        if media_type(&answer) == SCHEMA_1 && !self.release.converts_schema_1() {
            let text = format!(
                "not implemented: media type {SCHEMA_1:?} is no longer supported since containerd v2.0, please rebuild \
                 the image as {MANIFEST_DOCKER:?} or {MANIFEST_OCI:?}"
            );
            let fault = HttpFault::Malformed("an image manifest of schema 1".to_owned());
            let error = GoError::new(Class::NotImplemented, text);
            return Err(error.with_content(fault).into());
        }
        let body = answer.whole()?;
        Ok(Descriptor {
            media_type: media_type(&answer),
            digest: named.unwrap_or_else(|| Digest::of(body)),
            size: body.len() as u64,
            platform: None,
            urls: Vec::new(),
        })
    }
}

fn media_type(answer: &Followed) -> String {
    let text = header(answer, &CONTENT_TYPE).unwrap_or_default();
    match text.split(';').next().unwrap_or_default() {
        // Old registries name no other type of such manifests (`getManifestMediaType`).
        "text/plain" => SCHEMA_1.to_owned(),
        named => named.to_owned(),
    }
}

fn denied(error: GoError) -> GoError {
    match error.class {
        Class::InvalidAuthorization => error
            .within("pull access denied, repository does not exist or may require authorization"),
        _ => error,
    }
}
