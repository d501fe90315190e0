//! What a node fetches of an index, and what images are built for.
//!
//! Source: containerd `core/images/handlers.go` (`FilterPlatforms`, `LimitManifests`), `core/transfer/image/imagestore.go`
//! (`ImageFilter`), `github.com/containerd/platforms`.

use std::fmt;

use serde_json::value::RawValue;

use super::{DESCRIPTOR, Descriptor, descriptor, valid};
use crate::{
    client::containerd::stop::GoError,
    net::inert::excerpt,
    node::ContainerdRelease,
    stages::http::{
        fault::HttpFault,
        go_json::{Fields, list, object, text},
    },
    words::platform::Platform,
};

/// Platforms of an index that a message names.
const OFFERED: usize = 10;
/// Entries that are kept of those that the node can run, the best first. A walk does not go to so many.
const KEPT: usize = 10;

/// What a pull takes of an index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entries {
    /// What the client fetches; first the best entry for the node, or one that does not say its platform.
    pub fetched: Vec<Descriptor>,
    /// Whether the client finds the node's image among what it has fetched.
    pub has_image: Result<(), GoError>,
}

/// What a node of this platform fetches of an index. The transfer service takes every entry for the node's own platform or
/// none; others take the best for the node.
pub(crate) fn entries(
    body: &[u8],
    index: &Descriptor,
    node: &Platform,
    release: ContainerdRelease,
) -> Result<Entries, GoError> {
    let body = String::from_utf8_lossy(body);
    let document = valid(&body, index)?;
    let mut fitting: Vec<Fitting<'_>> = Vec::new();
    // The best by its platform alone, and its rank.
    let mut foreign: Option<(usize, String)> = None;
    let mut offered = Vec::new();
    for entry in list(document.get("manifests"))? {
        let fields = object(Some(entry), &DESCRIPTOR)?;
        let built_for = BuiltFor::read(fields.get("platform"), release)?;
        if offered.len() < OFFERED {
            let new = built_for.clone().filter(|one| !offered.contains(one));
            offered.extend(new);
        }
        match built_for {
            Some(other) if other.rank(node).is_none() => {
                let rank = node.rank(&other.platform).unwrap_or(usize::MAX);
                if foreign.as_ref().is_none_or(|(best, _)| rank < *best) {
                    foreign = Some((rank, text(fields.get("digest"))?));
                }
            }
            built_for => {
                let rank = built_for
                    .as_ref()
                    .and_then(|built_for| built_for.rank(node));
                fitting.push(Fitting {
                    rank: rank.unwrap_or(usize::MAX),
                    platform: built_for.map(|built_for| built_for.platform),
                    fields,
                });
                fitting.sort_by_key(|entry| entry.rank);
                fitting.truncate(KEPT);
            }
        }
    }
    let by_transfer = release.pulls_by_transfer();
    let Some(best) = fitting.first() else {
        let error = match by_transfer {
            true => mismatch(format_args!("manifest {}", index.digest), node, &offered),
            false => mismatch("manifest", node, &offered),
        };
        return Ok(Entries {
            fetched: Vec::new(),
            has_image: Err(error),
        });
    };
    let needed = if by_transfer && !best.is_of(node) {
        // CRI looks for images of lesser platforms as well, which the transfer service has not fetched.
        let digest = best.descriptor()?.digest.to_string();
        Some(("get image config descriptor", digest))
    } else if best.platform.is_none() {
        // CRI measures what it has pulled by the best entry that says its platform, be it another one or lack a feature.
        foreign.map(|(_, digest)| ("get image compressed resource size", digest))
    } else {
        None
    };
    let fetched = match by_transfer {
        true => fitting.iter().filter(|entry| entry.is_of(node)).collect(),
        false => vec![best],
    };
    let fetched = fetched.into_iter().map(Fitting::descriptor);
    let fetched = fetched.collect::<Result<Vec<_>, _>>()?;
    let has = |digest: &str| fetched.iter().any(|had| had.digest.to_string() == digest);
    let has_image = match needed.filter(|(_, digest)| !has(digest)) {
        None => Ok(()),
        Some((wants, digest)) => {
            let error = GoError::not_found(format_args!("content digest {digest}")).within(wants);
            Err(error.with_content(platform_mismatch(node, &offered)))
        }
    };
    Ok(Entries { fetched, has_image })
}

/// An entry that the node can run.
struct Fitting<'a> {
    /// How well it suits the node, as [`Platform::rank`] says; the least where it does not say its platform.
    rank: usize,
    platform: Option<Platform>,
    fields: Fields<'a>,
}

impl Fitting<'_> {
    fn is_of(&self, node: &Platform) -> bool {
        self.platform.as_ref().is_none_or(|of| of == node)
    }

    fn descriptor(&self) -> Result<Descriptor, GoError> {
        Ok(Descriptor {
            platform: self.platform.clone(),
            ..descriptor(&self.fields)?
        })
    }
}

/// What an image is said to be built for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BuiltFor {
    platform: Platform,
    /// What the node's system must have, where the client asks for it; containerd knows none of a Linux node.
    features: Vec<String>,
}

impl BuiltFor {
    /// As `said`, if anything is.
    pub(super) fn read(
        said: Option<&RawValue>,
        release: ContainerdRelease,
    ) -> Result<Option<Self>, GoError> {
        const KNOWN: [&str; 4] = ["os", "architecture", "variant", "os.features"];
        let Some(said) = said.filter(|said| said.get() != "null") else {
            return Ok(None);
        };
        let fields = object(Some(said), &KNOWN)?;
        let [os, architecture, variant] =
            ["os", "architecture", "variant"].map(|name| text(fields.get(name)));
        let features = match release.reads_os_features() {
            true => list(fields.get("os.features"))?,
            false => Vec::new(),
        };
        let features = features.into_iter().map(|feature| text(Some(feature)));
        Ok(Some(Self {
            platform: Platform::normal(&os?, &architecture?, &variant?),
            features: features.collect::<Result<_, _>>()?,
        }))
    }

    /// How well it suits a node of this platform, as [`Platform::rank`] says.
    pub(super) fn rank(&self, node: &Platform) -> Option<usize> {
        node.rank(&self.platform)
            .filter(|_| self.features.is_empty())
    }
}

impl fmt::Display for BuiltFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.platform.fmt(f)?;
        match &*self.features {
            [] => Ok(()),
            features => write!(f, " with {}", features.join(" and ")),
        }
    }
}

/// No entry of an index, or a configuration of another platform.
pub(super) fn mismatch(of: impl fmt::Display, node: &Platform, offered: &[BuiltFor]) -> GoError {
    let fault = platform_mismatch(node, offered);
    GoError::not_found(format_args!("no match for platform in {of}")).with_content(fault)
}

fn platform_mismatch(node: &Platform, offered: &[BuiltFor]) -> HttpFault {
    let offered: Vec<_> = offered.iter().map(ToString::to_string).collect();
    HttpFault::PlatformMismatch {
        platform: node.to_string(),
        offered: excerpt(offered.join(", ").as_bytes()),
    }
}
