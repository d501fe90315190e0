//! The smallest image that a real client can pull: an OCI index, a manifest and a config for each
//! platform, and one gzip'd tar layer with a greeting in it. Every digest is true.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;
use aws_lc_rs::digest as hash;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An image with its tag.
#[derive(Clone, Debug)]
pub struct Image {
    repository: String,
    tag: String,
    index_digest: String,
    /// Index and manifests, by digest.
    manifests: BTreeMap<String, Manifest>,
    /// Configs and layers, by digest.
    blobs: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl Image {
    /// `probe/hello:v1` for linux/amd64 and linux/arm64.
    pub fn hello() -> Result<Self> {
        Self::new("probe/hello", "v1", &["linux/amd64", "linux/arm64"])
    }

    /// An image for the given platforms, each `os/architecture`.
    pub fn new(repository: &str, tag: &str, platforms: &[&str]) -> Result<Self> {
        Self::indexed(repository, tag, platforms, true)
    }

    /// An image whose index does not say what its manifests are for.
    pub fn without_platforms(repository: &str, tag: &str, platforms: &[&str]) -> Result<Self> {
        Self::indexed(repository, tag, platforms, false)
    }

    fn indexed(repository: &str, tag: &str, platforms: &[&str], says: bool) -> Result<Self> {
        let tar = layer_tar()?;
        let layer = gzip(&tar)?;
        let layer_digest = digest(&layer);
        let mut blobs = BTreeMap::new();
        let mut manifests = BTreeMap::new();
        let mut entries = Vec::new();
        for platform in platforms {
            let (os, architecture) = platform.split_once('/').unwrap_or((platform, "amd64"));
            let config = json!({
                "architecture": architecture,
                "os": os,
                "config": {"Cmd": ["/hello"]},
                "rootfs": {"type": "layers", "diff_ids": [digest(&tar)]},
            })
            .to_string()
            .into_bytes();
            let manifest = json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": digest(&config), "size": config.len()},
                "layers": [{"mediaType": LAYER, "digest": layer_digest, "size": layer.len()}],
            })
            .to_string()
            .into_bytes();
            let mut entry = json!({
                "mediaType": MANIFEST,
                "digest": digest(&manifest),
                "size": manifest.len(),
            });
            if says {
                entry["platform"] = json!({"os": os, "architecture": architecture});
            }
            entries.push(entry);
            blobs.insert(digest(&config), config);
            manifests.insert(
                digest(&manifest),
                Manifest {
                    media_type: MANIFEST,
                    bytes: manifest,
                },
            );
        }
        blobs.insert(layer_digest, layer);
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
            .to_string()
            .into_bytes();
        let index_digest = digest(&index);
        manifests.insert(
            index_digest.clone(),
            Manifest {
                media_type: INDEX,
                bytes: index,
            },
        );
        Ok(Self {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            index_digest,
            manifests,
            blobs,
        })
    }

    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// `repository:tag`
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }

    /// A manifest by tag or digest, with its digest.
    pub(crate) fn manifest(&self, reference: &str) -> Option<(&str, &Manifest)> {
        let digest = if reference == self.tag {
            &self.index_digest
        } else {
            reference
        };
        self.manifests
            .get_key_value(digest)
            .map(|(digest, manifest)| (digest.as_str(), manifest))
    }

    /// Every manifest by digest; the index is one of them.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = (&String, &Manifest)> {
        self.manifests.iter()
    }

    pub(crate) fn blobs(&self) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        self.blobs.iter()
    }

    pub(crate) fn blob(&self, digest: &str) -> Option<&[u8]> {
        self.blobs.get(digest).map(Vec::as_slice)
    }
}

/// `sha256:<hex>`
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hash = hash::digest(&hash::SHA256, bytes);
    let hex = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
    format!("sha256:{}", hex.collect::<String>())
}

fn layer_tar() -> Result<Vec<u8>> {
    let greeting = b"Hello from the lab.\n";
    let mut header = tar::Header::new_ustar();
    header.set_size(greeting.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header, "hello", &greeting[..])?;
    Ok(tar.into_inner()?)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes)?;
    Ok(gzip.finish()?)
}
