//! A round while it runs, for a person who waits for it: a line for each endpoint, and below it each
//! stage as it ends, and the one that is awaited.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use regprobe_probes::{Ended, Endpoint, Reason, Stage};
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

/// How often the time that has passed is told.
const TICK: Duration = Duration::from_secs(1);
const DIM: Style = Style::new().dimmed();

/// A round over what `checker` checks, with its progress at the foot of the terminal.
pub(super) async fn shown(checker: &Checker, footer: &mut Footer) -> anyhow::Result<Snapshot> {
    let progress = Mutex::new(Progress::of(&checker.plan));
    let progress = || progress.lock().unwrap_or_else(PoisonError::into_inner);
    let news = Notify::new();
    let on_end = |place, ended: Ended<'_>| {
        progress().take(place, ended);
        news.notify_one();
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
            () = news.notified() => {}
            _ = ticks.tick() => {}
        }
    };
    footer.clear()?;
    snapshot
}

/// What has ended so far.
struct Progress {
    rows: Vec<EndpointRow>,
}

/// One endpoint of the registry at this place in the plan.
struct EndpointRow {
    place: usize,
    endpoint: Endpoint,
    cells: Vec<StageCell>,
}

/// One stage, at whichever address or nameserver.
struct StageCell {
    stage: Stage,
    took: Duration,
    /// At how many it did not fail.
    passed: usize,
    failed: Option<Reason>,
}

impl Progress {
    fn of(plan: &Plan) -> Self {
        let mut rows = Vec::new();
        for (place, planned) in plan.registries.iter().enumerate() {
            rows.extend(endpoints(planned).map(|endpoint| EndpointRow::new(place, endpoint)));
        }
        Self { rows }
    }

    fn take(&mut self, place: usize, ended: Ended<'_>) {
        let is_it = |row: &EndpointRow| row.place == place && row.endpoint == *ended.endpoint;
        let at = self.rows.iter().position(is_it).unwrap_or_else(|| {
            // Met on the way: it comes last of its registry.
            let after = self.rows.iter().rposition(|row| row.place <= place);
            let at = after.map_or(0, |after| after + 1);
            self.rows
                .insert(at, EndpointRow::new(place, ended.endpoint));
            at
        });
        self.rows[at].take(ended);
    }

    fn text(&self, screen: Screen, passed: Duration, stage_limit: Duration) -> String {
        let mut layout = Layout::new(screen);
        for row in &self.rows {
            row.write(&mut layout);
        }
        let text = format!(
            "{} s so far; no stage takes more than {} s",
            passed.as_secs(),
            stage_limit.as_secs_f64(),
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
    fn new(place: usize, endpoint: &Endpoint) -> Self {
        Self {
            place,
            endpoint: endpoint.clone(),
            cells: Vec::new(),
        }
    }

    fn take(&mut self, ended: Ended<'_>) {
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
        if let Some(stage) = self.awaited() {
            drop(line.cell(2, DIM, &format!("{stage} …")));
        }
    }

    /// The next stage that will end, as far as one can tell.
    fn awaited(&self) -> Option<Stage> {
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

    /// What it shows after these stages, at each endpoint by its place.
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
                Ended {
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

    const FOOT: &str = "3 s so far; no stage takes more than 10 s\n";

    #[test]
    fn what_is_awaited_is_told_until_it_ends() {
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
    fn an_endpoint_that_is_met_on_the_way_comes_last() {
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
