//! How long each part of a round may take. Surveys, visits and requests share these deadlines.

use std::time::Duration;

use tokio::time::Instant;

/// How much longer than one stage a round may take.
const GRACE: Duration = Duration::from_millis(1500);

/// When each stage has to end: after its limit, and no later than the round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    stage: Duration,
    round: Instant,
}

impl Deadlines {
    pub(crate) fn start(stage: Duration) -> Self {
        Self {
            stage,
            round: Instant::now() + stage + GRACE,
        }
    }

    /// The time left for a question with this limit that is asked now.
    pub(crate) fn left(&self, limit: Duration) -> Duration {
        limit.min(self.round.saturating_duration_since(Instant::now()))
    }

    /// The deadline of a stage that begins now.
    pub(crate) fn next(&self) -> Instant {
        self.round.min(Instant::now() + self.stage)
    }
}
