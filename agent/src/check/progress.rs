//! The progress of a round, for someone who waits for it: a line for each endpoint, and below it each stage
//! that has ended and the one that runs.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use regprobe_probes::{Endpoint, Reason, STAGES_OF_AN_ANSWER, Stage, StageEnd};
use tokio::{
    sync::Notify,
    time::{Instant, interval_at},
};

use super::{checker::Checker, footer::Footer};
use crate::{
    out::{
        describe::Milliseconds,
        screen::{Layout, PLAIN, Screen},
    },
    plan::{Plan, PlannedRegistry},
    state::Snapshot,
};

/// How often the elapsed time is updated.
const TICK: Duration = Duration::from_secs(1);
const DIM: Style = Style::new().dimmed();

/// Runs a round with its progress in the footer.
pub(super) async fn shown(checker: &Checker, footer: &mut Footer) -> anyhow::Result<Snapshot> {
    let progress = Mutex::new(Progress::of(&checker.plan));
    let progress = || progress.lock().unwrap_or_else(PoisonError::into_inner);
    let changed = Notify::new();
    let on_end = |registry, ended: StageEnd<'_>| {
        progress().take(registry, ended);
        changed.notify_one();
    };
    let round = checker.round(&on_end);
    tokio::pin!(round);
    let start = Instant::now();
    let mut ticks = interval_at(start + TICK, TICK);
    let snapshot = loop {
        let text = progress().text(footer.screen(), start.elapsed(), checker.stage_limit);
        footer.draw(&text)?;
        tokio::select! {
            snapshot = &mut round => break snapshot,
            () = changed.notified() => {}
            _ = ticks.tick() => {}
        }
    };
    footer.clear()?;
    snapshot
}

/// The stages that have ended so far.
struct Progress {
    rows: Vec<EndpointRow>,
}

/// One endpoint of the registry with this index in the plan.
struct EndpointRow {
    registry: usize,
    endpoint: Endpoint,
    cells: Vec<StageCell>,
}

/// One stage, over all addresses or nameservers.
struct StageCell {
    stage: Stage,
    took: Duration,
    /// How many succeeded.
    passed: usize,
    failed: Option<Reason>,
}

impl Progress {
    fn of(plan: &Plan) -> Self {
        let mut rows = Vec::new();
        for (registry, planned) in plan.registries.iter().enumerate() {
            rows.extend(endpoints(planned).map(|endpoint| EndpointRow::new(registry, endpoint)));
        }
        Self { rows }
    }

    fn take(&mut self, registry: usize, ended: StageEnd<'_>) {
        let is_it = |row: &EndpointRow| row.registry == registry && row.endpoint == *ended.endpoint;
        let at = self.rows.iter().position(is_it).unwrap_or_else(|| {
            // An endpoint that the round found: it comes last in its registry.
            let after = self.rows.iter().rposition(|row| row.registry <= registry);
            let at = after.map_or(0, |after| after + 1);
            self.rows
                .insert(at, EndpointRow::new(registry, ended.endpoint));
            at
        });
        self.rows[at].take(ended);
    }

    fn text(&self, screen: Screen, elapsed: Duration, stage_limit: Duration) -> String {
        let mut layout = Layout::new(screen);
        for row in &self.rows {
            row.write(&mut layout);
        }
        let text = format!(
            "{} s so far; no stage takes more than {} s",
            elapsed.as_secs(),
            (stage_limit * STAGES_OF_AN_ANSWER).as_secs_f64(),
        );
        layout.line(0, 2).cell(0, DIM, &text);
        layout.into_text()
    }
}

fn endpoints(planned: &PlannedRegistry) -> impl Iterator<Item = &Endpoint> {
    [&planned.target.login]
        .into_iter()
        .chain(&planned.target.data)
}

impl EndpointRow {
    fn new(registry: usize, endpoint: &Endpoint) -> Self {
        Self {
            registry,
            endpoint: endpoint.clone(),
            cells: Vec::new(),
        }
    }

