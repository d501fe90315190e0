//! The documents between an image's reference and its blobs: indexes and manifests, as OCI and Docker
//! define them. What containerd would refuse is refused here.

use std::{borrow::Cow, fmt, marker::PhantomData};

use hyper::header::CONTENT_TYPE;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};

use super::{digest::Digest, platform::Platform};
use crate::{
    net::inert::excerpt,
    stages::http::{fault::HttpFault, response::Response},
};

/// Entries of an index that are read; images have dozens.
const MAX_ENTRIES: usize = 1000;

/// One blob of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The digest that names it.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
}

/// What kind of document it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    OciIndex,
    DockerList,
    OciManifest,
    DockerManifest,
}

impl Kind {
    const ALL: [Self; 4] = [
        Self::OciIndex,
        Self::DockerList,
        Self::OciManifest,
        Self::DockerManifest,
    ];

    pub(super) fn of(response: &Response) -> Result<Self, HttpFault> {
        let content_type = response.header(CONTENT_TYPE).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default();
        Self::named(media_type.trim())
    }

    /// The types of schema 1, and the type that some registries send it as, get their own message:
    /// containerd no longer pulls it.
    pub(super) fn named(media_type: &str) -> Result<Self, HttpFault> {
        if let Some(kind) = Self::ALL
            .iter()
            .find(|kind| kind.media_type() == media_type)
        {
            return Ok(*kind);
        }
        match media_type {
            "" => malformed("a manifest without a media type".to_owned()),
            "text/plain"
            | "application/vnd.docker.distribution.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v1+prettyjws" => schema_1(),
            other => {
                let other = excerpt(other.as_bytes());
                malformed(format!("{other} is not the media type of an image"))
            }
        }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::OciIndex => "application/vnd.oci.image.index.v1+json",
            Self::DockerList => "application/vnd.docker.distribution.manifest.list.v2+json",
            Self::OciManifest => "application/vnd.oci.image.manifest.v1+json",
            Self::DockerManifest => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    fn is_index(self) -> bool {
        matches!(self, Self::OciIndex | Self::DockerList)
    }
}

/// The content of a document.
pub(super) enum Document<'a> {
    Index(Vec<Entry<'a>>),
    /// The configuration and the first layer.
    Manifest(Vec<Entry<'a>>),
}

impl<'a> Document<'a> {
    /// A document that is not of its stated kind is refused, as containerd does.
    pub(super) fn read(body: &'a [u8], kind: Kind) -> Result<Self, HttpFault> {
        let raw: RawDocument<'_> = serde_json::from_slice(body).or_else(|error| {
            let error = excerpt(error.to_string().as_bytes());
            malformed(format!("not a manifest ({error})"))
        })?;
        match raw {
            RawDocument {
                fs_layers: Some(_), ..
            } => schema_1(),
            RawDocument {
                manifests: Some(entries),
                config: None,
                layers: None,
                ..
            } if kind.is_index() => Ok(Self::Index(entries.0)),
            RawDocument {
                config: Some(config),
                layers,
                manifests: None,
                ..
            } if !kind.is_index() => {
                let layer = layers.and_then(|First(layers)| layers.into_iter().next());
                Ok(Self::Manifest([config].into_iter().chain(layer).collect()))
            }
            _ => {
                let said = if kind.is_index() {
                    "an index"
                } else {
                    "a manifest"
                };
                malformed(format!("declared as {said}, but without the parts of one"))
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument<'a> {
    #[serde(borrow)]
    manifests: Option<First<Entry<'a>, MAX_ENTRIES>>,
    config: Option<Entry<'a>>,
    layers: Option<First<Entry<'a>, 1>>,
    fs_layers: Option<IgnoredAny>,
}

/// The first `MOST` items of a list; the others are dropped.
struct First<T, const MOST: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for First<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MOST: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
            type Value = First<T, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut first = Vec::new();
                while first.len() < MOST {
                    match list.next_element()? {
                        Some(item) => first.push(item),
                        None => return Ok(First(first)),
                    }
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(first))
            }
        }

        deserializer.deserialize_seq(List(PhantomData))
    }
}

/// A descriptor as sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    #[serde(borrow, default)]
    pub(super) media_type: Cow<'a, str>,
    #[serde(borrow)]
    digest: Cow<'a, str>,
    size: u64,
    #[serde(borrow)]
    pub(super) platform: Option<RawPlatform<'a>>,
}

impl Entry<'_> {
    pub(super) fn digest(&self) -> Result<Digest, HttpFault> {
        let unusable = || {
            let digest = excerpt(self.digest.as_bytes());
            HttpFault::Malformed(format!("{digest:?} is not a digest"))
        };
        Digest::parse(&self.digest).ok_or_else(unusable)
    }

    pub(super) fn descriptor(&self) -> Result<Descriptor, HttpFault> {
        Ok(Descriptor {
            digest: self.digest()?,
            size: self.size,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct RawPlatform<'a> {
    #[serde(borrow, default)]
    os: Cow<'a, str>,
    #[serde(borrow, default)]
    architecture: Cow<'a, str>,
    #[serde(borrow, default)]
    variant: Cow<'a, str>,
}

impl RawPlatform<'_> {
    pub(super) fn normal(&self) -> Platform {
        Platform::normal(&self.os, &self.architecture, &self.variant)
    }
}

/// The platforms of an index as text. Attestations are listed there as an unknown platform.
pub(super) fn offered(entries: &[Entry<'_>]) -> String {
    let mut names: Vec<String> = Vec::new();
    let platforms = entries.iter().filter_map(|entry| entry.platform.as_ref());
    for platform in platforms.map(RawPlatform::normal) {
        let name = platform.to_string();
        if platform.os != "unknown" && !names.contains(&name) && names.len() < 16 {
            names.push(name);
        }
    }
    match names.as_slice() {
        [] => "nothing".to_owned(),
        names => excerpt(names.join(", ").as_bytes()),
    }
}

fn schema_1<T>() -> Result<T, HttpFault> {
    malformed("a schema 1 manifest, which containerd no longer pulls".to_owned())
}

pub(super) fn malformed<T>(why: String) -> Result<T, HttpFault> {
    Err(HttpFault::Malformed(why))
}
