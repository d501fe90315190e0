//! Runs one round over each registry of a check.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use futures_util::future;
use jiff::Timestamp;
use regprobe_probes::{self as probes, Depth, HeldCredential, StageEnd};
use tokio::time::{Instant, timeout_at};

use super::{
    npd,
    registries::{self, Selection},
};
use crate::{
    cli::{CheckArgs, Output},
    plan::{Plan, PlannedRegistry},
    printable::printable,
    process::standard_streams::print_error,
    state::{RegistryState, Round, Snapshot},
};

/// Checks the same registries each time.
pub(super) struct Checker {
    /// What is checked.
    pub(super) plan: Plan,
    /// The longest that one stage may take.
    pub(super) stage_limit: Duration,
    /// A registry whose round is not over by then is unknown.
    deadline: Option<Instant>,
    /// What earlier rounds got for the node's identity, for each registry of the plan.
    held: Vec<Mutex<HeldCredential>>,
}

impl Checker {
    /// For the registries that `args` select.
    pub(super) async fn new(args: &CheckArgs) -> anyhow::Result<Self> {
        let start = Instant::now();
        let Selection { config, found } = registries::select(args).await?;
        if let Some(source) = found {
            let names: Vec<_> = config.registries.iter().map(|one| &*one.name).collect();
            let note = format!("registries of {source}: {}", names.join(", "));
            print_error(&format!("regprobe: {}\n", printable(&note)));
        }
        let stage_limit = config.schedule.timeout;
        let plan = Plan::new(&config, &args.nameservers).context("failed to set up TLS")?;
        Ok(Self {
            held: plan.registries.iter().map(|_| Mutex::default()).collect(),
            plan,
            stage_limit,
            deadline: match args.output {
                Output::Npd => start.checked_add(stage_limit.saturating_add(npd::GRACE)),
                // Each stage of a round has a deadline.
                Output::Text | Output::Json => None,
            },
        })
    }

    /// One round over each registry. Calls `on_end` for each stage that ends, with the registry's index in
    /// the plan.
    pub(super) async fn round(
        &self,
        on_end: &(dyn Fn(usize, StageEnd<'_>) + Sync),
    ) -> anyhow::Result<Snapshot> {
        let node = self.plan.node.read().context("failed to see the node")?;
        let registries = self.plan.registries.iter().enumerate();
        let rounds = registries.zip(&self.held).map(|((index, planned), held)| {
            let (node, tls) = (&node, self.plan.node.tls());
            async move {
                let on_end = |ended: StageEnd<'_>| on_end(index, ended);
                // Boxed because a round is large.
                let round = Box::pin(round(planned, node, tls, held, &on_end));
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
    held: &Mutex<HeldCredential>,
    on_end: probes::OnStageEnd<'_>,
) -> RegistryState {
    let at = Timestamp::now();
    let mut purse = std::mem::take(&mut *unlock(held));
    let target = &planned.target;
    let outcome = probes::run_holding(target, node, tls, Depth::Image, &mut purse, on_end).await;
    *unlock(held) = purse;
    RegistryState::after(
        planned.clone(),
        Round::new(planned, at, Depth::Image, outcome),
    )
}

fn unlock(held: &Mutex<HeldCredential>) -> MutexGuard<'_, HeldCredential> {
    // Nothing can panic between a lock and its release.
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
