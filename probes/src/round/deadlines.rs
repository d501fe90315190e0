//! How long each part of a round may take. Surveys, visits and requests share these deadlines.

use std::time::Duration;

use tokio::time::Instant;

/// How much longer than one stage, or one question to a nameserver, a round without requests may take.
const GRACE: Duration = Duration::from_millis(1500);

/// How many stages long an answer to a request is waited for: by default 30 seconds, as containerd does.
pub const STAGES_OF_AN_ANSWER: u32 = 3;
/// How much longer than that a round with requests may take, for what comes before a request without an answer. By
/// default it ends within 35 seconds.
const GRACE_OF_AN_ANSWER: Duration = Duration::from_secs(3);

/// When each stage has to end: after its limit, and no later than the round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    stage: Duration,
    round: Instant,
}

impl Deadlines {
    /// Of a round that begins at `now`, and may send requests and spend so long on a layer.
    pub(crate) fn start(
        now: Instant,
        stage: Duration,
        question: Duration,
        asks: Option<Duration>,
    ) -> Self {
        let whole = match asks {
            Some(download) => stage * STAGES_OF_AN_ANSWER + GRACE_OF_AN_ANSWER + download,
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

    /// For the answer to a request that is sent at `now`.
    pub(crate) fn answer(&self, now: Instant) -> Instant {
        self.round.min(now + self.stage * STAGES_OF_AN_ANSWER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_waits_as_containerd_does_and_its_round_ends_within_35_seconds() {
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
