//! A whole pull: the reference to a descriptor, then every document and blob below it that this node needs.
//!
//! Source: containerd `client/pull.go` (`fetch`), `core/transfer/local/pull.go`, `core/images/handlers.go` (`Dispatch`),
//! `core/unpack/unpacker.go`.

use std::sync::Arc;

use super::{
    document::{self, Contents, Descriptor, SCHEMA_1},
    fetch::{MAX_CONFIG, has_content},
    source::{Host, Source, WantedImage},
    stop::{Class, GoError, Stop},
    transport::{Content, Read, Transport},
};
use crate::{
    client::credential::Credential,
    net::inert::excerpt,
    node::ContainerdRelease,
    stages::http::fault::HttpFault,
    words::{digest::Digest, platform::Platform, throughput::Throughput},
};

/// Indexes and manifests of one pull; most have one of each.
const MAX_DOCUMENTS: usize = 8;
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

/// Pulls `image` from `hosts` in turn, as far as a probe goes: documents and the configuration whole, of each
/// layer its start. The `credential` is offered to every host.
pub(crate) async fn pull<T: Transport>(
    transport: &mut T,
    image: &WantedImage<'_>,
    hosts: &[Host],
    release: ContainerdRelease,
    credential: Option<Arc<Credential>>,
) -> Result<Pulled, Stop> {
    let mut source = Source::new(transport, image, hosts, release, credential);
    let failed = |stop: Stop| match release.pulls_by_transfer() {
        true => stop.within("failed to resolve image"),
        false => stop.within(format_args!(
            "failed to resolve reference {:?}",
            image.reference
        )),
    };
    let root = source.resolve().await.map_err(failed)?;
    source.turn_to_content();
    source.fetch_all(root).await
}

/// What an index leads to, or a manifest itself, and why the client fetches it.
struct Document {
    descriptor: Descriptor,
    /// Whether it is, or leads to, the image that the node runs. The client fetches others beside it.
    is_wanted: bool,
    in_index: bool,
}

impl Document {
    fn beside(descriptor: Descriptor, in_index: bool) -> Self {
        Self {
            descriptor,
            is_wanted: false,
            in_index,
        }
    }
}

