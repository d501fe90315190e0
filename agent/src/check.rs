//! `regprobe check`: one round over each registry, now, and what it says. The exit status is for
//! scripts: 0 no registry failing, 1 some failing, 2 could not tell.

use std::{io::Write, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use futures_util::future;
use jiff::Timestamp;
use regprobe_probes::{self as probes, Depth, Ended};
use tokio::time::{Instant, timeout_at};

use self::foot::Foot;
use crate::{
    cli::{CheckArgs, Output},
    node,
    out::{screen::Screen, status::Status},
    plan::{Plan, PlannedRegistry},
    printable::{printable, printable_json},
    process::{privilege, standard_streams::complain},
    state::{RegistryState, Round, Snapshot, condition::Condition},
};

mod changes;
mod foot;
mod neighbour;
mod npd;
mod progress;
mod registries;
mod report;
mod watch;

/// The longest that one stage may take for node-problem-detector, unless the command line says
/// otherwise. It gives its plugins 5 s.
const NPD_TIMEOUT: Duration = Duration::from_secs(2);
/// What everything may take beyond the time-out of a stage; what is left is unknown.
const NPD_GRACE: Duration = Duration::from_millis(1700);

/// The exit status where nothing was found out.
const COULD_NOT_TELL: u8 = 2;

/// Checks what `args` name.
pub(crate) async fn check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    privilege::give_up_all_but(&[]).context("failed to give up privileges")?;
    match args.watch {
        Some(interval) => watch::watch(&args, interval).await,
        None => once(&args).await,
    }
}

async fn once(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let checked = look(args).await;
    let text = match (args.output, &checked) {
        (Output::Npd, Ok(snapshot)) => npd::line(snapshot),
        (Output::Npd, Err(error)) => npd::no_check(error),
        (Output::Text, Ok(snapshot)) => report::text(snapshot, Screen::of_stdout()),
        (Output::Json, Ok(snapshot)) => {
            let node = node::name();
            let status = Status::of(snapshot, &node);
            let json = serde_json::to_string_pretty(&status).context("failed to write JSON")?;
            printable_json(&json).into_owned() + "\n"
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
    let subject = Subject::choose(args).await?;
    let foot = Foot::of_stdout().filter(|_| args.output == Output::Text);
    match foot {
        Some(mut foot) => progress::shown(&subject, &mut foot).await,
        None => subject.round(&|_, _| {}).await,
    }
}

/// What is checked, as often as need be.
struct Subject {
    plan: Plan,
    stage_limit: Duration,
    /// What is not over by then is unknown.
    deadline: Option<Instant>,
}

impl Subject {
    async fn choose(args: &CheckArgs) -> anyhow::Result<Self> {
        let start = Instant::now();
        let registries::Chosen { config, found } = registries::choose(args).await?;
        if let Some(source) = found {
            let names: Vec<_> = config.registries.iter().map(|one| &*one.name).collect();
            let note = format!("registries of {source}: {}", names.join(", "));
            complain(&format!("regprobe: {}\n", printable(&note)));
        }
        let stage_limit = config.schedule.timeout;
        Ok(Self {
            plan: Plan::new(&config, &args.nameservers).context("failed to set up TLS")?,
            stage_limit,
            deadline: match args.output {
                Output::Npd => start.checked_add(stage_limit.saturating_add(NPD_GRACE)),
                // Rounds end by themselves, a little later if there are many search domains.
                Output::Text | Output::Json => None,
            },
        })
    }

    /// One round over each registry; `listener` is told of stages that end, and of which registry, by
    /// its place in the plan.
    async fn round(
        &self,
        listener: &(dyn Fn(usize, Ended<'_>) + Sync),
    ) -> anyhow::Result<Snapshot> {
        let node = self.plan.node.read().context("failed to see the node")?;
        let registries = self.plan.registries.iter().enumerate();
        let rounds = registries.map(|(place, planned)| {
            let (node, tls) = (&node, self.plan.node.tls());
            async move {
                let tell = |ended: Ended<'_>| listener(place, ended);
                // Boxed, for a round is large.
                let round = Box::pin(round(planned, node, tls, &tell));
                let state = match self.deadline {
                    Some(deadline) => timeout_at(deadline, round).await.ok(),
                    None => Some(round.await),
                };
                Arc::new(state.unwrap_or_else(|| RegistryState::new(planned.clone())))
            }
        });
        Ok(Snapshot {
            node: Some(self.plan.node.clone()),
            ..Snapshot::once(future::join_all(rounds).await)
        })
    }
}

async fn round(
    planned: &Arc<PlannedRegistry>,
    node: &probes::Node,
    tls: &probes::TlsClients,
    listener: probes::Listener<'_>,
) -> RegistryState {
    let at = Timestamp::now();
    let outcome = probes::run_telling(&planned.target, node, tls, Depth::Image, listener).await;
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
        Some(Condition::Unknown) => COULD_NOT_TELL,
        Some(Condition::Ok | Condition::Degraded) | None => 0,
    })
}
