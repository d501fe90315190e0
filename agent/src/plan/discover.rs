//! `regprobe discover`: writes a configuration for the registries in use. They come from the pods on standard
//! input, or, if nothing is there, from the directories of containerd's `certs.d`. Asks no registry.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, IsTerminal},
    process::ExitCode,
};

use anyhow::{Context, bail};

pub(crate) use self::pods::ImageInUse;
use super::{OfContainerd, node_at};
use crate::{
    cli::DiscoverArgs,
    config::Server,
    printable::printable,
    process::standard_streams::{print, print_error},
};

mod pods;

/// What people configure next.
const HEAD: &str = "\
# For an Azure Container Registry, add its regions, such as `regions: [westeurope]`, and `private: true` if it is
# behind a private endpoint. Check this file with `regprobe run --config.check --config.file=FILE`.
registries:
";

/// Writes the configuration to standard output.
pub(crate) fn discover(args: &DiscoverArgs) -> anyhow::Result<ExitCode> {
    let mut input = io::stdin().lock();
    let mut is_empty = || {
        anyhow::Ok(
            input
                .fill_buf()
                .context("failed to read standard input")?
                .is_empty(),
        )
    };
    let nothing = io::stdin().is_terminal() || is_empty()?;
    let text = match nothing {
        true => of_node(args)?,
        false => of_pods(pods::images(input)?)?,
    };
    Ok(print(&text))
}

/// A configuration for the registries that containerd has settings for.
fn of_node(args: &DiscoverArgs) -> anyhow::Result<String> {
    let node = node_at(args.node_root.as_deref());
    let OfContainerd { servers, folders } = OfContainerd::read(&node).context(
        "nothing is on standard input; run 'kubectl get pods -A -o json | regprobe discover'",
    )?;
    if servers.is_empty() {
        bail!(
            "nothing is on standard input, and no directory in {folders} is named after a registry; \
             run 'kubectl get pods -A -o json | regprobe discover'"
        );
    }
    let entries = servers.iter().map(|server| entry(server, None));
    Ok(format!("{HEAD}{}", entries.collect::<String>()))
}

/// A configuration for the registries of these images, each given with how many pods use it.
fn of_pods(images: BTreeMap<String, usize>) -> anyhow::Result<String> {
    let mut registries: BTreeMap<String, Registry> = BTreeMap::new();
    for (reference, pods) in images {
        match ImageInUse::parse(&reference) {
            Ok(ImageInUse { server, image }) => {
                let registry = registries.entry(server.to_string());
                let images = &mut registry.or_insert_with(|| Registry::new(server)).images;
                *images.entry(image.to_string()).or_default() += pods;
            }
            Err(problem) => {
                let note = format!("regprobe: left out image {reference}: {problem}");
                print_error(&format!("{}\n", printable(&note)));
            }
        }
    }
    if registries.is_empty() {
        bail!(
            "no pod on standard input has an image; run 'kubectl get pods -A -o json | regprobe discover'"
        );
    }
    let entries = registries.values().map(|Registry { server, images }| {
        // Of images that are used equally often, the first in the alphabet.
        let most_used = images.iter().rev().max_by_key(|(_, pods)| **pods);
        entry(server, most_used.map(|(image, pods)| (&**image, *pods)))
    });
    Ok(format!("{HEAD}{}", entries.collect::<String>()))
}

/// A registry, and how many pods use each of its images.
struct Registry {
    server: Server,
    images: BTreeMap<String, usize>,
}

impl Registry {
    fn new(server: Server) -> Self {
        Self {
            server,
            images: BTreeMap::new(),
        }
    }
}

/// An entry of `registries`. The texts contain no character that YAML or a terminal interprets.
fn entry(server: &Server, image: Option<(&str, usize)>) -> String {
    let image = image.map(|(image, pods)| format!("    images: [\"{image}\"]  # pods: {pods}\n"));
    format!("  - server: \"{server}\"\n{}", image.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, ConfigFile, from_yaml};

    #[test]
    fn the_configuration_is_one_that_the_agent_takes() {
        let images = [
            ("nginx", 3),
            ("docker.io/library/nginx:latest", 2),
            ("redis:7", 4),
            ("contoso.azurecr.io/team/app:v1", 1),
            ("contoso.azurecr.io/team/app:v2", 1),
            ("not an image", 1),
        ];
        let images = images.map(|(image, pods)| (image.to_owned(), pods));
        let text = of_pods(images.into()).unwrap();
        let body = text.strip_prefix(HEAD).unwrap();
        assert_eq!(
            body,
            "  - server: \"contoso.azurecr.io\"\n    images: [\"team/app:v1\"]  # pods: 1\n  \
             - server: \"docker.io\"\n    images: [\"library/nginx:latest\"]  # pods: 5\n"
        );
        let file: ConfigFile = from_yaml(&text).unwrap();
        assert_eq!(Config::try_from(file).unwrap().registries.len(), 2);
    }
}
