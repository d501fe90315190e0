//! Which registries to check, and with which settings: those on the command line, those of a
//! configuration, or, if neither names any, those that this node is known to use.

use std::path::Path;

use anyhow::{Context, bail};
use wildmatch::WildMatch;

use super::{azure_json, local_agent, npd};
use crate::{
    cli::{CheckArgs, DEFAULT_CONFIG, Output, PrivateArg, parse_server},
    config::{
        self, Config, ConfigFile, CredentialsConfig, IdentityConfig, NodeConfig, Private, Problem,
        RegistryConfig, RegistryFile, Server, Violation,
    },
    plan::{self, OfContainerd},
};

/// What to check.
pub(super) struct Selection {
    /// Registries and settings.
    pub config: Config,
    /// Where the registries were found, if they were not named.
    pub found: Option<String>,
}

/// Selects them. Asks the agent on this node if necessary, and no registry.
pub(super) async fn select(args: &CheckArgs) -> anyhow::Result<Selection> {
    let mut selection = match (args.registries.as_slice(), &args.config_file) {
        ([], Some(file)) => Selection {
            config: configured(args, file)?,
            found: None,
        },
        ([], None) => find(args).await?,
        (_, Some(file)) => Selection {
            config: named(args, Some(config::load(file)?))?,
            found: None,
        },
        (_, None) => Selection {
            config: named(args, of_this_pod(args)?)?,
            found: None,
        },
    };
    let config = &mut selection.config;
    if let Some(root) = &args.node_root {
        config.node.root.clone_from(root);
    }
    if let Some(ca_file) = &args.ca_file {
        config.tls.ca_file = Some(ca_file.clone());
    }
    match (args.timeout, args.output) {
        (Some(timeout), _) => config.schedule.timeout = timeout,
        (None, Output::Npd) => {
            config.schedule.timeout = config.schedule.timeout.min(npd::STAGE_TIMEOUT);
        }
        (None, Output::Text | Output::Json) => {}
    }
    if let Some(glob) = &args.only {
        retain(&mut config.registries, glob)?;
    }
    Ok(selection)
}

/// All registries of a configuration.
fn configured(args: &CheckArgs, file: &Path) -> anyhow::Result<Config> {
    let config = config::load(file)?;
    refuse_settings(args, "of a configuration")?;
    Ok(config)
}

/// The configuration of the agent's pod, if this is one: there it says where the node's files are mounted.
/// Its registries count unless flags set something else.
fn of_this_pod(args: &CheckArgs) -> anyhow::Result<Option<Config>> {
    let file = Path::new(DEFAULT_CONFIG);
    if !file.exists() {
        return Ok(None);
    }
    let mut config = config::load(file)?;
    if setting(args).is_some() {
        config.registries.clear();
    }
    Ok(Some(config))
}

/// The registries on the command line: as in `known` if it has them, else with the settings of the flags.
fn named(args: &CheckArgs, known: Option<Config>) -> anyhow::Result<Config> {
    let mut configured = Vec::new();
    let mut file = without_configuration(args);
    let node = known.as_ref().map_or(&file.node, |known| &known.node);
    let identity = identity(args, node)?;
    for name in &args.registries {
        let by_name = |registry: &&RegistryConfig| registry.name == *name;
        let registries = known.iter().flat_map(|known| &known.registries);
        if let Some(registry) = registries.clone().find(by_name) {
            configured.push(registry.clone());
            continue;
        }
        let server = parse_server(name).map_err(|error| anyhow::anyhow!(error))?;
        match registries
            .clone()
            .find(|registry| registry.server == server)
        {
            Some(registry) => configured.push(registry.clone()),
            None => {
                let registry = by_flags(args, identity.clone(), server);
                file.registries.push(registry);
            }
        }
    }
    let typed = match file.registries.is_empty() {
        true => {
            refuse_settings(args, "of a configuration")?;
            Vec::new()
        }
        false => checked(file.clone())?.registries,
    };
    let mut config = match known {
        Some(known) => known,
        None => checked(file)?,
    };
    config.registries = configured.into_iter().chain(typed).collect();
    Ok(config)
}

/// The registries that this node is known to use, from the first source that knows any.
async fn find(args: &CheckArgs) -> anyhow::Result<Selection> {
    let file = Path::new(DEFAULT_CONFIG);
    if file.exists() {
        return Ok(Selection {
            config: configured(args, file)?,
            found: Some(DEFAULT_CONFIG.to_owned()),
        });
    }
    let mut file = without_configuration(args);
    let watched = local_agent::registries().await;
    let (registries, source) = match watched.filter(|(_, watched)| !watched.is_empty()) {
        None => {
            let OfContainerd { servers, folders } = OfContainerd::read(&file.node)
                .context("name the registry, as in 'regprobe check myregistry'")?;
            if servers.is_empty() {
                bail!(
                    "no registry is named, and none was found on this node: {DEFAULT_CONFIG} does not exist, \
                     no agent answers on port 9118, and no directory in {folders} is named after a registry; \
                     name one, as in 'regprobe check myregistry' or 'regprobe check \
                     registry.example:5000', or a configuration with --config.file=FILE"
                );
            }
            let identity = identity(args, &file.node)?;
            let registries = servers.into_iter().map(|server| {
                // Those of others are not meant.
                let identity = identity.clone().filter(|_| server.acr().is_some());
                by_flags(args, identity, server)
            });
            (registries.collect(), folders)
        }
        Some((address, watched)) => {
            refuse_settings(args, &format!("of the agent at {address}"))?;
            (watched, format!("the agent at {address}"))
        }
    };
    file.registries = registries;
    Ok(Selection {
        config: checked(file)?,
        found: Some(source),
    })
}

