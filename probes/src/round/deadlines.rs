//! How long each part of a round may take. Surveys, visits and requests share these deadlines.

use std::time::Duration;

use tokio::time::Instant;

/// How much longer than one stage a round may take.
const GRACE: Duration = Duration::from_millis(1500);

/// Requests of a walk come one after another, and each may be slow.
const STAGES_OF_A_WALK: u32 = 3;

/// When each stage has to end: after the limit of a stage, and no later than the round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    stage: Duration,
    round: Instant,
}

impl Deadlines {
    /// A round that walks `images` has the time of three stages.
    pub(crate) fn start(stage: Duration, walks: bool) -> Self {
        let stages = if walks { STAGES_OF_A_WALK } else { 1 };
        Self {
            stage,
            round: Instant::now() + stage * stages + GRACE,
        }
    }

    /// The time left for a question with this limit that is asked now.
    pub(crate) fn left(&self, limit: Duration) -> Duration {
        limit.min(self.round.saturating_duration_since(Instant::now()))
    }

    /// Whether a stage that began just now, and ends at `limit`, has less than its time.
    pub(crate) fn is_cut_short(&self, limit: Instant) -> bool {
        limit == self.round
    }

    /// For a stage that begins now.
    pub(crate) fn next(&self) -> Instant {
        self.round.min(Instant::now() + self.stage)
    }
}
