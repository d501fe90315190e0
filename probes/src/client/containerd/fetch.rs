//! Content by its descriptor, from whoever has it, and what it must be.
//!
//! Source: containerd `core/remotes/docker/fetcher.go`, `core/remotes/docker/httpreadseeker.go`,
//! `core/remotes/handlers.go`.

use hyper::Method;

use super::{
    document::Descriptor,
    go_http::Followed,
    retries,
    source::{MAX_MANIFEST, Source, range},
    stop::{Class, GoError, Stop},
    transport::{Content, Read, Transport},
};
use crate::{
    net::go_url::{self, NoUrl},
    stages::http::fault::HttpFault,
    words::digest::Digest,
};

mod encoding;

/// A configuration is read whole; no tool writes a larger one.
pub(super) const MAX_CONFIG: u64 = 4 * 1024 * 1024;
/// Places outside of the registry that one descriptor names; images have one.
const MAX_URLS: usize = 4;
/// How often the client asks for the rest of a body that ends early, without getting any (`maxRetry`).
const RESUMED: usize = 3;
/// Content in more parts is not put together.
const MAX_PARTS: usize = 10;

impl<T: Transport> Source<'_, T> {
    pub(super) async fn fetch_document(&mut self, document: &Descriptor) -> Result<Followed, Stop> {
        self.fetch(
            document,
            "manifests",
            Read::Whole(document.size.min(MAX_MANIFEST)),
        )
        .await
    }

    pub(super) async fn fetch_blob(
        &mut self,
        blob: &Descriptor,
        read: Read,
    ) -> Result<Followed, Stop> {
        self.fetch(blob, "blobs", read).await
    }

    /// The start of a blob of the length that it should have.
    pub(super) async fn fetch_start(&mut self, blob: &Descriptor) -> Result<(), Stop> {
        let answer = self.fetch_blob(blob, Read::start_of(blob.size)).await?;
        self.has_length(&answer, blob)
    }

    /// Content by its digest, from the first host that has it; the first error counts.
    async fn fetch(
        &mut self,
        descriptor: &Descriptor,
        kind: &str,
        read: Read,
    ) -> Result<Followed, Stop> {
        has_content(descriptor)?;
        let fetched = self.fetch_in_turn(descriptor, kind, read, 0).await;
        let mut answer = fetched.map_err(copying_open)?;
        let (mut parts, mut idle) = (0, 0);
        // A start has no rest to ask for: the client would have asked for the whole.
        while answer.ends_early() && read.start().is_none() && idle < RESUMED {
            parts += 1;
            if parts > MAX_PARTS {
                let why = format!("content that comes in more than {MAX_PARTS} parts");
                return Err(Stop::NotSeen(why));
            }
            let had = answer.length();
            match self.fetch_in_turn(descriptor, kind, read, had).await {
                Ok(rest) if answer.goes_on_with(&rest) => {}
                // It prints that the first part is too short.
                Ok(_) | Err(Stop::Failed(_)) => break,
                Err(stop) => return Err(stop),
            }
            idle = if answer.length() > had { 0 } else { idle + 1 };
        }
        match self.release.opens_encodings() {
            true => Ok(answer),
            false => answer.unpacked(read).map_err(copying),
        }
    }

    async fn fetch_in_turn(
        &mut self,
        descriptor: &Descriptor,
        kind: &str,
        read: Read,
        from: usize,
    ) -> Result<Followed, Stop> {
        if descriptor.urls.len() > MAX_URLS {
            let why = format!("more than {MAX_URLS} places outside of the registry");
            return Err(Stop::NotSeen(why));
        }
        for url in &descriptor.urls {
            match self.fetch_elsewhere(url, descriptor, read, from).await {
                Ok(None) => {}
                Ok(Some(answer)) => return Ok(answer),
                Err(Stop::Failed(error)) if error.class == Class::NotFound => {}
                Err(end) => return Err(end),
            }
        }
        let mut first: Option<GoError> = None;
        let part = format!("{kind}/{}", descriptor.digest);
        // One host with the capability is enough for all of them to be asked.
        let hosts = match self.hosts.iter().any(|host| host.pulls) {
            true => 0..self.hosts.len(),
            false => 0..0,
        };
        let last = hosts.end.saturating_sub(1);
        for at in hosts {
            let mut request = self.request(at, Method::GET, &part, &descriptor.accepted(), read);
            request.headers.extend(range(from));
            let sent = self.send(at, request, at == last).await;
            match sent.and_then(|answer| self.opened(answer, read)) {
                Ok(answer) => return Ok(answer),
                Err(Stop::Failed(error)) if error.class != Class::Hangs => {
                    first = first.or(Some(error));
                }
                Err(end) => return Err(end),
            }
        }
        let error = first.unwrap_or_else(|| GoError::not_found("no pull hosts"));
        if error.class == Class::NotFound && kind == "blobs" {
            let Descriptor {
                digest, media_type, ..
            } = descriptor;
            let what =
                format!("could not fetch content descriptor {digest} ({media_type}) from remote");
            return Err(GoError::not_found(what).into());
        }
        Err(error.into())
    }

    /// Content from a place outside of the registry; `None` for what is no URL of such a place.
    async fn fetch_elsewhere(
        &mut self,
        url: &str,
        descriptor: &Descriptor,
        read: Read,
        from: usize,
    ) -> Result<Option<Followed>, Stop> {
        let url = match go_url::absolute(url) {
            Ok(url) => url,
            Err(NoUrl::Refused | NoUrl::NotSent) => return Ok(None),
            Err(NoUrl::Differs) => {
                let fault = HttpFault::not_asked(NoUrl::Differs, "the URL of a layer", url);
                return Err(Stop::NotFollowed(Content::Blob, fault));
            }
        };
        let answer = self.send_elsewhere(url, descriptor, read, from).await?;
        self.opened(answer, read).map(Some)
    }

    /// What the client reads of an answer, where it takes it.
    fn opened(&self, answer: Followed, read: Read) -> Result<Followed, Stop> {
        let answer = retries::refuse_errors(self.release, answer)?;
        match self.release.opens_encodings() {
            true => encoding::opened(answer, read),
            false => Ok(answer),
        }
    }

    /// Content as its descriptor names it, or containerd refuses to store it.
    pub(super) fn checked<'f>(
        &self,
        answer: &'f Followed,
        descriptor: &Descriptor,
    ) -> Result<&'f [u8], Stop> {
        if answer.is_too_large() && descriptor.size <= MAX_CONFIG.min(MAX_MANIFEST) {
            return Err(self.of_other_length(answer.response.length, descriptor));
        }
        let body = match answer.ends_early() {
            // Its rest does not come, or there is none.
            true => &answer.response.body.bytes,
            false => answer.whole().map_err(copying)?,
        };
        if body.len() as u64 != descriptor.size {
            return Err(self.of_other_length(Some(body.len() as u64), descriptor));
        }
        let (got, wanted) = (Digest::of(body), &descriptor.digest);
        if got == *wanted || self.release.stores_any_digest() && wanted.names(body) {
            return Ok(body);
        }
        let text =
            format!("unexpected commit digest {got}, expected {wanted}: failed precondition");
        let fault = HttpFault::Corrupt(format!("{got} in place of {wanted}"));
        Err(GoError::new(Class::Other, text).with_content(fault).into())
    }

    /// The length of a blob, where it is known.
    pub(super) fn has_length(
        &self,
        answer: &Followed,
        descriptor: &Descriptor,
    ) -> Result<(), Stop> {
        if answer.ends_early() {
            let came = answer.length() as u64;
            return Err(GoError {
                text: self.release.other_length(Some(came), descriptor.size),
                ..GoError::untold(Class::Other)
            }
            .into());
        }
        answer.whole().map_err(copying)?;
        match answer.response.length {
            Some(length) if length != descriptor.size => {
                Err(self.of_other_length(Some(length), descriptor))
            }
            _ => Ok(()),
        }
    }

    /// `got` bytes, or more than are read, are not what a descriptor names.
    fn of_other_length(&self, got: Option<u64>, descriptor: &Descriptor) -> Stop {
        let wanted = descriptor.size;
        let fault = HttpFault::Corrupt(match got {
            Some(got) => format!("{got} bytes in place of {wanted}"),
            None => format!("more than {wanted} bytes"),
        });
        GoError {
            text: self.release.other_length(got, wanted),
            ..GoError::untold(Class::Other)
        }
        .with_content(fault)
        .into()
    }
}

/// What is said to be empty is never asked for.
pub(super) fn has_content(blob: &Descriptor) -> Result<(), Stop> {
    if blob.size != 0 {
        return Ok(());
    }
    let digest = &blob.digest;
    let text = format!(
        "unable to fetch descriptor ({digest}) which reports content size of zero: invalid argument"
    );
    let fault = HttpFault::Malformed(format!("{digest} is said to be empty"));
    Err(GoError::new(Class::Other, text).with_content(fault).into())
}

fn copying(stop: Stop) -> Stop {
    stop.within("failed to copy")
}

fn copying_open(stop: Stop) -> Stop {
    copying(stop.within("httpReadSeeker: failed open"))
}
