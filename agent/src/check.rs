//! `regprobe check`: one round over each registry, now, and what it says. The exit status is for
//! scripts: 0 no registry failing, 1 some failing, 2 could not tell.

use std::{io::Write, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use futures_util::future;
use jiff::Timestamp;
use regprobe_probes::{self as probes, Depth};
use tokio::time::{Instant, timeout_at};

use crate::{
    board::{RegistryState, Round, Snapshot},
    cli::{CheckArgs, Output},
    condition::Condition,
    node_name,
    plan::{Plan, PlannedRegistry},
    printable::printable,
    report::{self, Screen},
    status::Status,
};

mod neighbour;
mod npd;
mod registries;

/// The longest that one stage may take for node-problem-detector, unless the command line says
/// otherwise. It gives its plugins 5 s.
const NPD_TIMEOUT: Duration = Duration::from_secs(2);
/// What everything may take beyond the time-out of a stage; what is left is unknown.
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
    let start = Instant::now();
    let registries::Chosen { config, found } = registries::choose(args).await?;
    if let Some(source) = found {
        let names: Vec<_> = config.registries.iter().map(|one| &*one.name).collect();
        let note = format!("registries of {source}: {}", names.join(", "));
        eprintln!("regprobe: {}", printable(&note));
    }
    let plan = Plan::new(&config, &args.nameservers).context("failed to set up TLS")?;
    let node = plan.node.read().context("failed to see the node")?;
    let deadline = match args.output {
        Output::Npd => start.checked_add(config.schedule.timeout.saturating_add(NPD_GRACE)),
        // Rounds end by themselves, a little later if there are many search domains.
        Output::Text | Output::Json => None,
    };
    let rounds = plan.registries.iter().map(|planned| async {
        // Boxed, for a round is large.
        let round = Box::pin(round(planned, &node));
        let state = match deadline {
            Some(deadline) => timeout_at(deadline, round).await.ok(),
            None => Some(round.await),
        };
        Arc::new(state.unwrap_or_else(|| RegistryState::new(planned.clone())))
    });
    Ok(Snapshot::once(future::join_all(rounds).await))
}

async fn round(planned: &Arc<PlannedRegistry>, node: &probes::Node) -> RegistryState {
    let at = Timestamp::now();
    let outcome = probes::run(&planned.target, node, Depth::Image).await;
    RegistryState::after(
        planned.clone(),
        Round::new(planned, at, Depth::Image, outcome),
    )
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
