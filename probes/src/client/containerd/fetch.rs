//! What a pull fetches below a descriptor: documents whole, the configuration whole, of each layer its start, of the largest
//! as much as is measured.
//!
//! Source: containerd `core/remotes/docker/fetcher.go`, `core/remotes/docker/httpreadseeker.go`,
//! `core/remotes/handlers.go`, `core/images/handlers.go`.

use hyper::Method;

use super::{
    document::{self, Contents, Descriptor, SCHEMA_1},
    go_http::Followed,
    retries,
    source::{MAX_MANIFEST, Source, header, range},
    stop::{Class, GoError, Stop},
    transport::{Content, Read, Transport},
};
use crate::{
    net::{
        go_url::{self, NoUrl},
        inert::excerpt,
    },
    stages::http::fault::HttpFault,
    words::{digest::Digest, platform::Platform, throughput::Throughput},
};

mod encoding;

/// A configuration is read whole; no tool writes a larger one.
const MAX_CONFIG: u64 = 4 * 1024 * 1024;
/// Indexes above the manifest; images have one.
const MAX_INDEXES: usize = 3;
/// Places outside of the registry that one descriptor names; images have one.
const MAX_URLS: usize = 4;
/// How often the client asks for the rest of a body that ends early, without getting any (`maxRetry`).
const RESUMED: usize = 3;
/// Content in more parts is not put together.
const MAX_PARTS: usize = 10;
/// Layers of one image; file systems put no more of them over each other.
const MAX_LAYERS: usize = 128;
/// A smaller layer says nothing of how fast layers come.
const LEAST_LAYER: u64 = 256 * 1024;

/// A pull that would work.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pulled {
    /// Of the manifest for this platform.
    pub manifest: Digest,
    /// As the index says; `None` where the reference is the manifest's own, or the index does not say.
    pub platform: Option<Platform>,
    /// How many layers the image has, each counted once.
    pub layers: usize,
}

