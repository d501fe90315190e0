//! How long each part of a round may take. Surveys, visits and requests share these deadlines.

use std::time::Duration;

use tokio::time::Instant;

/// How much longer than one stage a round may take.
const GRACE: Duration = Duration::from_millis(1500);

/// How many stages long a walk waits for an answer: by default for 30 seconds, as containerd does.
const STAGES_OF_AN_ANSWER: u32 = 3;
/// How much longer than that the round of a walk may take, for what comes before a request without an answer. By
/// default it ends within 35 seconds.
const GRACE_OF_A_WALK: Duration = Duration::from_secs(3);

/// When each stage has to end: after the limit of a stage, or of a question to a nameserver, and no later than the round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    stage: Duration,
    round: Instant,
}

impl Deadlines {
    /// Of a round that begins at `now`, and may walk to images and spend so long on a layer.
    pub(crate) fn start(
        now: Instant,
        stage: Duration,
        question: Duration,
        walks: Option<Duration>,
    ) -> Self {
        let whole = match walks {
            Some(download) => stage * STAGES_OF_AN_ANSWER + GRACE_OF_A_WALK + download,
            None => stage.max(question) + GRACE,
        };
        Self {
            stage,
            round: now + whole,
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

    /// For the answer to a walk that asks at `now`.
    pub(crate) fn answer(&self, now: Instant) -> Instant {
        self.round.min(now + self.stage * STAGES_OF_AN_ANSWER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_waits_as_containerd_does_and_its_round_ends_within_35_seconds() {
        let begun = Instant::now();
        let (stage, question) = (Duration::from_secs(10), Duration::from_secs(5));
        let deadlines = Deadlines::start(begun, stage, question, Some(Duration::ZERO));
        for (asked, until, in_full) in [(0, 30, true), (2, 32, true), (12, 33, false)] {
            let limit = deadlines.answer(begun + Duration::from_secs(asked));
            assert_eq!(limit, begun + Duration::from_secs(until), "{asked}");
            assert_eq!(deadlines.is_cut_short(limit), !in_full, "{asked}");
        }
    }
}
