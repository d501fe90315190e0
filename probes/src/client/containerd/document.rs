//! What a fetched document says a pull goes on with: the entries of an index, the configuration and layers of a
//! manifest, and what its configuration must be.
//!
//! Sources: containerd `core/images/image.go` (`Children`, `validateMediaType`, `Manifest`),
//! `core/images/handlers.go` (`FilterPlatforms`, `LimitManifests`), `core/unpack/unpacker.go` and `client/image.go`
//! (`getLayers`).

use std::fmt;

use serde_json::value::RawValue;

use super::stop::{Class, GoError};
use crate::{
    net::inert::excerpt,
    node::ContainerdRelease,
    stages::http::{
        fault::HttpFault,
        go_json::{Fields, list, number, object, text},
    },
    words::{digest::Digest, platform::Platform},
};

mod image_spec;

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
/// Platforms of an index that a message names.
const OFFERED: usize = 10;
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

/// The entry of an index that a node of this platform pulls: the best for it, else the first that says nothing of
/// its platform.
pub(super) fn chosen(
    body: &[u8],
    index: &Descriptor,
    node: &Platform,
    release: ContainerdRelease,
) -> Result<Descriptor, GoError> {
    let body = String::from_utf8_lossy(body);
    let document = valid(&body, index)?;
    let (mut foreign, mut unsaid) = (None, Vec::new());
    let (mut entries, mut offered) = (Vec::new(), Vec::new());
    for entry in list(document.get("manifests"))? {
        let fields = object(Some(entry), &DESCRIPTOR)?;
        let platform = platform(fields.get("platform"))?;
        let rank = platform
            .as_ref()
            .map_or(Some(usize::MAX), |platform| node.rank(platform));
        if offered.len() < OFFERED {
            offered.extend(
                platform
                    .clone()
                    .filter(|platform| !offered.contains(platform)),
            );
        }
        match platform {
            None => unsaid.push(text(fields.get("digest"))?),
            Some(_) if rank.is_none() && foreign.is_none() => {
                foreign = Some(text(fields.get("digest"))?);
            }
            Some(_) => {}
        }
        entries.extend(rank.map(|rank| (rank, fields, platform)));
    }
    let best = entries.into_iter().min_by_key(|(rank, ..)| *rank);
    let (_, fields, platform) = best.ok_or_else(|| match release.pulls_by_transfer() {
        true => mismatch(format_args!("manifest {}", index.digest), node, &offered),
        false => mismatch("manifest", node, &offered),
    })?;
    let is_lesser = platform.as_ref().is_some_and(|of| of != node);
    let entry = Descriptor {
        platform,
        ..descriptor(&fields)?
    };
    let (wants, missing) = match (&entry.platform, foreign) {
        // The transfer service takes images for the node's own platform alone; CRI looks for those of lesser ones, too.
        (Some(_), _) if is_lesser && release.pulls_by_transfer() => {
            ("get image config descriptor", entry.digest.to_string())
        }
        // CRI measures what it has pulled by the first entry that says its platform, be it another one.
        (None, Some(foreign)) => ("get image compressed resource size", foreign),
        _ => return Ok(entry),
    };
    if unsaid.contains(&missing) {
        return Ok(entry);
    }
    let error = GoError::not_found(format_args!("content digest {missing}")).within(wants);
    Err(error.with_content(platform_mismatch(node, &offered)))
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

/// Whether the image of `config` can be unpacked on `node` by `release`. `of_index` is the entry of the index that led here:
/// where that says nothing of its platform, the configuration's counts.
pub(super) fn check_config(
    config: &[u8],
    contents: &Contents,
    of_index: Option<&Descriptor>,
    node: &Platform,
    release: ContainerdRelease,
) -> Result<(), GoError> {
    let text = String::from_utf8_lossy(config);
    let raw: &RawValue =
        serde_json::from_str(&text).map_err(|_| malformed("unmarshal image config"))?;
    image_spec::IMAGE.check(Some(raw))?;
    let image = object(Some(raw), &["os", "architecture", "variant", "rootfs"])?;
    let rootfs = object(image.get("rootfs"), &["diff_ids"])?;
    let diff_ids = list(rootfs.get("diff_ids"))?.len();
    let layers = contents
        .layers
        .iter()
        .filter(|layer| layer.is_layer(release))
        .count();
    // What unpacks while layers come does nothing without one. Another part of the client looks later, and has taken
    // content of all kinds for layers before 1.6.25 and 1.7.7; the transfer service has no such part.
    let unpacks = layers > 0 && contents.config.is_config() || !release.pulls_by_transfer();
    if unpacks && layers != diff_ids {
        let text = match (layers, contents.layers.len()) {
            (0, 0) => Some("mismatched image rootfs and manifest layers".to_owned()),
            (0, _) => None,
            _ => Some(format!(
                "number of layers and diffIDs don't match: {layers} != {diff_ids}"
            )),
        };
        let error = GoError {
            text,
            ..GoError::untold(Class::Other)
        };
        return Err(error.with_content(HttpFault::Malformed(format!(
            "a configuration for {diff_ids} layers, and a manifest with {layers}"
        ))));
    }
    if of_index.is_some_and(|entry| entry.platform.is_none()) {
        let platform = platform_of(&image)?;
        if node.rank(&platform).is_none() {
            return Err(mismatch("manifest …", node, &[platform]));
        }
    }
    Ok(())
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

fn platform(raw: Option<&RawValue>) -> Result<Option<Platform>, GoError> {
    match raw.filter(|raw| raw.get() != "null") {
        None => Ok(None),
        Some(raw) => platform_of(&object(Some(raw), &["os", "architecture", "variant"])?).map(Some),
    }
}

fn platform_of(fields: &Fields<'_>) -> Result<Platform, GoError> {
    let [os, architecture, variant] =
        ["os", "architecture", "variant"].map(|name| text(fields.get(name)));
    Ok(Platform::normal(&os?, &architecture?, &variant?))
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
        let shape = match said.is_index() {
            true => image_spec::INDEX,
            false => image_spec::MANIFEST,
        };
        shape.check(Some(raw))?;
        return Ok(fields);
    };
    let fault = HttpFault::Malformed(wrong.clone());
    let error = GoError::new(Class::Other, wrong).with_content(fault);
    Err(error.within(format_args!("children: invalid desc {}", said.digest)))
}

/// No entry of an index, or a configuration of another platform.
fn mismatch(of: impl fmt::Display, node: &Platform, offered: &[Platform]) -> GoError {
    let fault = platform_mismatch(node, offered);
    GoError::not_found(format_args!("no match for platform in {of}")).with_content(fault)
}

fn platform_mismatch(node: &Platform, offered: &[Platform]) -> HttpFault {
    let offered: Vec<_> = offered.iter().map(ToString::to_string).collect();
    HttpFault::PlatformMismatch {
        platform: node.to_string(),
        offered: excerpt(offered.join(", ").as_bytes()),
    }
}

fn malformed(what: &str) -> GoError {
    GoError::untold(Class::Other).with_content(HttpFault::Malformed(what.to_owned()))
}