/// No registries, and the node's files where this process sees them.
fn without_configuration(args: &CheckArgs) -> ConfigFile {
    ConfigFile {
        node: plan::node_at(args.node_root.as_deref()),
        ..ConfigFile::default()
    }
}

/// A registry with the settings of the command line.
fn by_flags(
    args: &CheckArgs,
    managed_identity: Option<IdentityConfig>,
    server: Server,
) -> RegistryFile {
    RegistryFile {
        regions: args.regions.clone(),
        private: private(args.private.as_deref()),
        images: args.images.clone(),
        credentials: CredentialsConfig {
            docker_config: args.credentials.docker_config.clone(),
            managed_identity,
        },
        ..RegistryFile::from(server)
    }
}

/// The node's managed identity, if a flag asks for it.
fn identity(args: &CheckArgs, node: &NodeConfig) -> anyhow::Result<Option<IdentityConfig>> {
    let named = args.credentials.managed_identity.clone();
    let root = args.node_root.as_ref().unwrap_or(&node.root);
    match (named, args.credentials.azure_json) {
        (Some(client_id), _) => Ok(Some(IdentityConfig { client_id })),
        (None, true) => azure_json::identity(root).map(Some),
        (None, false) => Ok(None),
    }
}

/// Refuses flags that would have no effect because every registry has its settings already.
fn refuse_settings(args: &CheckArgs, whose: &str) -> anyhow::Result<()> {
    match setting(args) {
        Some(flag) => bail!(
            "{flag} is only for registries named on the command line; those {whose} have their \
             settings there: change them there, or name a registry and no configuration"
        ),
        None => Ok(()),
    }
}

/// The first flag that sets something for a registry.
fn setting(args: &CheckArgs) -> Option<&'static str> {
    let flags = [
        ("--private", args.private.is_some()),
        ("--region", !args.regions.is_empty()),
        ("--image", !args.images.is_empty()),
        ("--docker-config", args.credentials.docker_config.is_some()),
        (
            "--managed-identity",
            args.credentials.managed_identity.is_some(),
        ),
        ("--azure-json", args.credentials.azure_json),
    ];
    let mut given = flags.into_iter().filter(|(_, given)| *given);
    given.next().map(|(flag, _)| flag)
}

/// The error has no key path, because the user typed no configuration.
fn checked(file: ConfigFile) -> anyhow::Result<Config> {
    Config::try_from(file).map_err(|Violation { problem, .. }| match problem {
        Problem::RegionsOutsideAzure(server) => anyhow::anyhow!(
            "--region is only for Azure Container Registries, and {server} is none; list its data \
             hosts in a configuration, under data_endpoints"
        ),
        Problem::CredentialsWithoutImage => {
            anyhow::anyhow!("credentials are offered for images alone; name one with --image")
        }
        Problem::IdentityOutsideAzure(server) => anyhow::anyhow!(
            "--managed-identity and --azure-json are only for Azure Container Registries, and {server} is none"
        ),
        problem => anyhow::anyhow!(problem),
    })
}

fn private(ranges: Option<&[PrivateArg]>) -> Private {
    let Some(ranges) = ranges else {
        return Private::No;
    };
    let ranges: Vec<_> = ranges
        .iter()
        .filter_map(|range| match range {
            PrivateArg::Range(range) => Some(*range),
            PrivateArg::AnyPrivate => None,
        })
        .collect();
    if ranges.is_empty() {
        Private::Yes
    } else {
        Private::Within(ranges)
    }
}

fn retain(registries: &mut Vec<RegistryConfig>, glob: &str) -> anyhow::Result<()> {
    let known: Vec<_> = registries.iter().map(|one| one.name.clone()).collect();
    let pattern = WildMatch::new(glob);
    registries.retain(|registry| {
        pattern.matches(&registry.name) || pattern.matches(&registry.server.to_string())
    });
    if registries.is_empty() {
        bail!(
            "no registry matches --only={glob}; there are: {}",
            known.join(", ")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, text, fits) in [
            ("contoso", "contoso", true),
            ("con*", "contoso", true),
            ("*.azurecr.io", "contoso.azurecr.io", true),
            ("c?ntoso", "contoso", true),
            ("*", "", true),
            ("?", "", false),
            ("con", "contoso", false),
            ("*x*", "contoso", false),
        ] {
            assert_eq!(WildMatch::new(glob).matches(text), fits, "{glob} {text}");
        }
    }
}