impl<T: Transport> Source<'_, T> {
    /// Everything below a descriptor that this platform needs.
    pub(super) async fn fetch_all(&mut self, root: Descriptor) -> Result<Pulled, Stop> {
        let mut document = root;
        let mut of_index = None;
        for _ in 0..=MAX_INDEXES {
            if !document.is_index() {
                return self.fetch_manifest(&document, of_index.as_ref()).await;
            }
            let answer = self.fetch_document(&document).await?;
            let body = self.checked(&answer, &document)?;
            let node = self.image.platform;
            let chosen = document::chosen(body, &document, node, self.release).map_err(unread)?;
            document = chosen.clone();
            of_index = Some(chosen);
        }
        Err(Stop::NotSeen(format!(
            "what is below {MAX_INDEXES} indexes in one another"
        )))
    }

    async fn fetch_manifest(
        &mut self,
        manifest: &Descriptor,
        of_index: Option<&Descriptor>,
    ) -> Result<Pulled, Stop> {
        if manifest.media_type == SCHEMA_1 {
            if self.release.converts_schema_1() {
                let why = "an image manifest of schema 1, which containerd converts";
                return Err(Stop::NotSeen(why.to_owned()));
            }
            let text = match (self.release.pulls_by_transfer(), of_index) {
                (true, None) => {
                    "schema 1 image manifests are no longer supported: invalid argument".to_owned()
                }
                (true, Some(_)) => format!("{SCHEMA_1} not supported"),
                (false, _) => {
                    format!("media type {SCHEMA_1:?} is no longer supported since containerd")
                }
            };
            let fault = HttpFault::Malformed("an image manifest of schema 1".to_owned());
            return Err(GoError::new(Class::Other, text).with_content(fault).into());
        }
        if !manifest.is_manifest() {
            return Err(self.no_image(manifest).await);
        }
        let answer = self.fetch_document(manifest).await?;
        let body = self.checked(&answer, manifest)?;
        let contents = document::contents(body, manifest).map_err(unread)?;
        contents.layers.iter().try_for_each(has_content)?;
        let config = self
            .fetch_blob(
                &contents.config,
                Read::Whole(contents.config.size.min(MAX_CONFIG)),
            )
            .await?;
        if contents.config.size > MAX_CONFIG {
            let size = contents.config.size;
            return Err(Stop::NotSeen(format!(
                "a configuration of {size} bytes is not read"
            )));
        }
        let config = self.checked(&config, &contents.config)?;
        let node = self.image.platform;
        document::check_config(config, &contents, of_index, node, self.release).map_err(unread)?;
        let layers = self.probe_layers(&contents).await?;
        if let Some(why) = contents.layers.iter().find_map(Descriptor::needs_more) {
            return Err(Stop::NotSeen(why.to_owned()));
        }
        Ok(Pulled {
            manifest: manifest.digest.clone(),
            platform: of_index.and_then(|entry| entry.platform.clone()),
            layers,
        })
    }

    /// Why a manifest that its media type does not make one ends the pull: containerd fetches it like any blob, and
    /// finds nothing in it to unpack.
    async fn no_image(&mut self, manifest: &Descriptor) -> Stop {
        let Descriptor {
            media_type, digest, ..
        } = manifest;
        let error = match self
            .fetch_blob(manifest, Read::start_of(manifest.size))
            .await
        {
            Ok(answer) => match self.has_length(&answer, manifest) {
                Ok(()) => {
                    GoError::not_found(format!("unexpected media type {media_type} for {digest}"))
                }
                Err(end) => return end,
            },
            // Registries have no manifests among their blobs. Of several hosts, the last one may not have named the type.
            Err(Stop::Failed(error)) if error.class == Class::NotFound && self.hosts.len() == 1 => {
                error
            }
            Err(end) => return end,
        };
        let fault = HttpFault::Malformed(match &**media_type {
            "" => "a manifest without a media type".to_owned(),
            kind => format!("the media type {} is no image's", excerpt(kind.as_bytes())),
        });
        error.blamed_for(Content::Manifest, fault).into()
    }

    /// Fetches the start of each layer, or a part of the largest one to see how fast it comes; of no more layers
    /// than are wanted. Says how many there are.
    async fn probe_layers(&mut self, contents: &Contents) -> Result<usize, Stop> {
        let named = &contents.layers;
        if named.len() > MAX_LAYERS {
            let why = format!("an image of more than {MAX_LAYERS} layers");
            return Err(Stop::NotSeen(why));
        }
        let mut layers: Vec<&Descriptor> = Vec::new();
        for layer in named {
            // What the client unpacks waits for a configuration, and what it has it does not fetch again.
            let is_fetched = contents.config.is_config() || !layer.is_layer(self.release);
            if is_fetched && !layers.iter().any(|had| had.digest == layer.digest) {
                layers.push(layer);
            }
        }
        if !contents.config.is_config()
            && !self.release.pulls_by_transfer()
            && let Some(layer) = named.iter().find(|layer| layer.is_layer(self.release))
        {
            return Err(never_fetched(&contents.config, layer).into());
        }
        let measured = self.measured(&layers);
        let is_measured =
            |layer: &Descriptor| measured.filter(|(largest, _)| std::ptr::eq(*largest, layer));
        layers.sort_by_key(|layer| is_measured(layer).is_none());
        for layer in layers.iter().take(self.image.layers) {
            let read = match is_measured(layer) {
                Some((_, throughput)) => Read::Measured(throughput),
                None => Read::start_of(layer.size),
            };
            let answer = self.fetch_blob(layer, read).await?;
            self.has_length(&answer, layer)?;
        }
        Ok(layers.len())
    }

    /// The layer whose speed is measured, and how much of it.
    fn measured<'l>(&self, layers: &[&'l Descriptor]) -> Option<(&'l Descriptor, Throughput)> {
        let throughput = self.image.throughput?;
        let largest = *layers.iter().max_by_key(|layer| layer.size)?;
        let bytes = throughput.bytes.min(largest.size);
        (largest.size >= LEAST_LAYER).then_some((
            largest,
            Throughput {
                bytes,
                ..throughput
            },
        ))
    }

    async fn fetch_document(&mut self, document: &Descriptor) -> Result<Followed, Stop> {
        self.fetch(
            document,
            "manifests",
            Read::Whole(document.size.min(MAX_MANIFEST)),
        )
        .await
    }

    async fn fetch_blob(&mut self, blob: &Descriptor, read: Read) -> Result<Followed, Stop> {
        self.fetch(blob, "blobs", read).await
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
    fn checked<'f>(&self, answer: &'f Followed, descriptor: &Descriptor) -> Result<&'f [u8], Stop> {
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
    fn has_length(&self, answer: &Followed, descriptor: &Descriptor) -> Result<(), Stop> {
        if answer.ends_early() {
            let came = answer.length() as u64;
            let text = self.release.other_length(Some(came), descriptor.size);
            // The client asks for the whole, and gets some of it.
            let text = match answer.response.status {
                206 => text.map(|text| text.replace(&format!("got {came}"), "got …")),
                _ => text,
            };
            return Err(GoError {
                text,
                ..GoError::untold(Class::Other)
            }
            .into());
        }
        answer.whole().map_err(copying)?;
        let total = header(answer, &hyper::header::CONTENT_RANGE)
            .and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        let length = match answer.response.status {
            206 => total,
            _ => answer.response.length,
        };
        match length {
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

/// Why layers are not unpacked that wait for a configuration of another kind.
fn never_fetched(config: &Descriptor, layer: &Descriptor) -> GoError {
    let kind = excerpt(config.media_type.as_bytes());
    let fault = HttpFault::Malformed(format!("the media type {kind} is no configuration's"));
    let digest = &layer.digest;
    let text = format!("failed to get reader from content store: content digest {digest}");
    GoError::not_found(text).with_content(fault)
}

/// What is said to be empty is never asked for.
fn has_content(blob: &Descriptor) -> Result<(), Stop> {
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

/// A document that Go's decoder does not take. Its error names Go's types, which are not known here.
fn unread(error: GoError) -> GoError {
    let fault = || HttpFault::Malformed("a document that containerd cannot read".to_owned());
    match error.blame {
        Some(_) => error,
        None => GoError::untold(error.class).with_content(fault()),
    }
}

fn copying(stop: Stop) -> Stop {
    stop.within("failed to copy")
}

fn copying_open(stop: Stop) -> Stop {
    copying(stop.within("httpReadSeeker: failed open"))
}