impl<T: Transport> Source<'_, T> {
    /// Everything below a descriptor that this platform needs.
    async fn fetch_all(&mut self, root: Descriptor) -> Result<Pulled, Stop> {
        let mut pulled = None;
        let mut seen = Vec::new();
        let mut left = vec![Document {
            descriptor: root,
            is_wanted: true,
            in_index: false,
        }];
        while let Some(document) = left.pop() {
            if is_among(&seen, &document.descriptor)? {
                continue;
            }
            if seen.len() == MAX_DOCUMENTS {
                let why = format!("an image of more than {MAX_DOCUMENTS} indexes and manifests");
                return Err(Stop::NotSeen(why));
            }
            let below = match document.descriptor.is_index() {
                true => self.fetch_index(&document).await?,
                false => {
                    let (image, below) = self.fetch_manifest(&document).await?;
                    pulled = pulled.or(image);
                    below
                }
            };
            seen.push(document.descriptor);
            // The wanted one comes first, and is taken next.
            left.extend(below.into_iter().rev());
        }
        pulled.ok_or_else(|| Stop::NotSeen("an index without a manifest".to_owned()))
    }

    /// The entries that the client fetches.
    async fn fetch_index(&mut self, index: &Document) -> Result<Vec<Document>, Stop> {
        let answer = self.fetch_document(&index.descriptor).await?;
        let body = unambiguous(self.checked(&answer, &index.descriptor)?, &index.descriptor)?;
        let node = self.image.platform;
        let entries = document::entries(body, &index.descriptor, node, self.release);
        let entries = entries.map_err(unread)?;
        // The client looks for its image when it has all of them, or else chooses it first.
        if index.is_wanted || !self.release.pulls_by_transfer() {
            entries.has_image.map_err(unread)?;
        }
        let documents = entries.fetched.into_iter().enumerate();
        let documents = documents.map(|(at, descriptor)| Document {
            is_wanted: index.is_wanted && at == 0,
            ..Document::beside(descriptor, true)
        });
        Ok(documents.collect())
    }

    /// A manifest with its configuration and layers. Gives what is pulled, if this is wanted, and the documents among the
    /// layers.
    async fn fetch_manifest(
        &mut self,
        document: &Document,
    ) -> Result<(Option<Pulled>, Vec<Document>), Stop> {
        let manifest = &document.descriptor;
        if manifest.media_type == SCHEMA_1 {
            return Err(self.schema_1(document.in_index));
        }
        if !manifest.is_manifest() {
            return match document.is_wanted {
                true => Err(self.no_image(manifest).await),
                false => self
                    .fetch_start(manifest)
                    .await
                    .map(|()| (None, Vec::new())),
            };
        }
        let answer = self.fetch_document(manifest).await?;
        let body = unambiguous(self.checked(&answer, manifest)?, manifest)?;
        let contents = document::contents(body, manifest).map_err(unread)?;
        contents.layers.iter().try_for_each(has_content)?;
        if contents.config.is_document() {
            let why = "a manifest in the place of a configuration";
            return Err(Stop::NotSeen(why.to_owned()));
        }
        self.fetch_config(document, &contents).await?;
        let layers = match self.probe_layers(&contents, document.is_wanted).await {
            // The client fetches no layer that is unpacked already, and two manifests often have the same.
            Err(Stop::Failed(_)) if !document.is_wanted => {
                let why = "a layer beside those of the node's image, which containerd may not need";
                return Err(Stop::NotSeen(why.to_owned()));
            }
            layers => layers?,
        };
        if let Some(why) = contents.layers.iter().find_map(Descriptor::needs_more)
            && document.is_wanted
        {
            return Err(Stop::NotSeen(why.to_owned()));
        }
        let pulled = Pulled {
            manifest: manifest.digest.clone(),
            platform: manifest.platform.clone(),
            layers,
        };
        let below = contents.layers.into_iter().filter(Descriptor::is_document);
        let below = below.map(|layer| Document::beside(layer, false));
        Ok((document.is_wanted.then_some(pulled), below.collect()))
    }

    fn schema_1(&self, in_index: bool) -> Stop {
        if self.release.converts_schema_1() {
            let why = "an image manifest of schema 1, which containerd converts";
            return Stop::NotSeen(why.to_owned());
        }
        let text = match (self.release.pulls_by_transfer(), in_index) {
            (true, false) => {
                "schema 1 image manifests are no longer supported: invalid argument".to_owned()
            }
            (true, true) => format!("{SCHEMA_1} not supported"),
            (false, _) => {
                format!("media type {SCHEMA_1:?} is no longer supported since containerd")
            }
        };
        let fault = HttpFault::Malformed("an image manifest of schema 1".to_owned());
        GoError::new(Class::Other, text).with_content(fault).into()
    }

    /// Why a manifest that its media type does not make one ends the pull: containerd fetches it like any blob, and
    /// finds nothing in it to unpack.
    async fn no_image(&mut self, manifest: &Descriptor) -> Stop {
        let Descriptor {
            media_type, digest, ..
        } = manifest;
        let error = match self.fetch_start(manifest).await {
            Ok(()) => {
                GoError::not_found(format!("unexpected media type {media_type} for {digest}"))
            }
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

    /// A configuration that the layers of its manifest can be unpacked by.
    async fn fetch_config(&mut self, manifest: &Document, contents: &Contents) -> Result<(), Stop> {
        let config = &contents.config;
        let read = Read::Whole(config.size.min(MAX_CONFIG));
        let answer = self.fetch_blob(config, read).await?;
        if config.size > MAX_CONFIG {
            let size = config.size;
            return Err(Stop::NotSeen(format!(
                "a configuration of {size} bytes is not read"
            )));
        }
        let body = unambiguous(self.checked(&answer, config)?, config)?;
        let (node, release) = (self.image.platform, self.release);
        let said = manifest.in_index.then_some(&manifest.descriptor);
        let checked = match manifest.is_wanted {
            true => document::check_config(body, contents, said, node, release),
            false => document::check_beside(body, contents, release),
        };
        checked.map_err(|error| unread(error).into())
    }

    /// Fetches the start of each layer, or a part of the largest one to see how fast it comes; of no more layers
    /// than are wanted. Says how many there are.
    async fn probe_layers(&mut self, contents: &Contents, is_wanted: bool) -> Result<usize, Stop> {
        let named = &contents.layers;
        if named.len() > MAX_LAYERS {
            let why = format!("an image of more than {MAX_LAYERS} layers");
            return Err(Stop::NotSeen(why));
        }
        let mut layers: Vec<&Descriptor> = Vec::new();
        for layer in named.iter().filter(|layer| !layer.is_document()) {
            // What the client unpacks waits for a configuration, and what it has it does not fetch again.
            let is_fetched = contents.config.is_config() || !layer.is_layer(self.release);
            if is_fetched && !is_among(layers.iter().copied(), layer)? {
                layers.push(layer);
            }
        }
        if is_wanted
            && !contents.config.is_config()
            && !self.release.pulls_by_transfer()
            && let Some(layer) = named.iter().find(|layer| layer.is_layer(self.release))
        {
            return Err(never_fetched(&contents.config, layer).into());
        }
        let measured = self.measured(&layers).filter(|_| is_wanted);
        let is_measured =
            |layer: &Descriptor| measured.filter(|(largest, _)| std::ptr::eq(*largest, layer));
        layers.sort_by_key(|layer| is_measured(layer).is_none());
        for layer in layers.iter().take(self.image.layers) {
            match is_measured(layer) {
                Some((_, throughput)) => {
                    let answer = self.fetch_blob(layer, Read::Measured(throughput)).await?;
                    self.has_length(&answer, layer)?;
                }
                None => self.fetch_start(layer).await?,
            }
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
}

/// Whether the same content is there already. Where two name it with different sizes or places, the client takes whichever
/// it comes to first.
fn is_among<'d>(
    had: impl IntoIterator<Item = &'d Descriptor>,
    next: &Descriptor,
) -> Result<bool, Stop> {
    match had.into_iter().find(|had| had.digest == next.digest) {
        None => Ok(false),
        Some(had) if had.size == next.size && had.urls == next.urls => Ok(true),
        Some(_) => {
            let digest = &next.digest;
            let why = format!("{digest} is named twice, with different sizes or places");
            Err(Stop::NotSeen(why))
        }
    }
}

/// The body of content that says each thing once.
fn unambiguous<'b>(body: &'b [u8], content: &Descriptor) -> Result<&'b [u8], Stop> {
    match document::is_ambiguous(body, content) {
        false => Ok(body),
        true => {
            let digest = &content.digest;
            let why = format!("{digest} says one thing twice, and containerd mixes the two");
            Err(Stop::NotSeen(why))
        }
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

/// A document that Go's decoder does not take. Its error names Go's types, which are not known here.
fn unread(error: GoError) -> GoError {
    let fault = || HttpFault::Malformed("a document that containerd cannot read".to_owned());
    match error.blame {
        Some(_) => error,
        None => GoError::untold(error.class).with_content(fault()),
    }
}