    fn take(&mut self, ended: StageEnd<'_>) {
        let is_it = |cell: &StageCell| cell.stage == ended.stage;
        let at = self.cells.iter().position(is_it).unwrap_or_else(|| {
            self.cells.push(StageCell {
                stage: ended.stage,
                took: Duration::ZERO,
                passed: 0,
                failed: None,
            });
            self.cells.len() - 1
        });
        let cell = &mut self.cells[at];
        cell.took = cell.took.max(ended.took);
        match ended.failed {
            Some(reason) => cell.failed = cell.failed.or(Some(reason)),
            None => cell.passed += 1,
        }
    }

    fn write(&self, layout: &mut Layout) {
        let role = self.endpoint.role.as_str();
        layout
            .line(0, 2)
            .cell(0, PLAIN, &format!("{role} {}", self.endpoint));
        let mut line = layout.line(2, 2);
        for cell in &self.cells {
            let took = Milliseconds(cell.took.as_secs_f64());
            line = line.cell(2, PLAIN, &format!("{} {took}", cell.stage));
            if let Some(reason) = cell.failed {
                line = line.cell(1, AnsiColor::Red.on_default(), reason.as_str());
            }
        }
        if let Some(stage) = self.running() {
            drop(line.cell(2, DIM, &format!("{stage} …")));
        }
    }

    /// The stage that runs now, if that is known.
    fn running(&self) -> Option<Stage> {
        if self.cells.iter().any(|cell| cell.passed == 0) {
            return None;
        }
        let ended = |stage: &Stage| self.cells.iter().any(|cell| cell.stage == *stage);
        self.endpoint.stages().find(|stage| !ended(stage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::story;

    /// The text after these stages, each at the endpoint with this index.
    fn shown(ended: &[(usize, Stage, Option<Reason>)]) -> String {
        let state = story::failing();
        let planned = &state.planned;
        let mut progress = Progress {
            rows: endpoints(planned)
                .map(|endpoint| EndpointRow::new(0, endpoint))
                .collect(),
        };
        let data = &state.round.as_ref().unwrap().outcome.endpoints[1].endpoint;
        let both = [&planned.target.login, data];
        for (endpoint, stage, failed) in ended {
            progress.take(
                0,
                StageEnd {
                    endpoint: both[*endpoint],
                    stage: *stage,
                    took: Duration::from_micros(1250),
                    failed: *failed,
                },
            );
        }
        let screen = Screen {
            width: 60,
            colour: false,
        };
        progress.text(screen, Duration::from_millis(3900), Duration::from_secs(10))
    }

    const FOOT: &str = "3 s so far; no stage takes more than 30 s\n";

    #[test]
    fn the_running_stage_is_shown_until_it_ends() {
        assert_eq!(
            shown(&[]),
            format!("login contoso.azurecr.io:443\n  resolve …\n{FOOT}")
        );
        assert_eq!(
            shown(&[(0, Stage::Resolve, None), (0, Stage::Connect, None)]),
            format!(
                "login contoso.azurecr.io:443\n  \
                 resolve 1.2 ms  connect 1.2 ms  tls …\n{FOOT}"
            )
        );
    }

    #[test]
    fn an_endpoint_found_by_the_round_comes_last() {
        let timeout = Some(Reason::Timeout);
        assert_eq!(
            shown(&[
                (1, Stage::Resolve, None),
                (0, Stage::Resolve, None),
                (0, Stage::Connect, timeout),
                (1, Stage::Connect, None),
                (1, Stage::Connect, timeout),
            ]),
            format!(
                "login contoso.azurecr.io:443\n  \
                 resolve 1.2 ms  connect 1.2 ms timeout\n\
                 data contoso.westeurope.data.azurecr.io:443\n  \
                 resolve 1.2 ms  connect 1.2 ms timeout  tls …\n{FOOT}"
            )
        );
    }
}
