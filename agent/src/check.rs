//! `regprobe check`: one round over each registry, now, and what it says. The exit status is for
//! scripts: 0 no registry failing, 1 some failing, 2 could not tell.

use std::{io::Write, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use futures_util::future;
use jiff::Timestamp;
use regprobe_probes::{self as probes, Depth};
use tokio::time::timeout;

use crate::{
    board::{RegistryState, Round, Snapshot},
    cli::{CheckArgs, Output, PrivateArg, parse_server},
    condition::Condition,
    config::{Config, ConfigFile, Private, Registry, RegistryFile},
    node_name,
    plan::{Plan, PlannedRegistry},
    report::{self, Screen},
    run,
    status::Status,
};

mod npd;

/// The longest that one stage may take for node-problem-detector, unless the command line says
/// otherwise. It gives its plugins 5 s.
const NPD_TIMEOUT: Duration = Duration::from_secs(2);
/// What a round may take beyond the time-out of a stage; the rest is unknown.
const NPD_GRACE: Duration = Duration::from_millis(1700);

/// Checks what `args` name.
pub(crate) async fn check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let checked = look(&args).await;
    let text = match (args.output, &checked) {
        (Output::Npd, Ok(snapshot)) => npd::line(snapshot),
        (Output::Npd, Err(error)) => npd::no_check(error),
        (Output::Text, Ok(snapshot)) => report::text(snapshot, Screen::of_stdout()),
        (Output::Json, Ok(snapshot)) => {
            let status = Status::of(snapshot, &node_name());
            serde_json::to_string_pretty(&status).context("failed to write JSON")? + "\n"
        }
        (_, Err(_)) => String::new(),
    };
    // A reader that has seen enough, as `head`, does not change what the check found.
    if let Err(error) = std::io::stdout().write_all(text.as_bytes())
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        anyhow::bail!("failed to write the report: {error}");
    }
    Ok(exit_code(&checked?))
}

async fn look(args: &CheckArgs) -> anyhow::Result<Snapshot> {
    let config = config(args)?;
    let plan = Plan::new(&config, &args.nameservers).context("failed to set up TLS")?;
    let node = plan.node.read().context("failed to see the node")?;
    let patience = match args.output {
        Output::Npd => config.schedule.timeout.saturating_add(NPD_GRACE),
        // Rounds end by themselves, a little later if there are many search domains.
        Output::Text | Output::Json => Duration::MAX,
    };
    let rounds = plan.registries.iter().map(|planned| async {
        // Boxed, for a round is large.
        let round = Box::pin(round(planned, &node));
        let unknown = || RegistryState::new(planned.clone());
        Arc::new(timeout(patience, round).await.unwrap_or_else(|_| unknown()))
    });
    Ok(Snapshot {
        registries: future::join_all(rounds).await,
    })
}

async fn round(planned: &Arc<PlannedRegistry>, node: &probes::Node) -> RegistryState {
    let at = Timestamp::now();
    let outcome = probes::run(&planned.target, node, Depth::Image).await;
    RegistryState::after(planned.clone(), Round::new(planned, at, outcome))
}

fn config(args: &CheckArgs) -> anyhow::Result<Config> {
    let known = args.config_file.as_deref().map(run::load).transpose()?;
    let mut config = match known {
        Some(known) if args.registries.is_empty() => known,
        known => named(args, known)?,
    };
    if let Some(ca_file) = &args.ca_file {
        config.tls.ca_file = Some(ca_file.clone());
    }
    match (args.timeout, args.output) {
        (Some(timeout), _) => config.schedule.timeout = timeout,
        (None, Output::Npd) => {
            config.schedule.timeout = config.schedule.timeout.min(NPD_TIMEOUT);
        }
        (None, Output::Text | Output::Json) => {}
    }
    if let Some(glob) = &args.only {
        config.registries.retain(|registry| {
            matches(glob, &registry.name) || matches(glob, &registry.server.to_string())
        });
        if config.registries.is_empty() {
            bail!("no registry matches --only={glob}");
        }
    }
    Ok(config)
}

/// The registries on the command line: as configured where `known` has them, else by the flags.
fn named(args: &CheckArgs, known: Option<Config>) -> anyhow::Result<Config> {
    let mut configured = Vec::new();
    let mut file = ConfigFile::default();
    for name in &args.registries {
        let by_name = |registry: &&Registry| registry.name == *name;
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
            None => file.registries.push(RegistryFile {
                regions: args.regions.clone(),
                private: private(args.private.as_deref()),
                images: args.images.clone(),
                ..RegistryFile::from(server)
            }),
        }
    }
    let typed = match file.registries.is_empty() {
        true => Vec::new(),
        false => Config::try_from(file.clone())?.registries,
    };
    let mut config = match known {
        Some(known) => known,
        None => Config::try_from(file)?,
    };
    config.registries = configured.into_iter().chain(typed).collect();
    Ok(config)
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

/// Whether `text` fits a glob of `*` and `?`.
fn matches(glob: &str, text: &str) -> bool {
    let Some(first) = glob.chars().next() else {
        return text.is_empty();
    };
    let rest_of_glob = &glob[first.len_utf8()..];
    let mut letters = text.chars();
    match first {
        '*' => (0..=text.len())
            .filter(|at| text.is_char_boundary(*at))
            .any(|at| matches(rest_of_glob, &text[at..])),
        '?' => letters.next().is_some() && matches(rest_of_glob, letters.as_str()),
        letter => letters.next() == Some(letter) && matches(rest_of_glob, letters.as_str()),
    }
}

fn exit_code(snapshot: &Snapshot) -> ExitCode {
    let registries = snapshot.registries.iter();
    let worst = registries.map(|state| Condition::of(state)).max();
    ExitCode::from(match worst {
        Some(Condition::Failing) => 1,
        Some(Condition::Unknown) => 2,
        Some(Condition::Ok | Condition::Degraded) | None => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::matches;

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
            assert_eq!(matches(glob, text), fits, "{glob} {text}");
        }
    }
}
