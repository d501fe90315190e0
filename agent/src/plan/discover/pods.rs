//! Reads which images pods use, from what `kubectl get pods -o json` prints.

use std::{
    collections::{BTreeMap, HashSet},
    io::BufRead,
};

use anyhow::Context;
use serde::Deserialize;

use crate::config::{Image, Server};

/// The registry of an image without one, and where that keeps an image without a path.
const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_REGISTRY_ALIAS: &str = "index.docker.io";
const DEFAULT_PATH: &str = "library/";

/// An image with its registry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ImageInUse {
    pub server: Server,
    pub image: Image,
}

impl ImageInUse {
    /// Reads the image of a container as the kubelet does: `nginx` is `docker.io/library/nginx:latest`, and of
    /// a tag and a digest the digest counts.
    ///
    /// Source: `github.com/distribution/reference`, `ParseDockerRef`.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let is_registry = |first: &str| {
            first.contains(['.', ':']) || first == "localhost" || first != first.to_lowercase()
        };
        let (registry, path) = match text.split_once('/') {
            Some((first, path)) if is_registry(first) => (first, path),
            _ => (DEFAULT_REGISTRY, text),
        };
        let registry = match registry {
            DEFAULT_REGISTRY_ALIAS => DEFAULT_REGISTRY,
            registry => registry,
        };
        let path = match registry == DEFAULT_REGISTRY && !path.contains('/') {
            true => format!("{DEFAULT_PATH}{path}"),
            false => path.to_owned(),
        };
        let (tagged, digest) = match path.split_once('@') {
            Some((tagged, digest)) => (tagged, Some(digest)),
            None => (&*path, None),
        };
        // No slash can come after the colon: the registry and its port are gone.
        let (repository, tag) = match tagged.rsplit_once(':') {
            Some((repository, tag)) => (repository, tag),
            None => (tagged, "latest"),
        };
        let image = match digest {
            Some(digest) => format!("{repository}@{digest}"),
            None => format!("{repository}:{tag}"),
        };
        Ok(Self {
            server: registry.parse()?,
            image: image.parse()?,
        })
    }
}

/// The images on `input`, each with how many pods use it.
///
/// # Errors
/// If the input is no list of pods and no pod.
pub(super) fn images(input: impl BufRead) -> anyhow::Result<BTreeMap<String, usize>> {
    let read: Listed = serde_json::from_reader(input).context(
        "standard input is no list of pods; run 'kubectl get pods -A -o json | regprobe discover'",
    )?;
    let mut images = BTreeMap::new();
    for pod in read
        .items
        .into_iter()
        .chain(read.spec.map(|spec| Pod { spec }))
    {
        let containers = pod.spec.containers.into_iter();
        let containers = containers
            .chain(pod.spec.init_containers)
            .chain(pod.spec.ephemeral_containers);
        for image in containers
            .map(|container| container.image)
            .collect::<HashSet<_>>()
        {
            *images.entry(image).or_default() += 1;
        }
    }
    images.remove("");
    Ok(images)
}

/// A list of pods, or a single pod.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    items: Vec<Pod>,
    spec: Option<PodSpec>,
}

#[derive(Deserialize)]
struct Pod {
    spec: PodSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    #[serde(default)]
    containers: Vec<Container>,
    #[serde(default)]
    init_containers: Vec<Container>,
    #[serde(default)]
    ephemeral_containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    image: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_read_as_the_kubelet_reads_them() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (text, server, image) in [
            ("nginx", "docker.io", "library/nginx:latest"),
            ("contoso/app:v1", "docker.io", "contoso/app:v1"),
            ("index.docker.io/nginx:1", "docker.io", "library/nginx:1"),
            (
                "contoso.azurecr.io/team/app:v1",
                "contoso.azurecr.io",
                "team/app:v1",
            ),
            ("localhost/app", "localhost", "app:latest"),
            ("localhost:5000/app:v1", "localhost:5000", "app:v1"),
            (
                &format!("registry.example/app:v1@{digest}"),
                "registry.example",
                &format!("app@{digest}"),
            ),
        ] {
            let read = ImageInUse::parse(text).unwrap();
            assert_eq!(
                (&*read.server.to_string(), &*read.image.to_string()),
                (server, image),
                "{text}"
            );
        }
        for text in [
            "",
            "UPPER",
            "a:b:c",
            "registry.example/",
            "a b",
            "registry.example/app@sha256:0",
        ] {
            assert!(ImageInUse::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pod_counts_once_for_an_image() {
        let pods = r#"{"kind": "List", "items": [
            {"spec": {"containers": [{"image": "a"}, {"image": "a"}], "initContainers": [{"image": "b"}]}},
            {"spec": {"containers": [{"image": "a"}], "ephemeralContainers": [{"name": "none"}]}}]}"#;
        let counted = images(pods.as_bytes()).unwrap();
        assert_eq!(
            counted,
            BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)])
        );

        let pod = r#"{"kind": "Pod", "spec": {"containers": [{"image": "a"}]}}"#;
        assert_eq!(images(pod.as_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_list_of_pods_is_refused() {
        for text in ["pods", "[]", r#"{"items": 1}"#, r#"{"items": []} more"#] {
            assert!(images(text.as_bytes()).is_err(), "{text}");
        }
    }
}
