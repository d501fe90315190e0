//! What a fetched document says a pull goes on with: the entries of an index, the configuration and layers of a
//! manifest, and what its configuration must be.
//!
//! Source: containerd `core/images/image.go` (`Children`, `validateMediaType`, `Manifest`).

use serde_json::value::RawValue;

use super::stop::{Class, GoError};
use crate::{
    node::ContainerdRelease,
    stages::http::{
        fault::HttpFault,
        go_json::{Fields, list, number, object, text},
        go_shape::Shape,
    },
    words::{digest::Digest, platform::Platform},
};

pub(super) use self::{
    image_config::{check_beside, check_config},
    index::entries,
};

mod image_config;
mod image_spec;
mod index;

/// What a document or a reference points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    /// As the index says it, where it does.
    pub platform: Option<Platform>,
    /// Where it is outside of the registry: the client asks there first.
    pub urls: Vec<String>,
}

impl Descriptor {
    pub(super) fn is_index(&self) -> bool {
        INDEX.contains(&&*self.media_type)
    }

    /// Whether its media type is that of a configuration, for which the client unpacks layers.
    pub(super) fn is_config(&self) -> bool {
        CONFIG.contains(&&*self.media_type)
    }

    pub(super) fn is_manifest(&self) -> bool {
        MANIFEST.contains(&&*self.media_type)
    }

    /// Whether the client looks for others in it.
    pub(super) fn is_document(&self) -> bool {
        self.is_index() || self.is_manifest()
    }

    /// The media types that a request for it accepts.
    pub(super) fn accepted(&self) -> String {
        format!("{}, */*", self.media_type)
    }

    /// What this containerd unpacks.
    pub(super) fn is_layer(&self, release: ContainerdRelease) -> bool {
        const DOCKER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
        const DOCKER: [&str; 4] = [
            "application/vnd.docker.image.rootfs.diff.tar",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "application/vnd.docker.image.rootfs.foreign.diff.tar",
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        ];
        let base = self.media_type.split('+').next().unwrap_or_default();
        self.media_type
            .starts_with("application/vnd.oci.image.layer.")
            || DOCKER.contains(&base)
            || base == DOCKER_ZSTD && release.knows_docker_zstd()
            || base == EROFS && release.knows_erofs()
    }

    /// Why a layer may not be unpacked: what it needs of the node is not seen.
    pub(super) fn needs_more(&self) -> Option<&'static str> {
        let mut parts = self.media_type.split('+');
        let base = parts.next().unwrap_or_default();
        if base == EROFS {
            return Some(
                "a layer is EROFS, and whether the node has a snapshotter for it is not seen",
            );
        }
        if parts.any(|suffix| suffix == "encrypted") {
            return Some("a layer is encrypted, and whether the node has its key is not seen");
        }
        let kind = base.strip_prefix("application/vnd.oci.image.layer.");
        let is_other =
            kind.is_some_and(|kind| !matches!(kind, "v1.tar" | "nondistributable.v1.tar"));
        is_other.then_some(
            "a layer is of a kind that needs its own processor or snapshotter, and whether the node has one is not seen",
        )
    }
}

const EROFS: &str = "application/vnd.erofs.layer.v1";
pub(super) const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
const INDEX: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
pub(super) const MANIFEST_OCI: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const MANIFEST_DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];
const MANIFEST: [&str; 2] = [MANIFEST_OCI, MANIFEST_DOCKER];

/// A manifest as a pull takes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

impl Contents {
    /// How many layers this containerd may unpack.
    fn layers_for(&self, release: ContainerdRelease) -> usize {
        let layers = self.layers.iter();
        layers.filter(|layer| layer.is_layer(release)).count()
    }

    /// Whether the client unpacks layers while they come.
    fn is_unpacked(&self, release: ContainerdRelease) -> bool {
        self.config.is_config() && self.layers_for(release) > 0
    }
}

/// The configuration and layers that a manifest names.
pub(super) fn contents(body: &[u8], manifest: &Descriptor) -> Result<Contents, GoError> {
    let text = String::from_utf8_lossy(body);
    let document = valid(&text, manifest)?;
    let config = descriptor(&object(document.get("config"), &DESCRIPTOR)?)?;
    let layers = list(document.get("layers"))?;
    let layers = layers
        .into_iter()
        .map(|layer| descriptor(&object(Some(layer), &DESCRIPTOR)?));
    Ok(Contents {
        config,
        layers: layers.collect::<Result<_, _>>()?,
    })
}

const DESCRIPTOR: [&str; 5] = ["mediaType", "digest", "size", "platform", "urls"];

fn descriptor(fields: &Fields<'_>) -> Result<Descriptor, GoError> {
    let digest = text(fields.get("digest"))?;
    let urls = list(fields.get("urls"))?.into_iter();
    Ok(Descriptor {
        media_type: text(fields.get("mediaType"))?,
        digest: Digest::parse(&digest)
            .ok_or_else(|| malformed("an entry without a valid digest"))?,
        size: u64::try_from(number(fields.get("size"))?)
            .map_err(|_| malformed("an entry of negative size"))?,
        platform: None,
        urls: urls.map(|url| text(Some(url))).collect::<Result<_, _>>()?,
    })
}

/// Whether it says something twice of which Go's decoder makes a mixture.
pub(super) fn is_ambiguous(body: &[u8], said: &Descriptor) -> bool {
    let raw: Result<&RawValue, _> = serde_json::from_slice(body);
    raw.is_ok_and(|raw| shape(said).merges(raw))
}

/// The type by which content is read.
fn shape(said: &Descriptor) -> Shape {
    if said.is_index() {
        image_spec::INDEX
    } else if said.is_manifest() {
        image_spec::MANIFEST
    } else {
        image_spec::IMAGE
    }
}

/// The fields of a document that is what its descriptor says.
fn valid<'a>(text: &'a str, said: &Descriptor) -> Result<Fields<'a>, GoError> {
    const KNOWN: [&str; 5] = ["mediaType", "config", "layers", "manifests", "fsLayers"];
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|_| malformed("a document that is no JSON"))?;
    let fields = object(Some(raw), &KNOWN)?;
    let has = |name| fields.has(name);
    let media_type = self::text(fields.get("mediaType"))?;
    let kind = &said.media_type;
    let wrong = if has("fsLayers") {
        "media-type: schema 1 not supported".to_owned()
    } else if said.is_manifest() && (has("manifests") || INDEX.contains(&&*media_type)) {
        format!("media-type: expected manifest but found index ({kind})")
    } else if said.is_index()
        && (has("config") || has("layers") || MANIFEST.contains(&&*media_type))
    {
        format!("media-type: expected index but found manifest ({kind})")
    } else {
        shape(said).check(Some(raw))?;
        return Ok(fields);
    };
    let fault = HttpFault::Malformed(wrong.clone());
    let error = GoError::new(Class::Other, wrong).with_content(fault);
    Err(error.within(format_args!("children: invalid desc {}", said.digest)))
}

fn malformed(what: &str) -> GoError {
    GoError::untold(Class::Other).with_content(HttpFault::Malformed(what.to_owned()))
}
