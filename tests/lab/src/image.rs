//! The smallest image that a real client can pull: an OCI index, a manifest and a config for each
//! platform, and one gzip'd tar layer with a greeting in it, or several. Every digest is true.

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
    last_layer: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// A file of a layer.
struct File<'a> {
    name: &'a str,
    mode: u32,
    bytes: &'a [u8],
}

const GREETING: File<'_> = File {
    name: "hello",
    mode: 0o644,
    bytes: b"Hello from the lab.\n",
};

impl Image {
    /// `probe/hello:v1` for linux/amd64 and linux/arm64.
    pub fn hello() -> Result<Self> {
        Self::new("probe/hello", "v1", &["linux/amd64", "linux/arm64"])
    }

    /// An image for the given platforms, each `os/architecture`.
    pub fn new(repository: &str, tag: &str, platforms: &[&str]) -> Result<Self> {
        Self::of(repository, tag, (platforms, 0), &[vec![GREETING]])
    }

    /// An image of so many layers: the greeting, and in each of the others a file.
    pub fn of_layers(
        repository: &str,
        tag: &str,
        platforms: &[&str],
        layers: usize,
    ) -> Result<Self> {
        let names: Vec<_> = (2..=layers)
            .map(|number| format!("file-{number}"))
            .collect();
        let others = names.iter().map(|name| {
            vec![File {
                name,
                mode: 0o644,
                bytes: name.as_bytes(),
            }]
        });
        let layers: Vec<_> = [vec![GREETING]].into_iter().chain(others).collect();
        Self::of(repository, tag, (platforms, 0), &layers)
    }

    /// An image whose layer is at least so large.
    pub fn of_size(repository: &str, tag: &str, platforms: &[&str], kib: usize) -> Result<Self> {
        let filler = File {
            name: "filler",
            mode: 0o644,
            bytes: &incompressible(kib * 1024),
        };
        Self::of(repository, tag, (platforms, 0), &[vec![GREETING, filler]])
    }

    /// An image whose index does not say what the first so many of its manifests are for.
    pub fn without_platforms(
        repository: &str,
        tag: &str,
        platforms: &[&str],
        unsaid: usize,
    ) -> Result<Self> {
        Self::of(repository, tag, (platforms, unsaid), &[vec![GREETING]])
    }

    /// An image that runs a program, without arguments; no two repositories share a layer.
    pub fn running(repository: &str, tag: &str, program: &[u8]) -> Result<Self> {
        let files = vec![
            File {
                name: "hello",
                mode: 0o755,
                bytes: program,
            },
            File {
                name: "repository",
                mode: 0o644,
                bytes: repository.as_bytes(),
            },
        ];
        Self::of(repository, tag, (&["linux/amd64"], 0), &[files])
    }

    /// Its platforms, and of how many the index does not say them. The first file of the first layer is what runs.
    fn of(
        repository: &str,
        tag: &str,
        (platforms, unsaid): (&[&str], usize),
        layers: &[Vec<File<'_>>],
    ) -> Result<Self> {
        let (mut blobs, mut descriptors, mut diff_ids) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut last_layer = String::new();
        for files in layers {
            let tar = tar_of(files)?;
            let layer = gzip(&tar)?;
            last_layer = digest(&layer);
            diff_ids.push(digest(&tar));
            descriptors
                .push(json!({"mediaType": LAYER, "digest": last_layer, "size": layer.len()}));
            blobs.insert(last_layer.clone(), layer);
        }
        let mut manifests = BTreeMap::new();
        let mut entries = Vec::new();
        for platform in platforms {
            let (os, architecture) = platform.split_once('/').unwrap_or((platform, "amd64"));
            let config = json!({
                "architecture": architecture,
                "os": os,
                "config": {"Cmd": ["/hello"]},
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
            })
            .to_string()
            .into_bytes();
            let manifest = json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": digest(&config), "size": config.len()},
                "layers": descriptors,
            })
            .to_string()
            .into_bytes();
            let mut entry = json!({
                "mediaType": MANIFEST,
                "digest": digest(&manifest),
                "size": manifest.len(),
            });
            if entries.len() >= unsaid {
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
            last_layer,
        })
    }

    /// An archive, in OCI's layout, from which containerd imports it under this name.
    pub fn archive(&self, name: &str) -> Result<Vec<u8>> {
        let index = &self.manifests[&self.index_digest];
        let outer = json!({
            "schemaVersion": 2,
            "manifests": [{
                "mediaType": index.media_type,
                "digest": self.index_digest,
                "size": index.bytes.len(),
                "annotations": {"io.containerd.image.name": name},
            }],
        });
        let [layout, outer] =
            [json!({"imageLayoutVersion": "1.0.0"}), outer].map(|file| file.to_string());
        let manifests = self
            .manifests()
            .map(|(digest, manifest)| (digest, &manifest.bytes));
        let blobs = manifests
            .chain(self.blobs())
            .map(|(digest, bytes)| (format!("blobs/{}", digest.replace(':', "/")), &**bytes));
        let files: Vec<_> = blobs
            .chain([
                ("oci-layout".to_owned(), layout.as_bytes()),
                ("index.json".to_owned(), outer.as_bytes()),
            ])
            .collect();
        let files: Vec<_> = files
            .iter()
            .map(|(name, bytes)| File {
                name,
                mode: 0o644,
                bytes,
            })
            .collect();
        tar_of(&files)
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

    /// The digest of the layer that its manifests name last.
    pub(crate) fn last_layer(&self) -> &str {
        &self.last_layer
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

/// The same bytes each time (xorshift).
fn incompressible(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn tar_of(files: &[File<'_>]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for File { name, mode, bytes } in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(*mode);
        header.set_mtime(0);
        tar.append_data(&mut header, name, *bytes)?;
    }
    Ok(tar.into_inner()?)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes)?;
    Ok(gzip.finish()?)
}
