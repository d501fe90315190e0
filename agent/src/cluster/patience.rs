//! How long to wait for agents that say nothing. From a laptop, all answers may be slow; so the others show what an
//! agent needs, and one that takes much longer than any of them does not hold up the view.

use std::{cell::Cell, pin::pin, time::Duration};

use tokio::time::{Instant, timeout};

/// While nobody has answered, and the most.
const MOST: Duration = Duration::from_secs(5);
const LEAST: Duration = Duration::from_secs(1);
/// Of the slowest answer.
const TIMES: u32 = 3;
/// Between two looks at what the others need.
const PACE: Duration = Duration::from_millis(50);

/// What those that answered needed.
#[derive(Default)]
pub(super) struct Patience {
    slowest: Cell<Option<Duration>>,
}

impl Patience {
    /// What `work` comes to, or an error if that takes much longer than it took the others.
    pub(super) async fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let begun = Instant::now();
        let mut work = pin!(work);
        loop {
            if let Ok(answer) = timeout(PACE, &mut work).await {
                if answer.is_ok() {
                    self.slowest
                        .set(self.slowest.get().max(Some(begun.elapsed())));
                }
                return answer;
            }
            let limit = self.limit();
            if begun.elapsed() >= limit {
                return Err(format!("nothing within {:.1} s", limit.as_secs_f64()));
            }
        }
    }

    fn limit(&self) -> Duration {
        let slowest = self.slowest.get();
        slowest.map_or(MOST, |slowest| (slowest * TIMES).clamp(LEAST, MOST))
    }
}

#[cfg(test)]
mod tests {
    use std::future;

    use tokio::time::sleep;

    use super::*;

    /// Answers after this many milliseconds, and when each agent's answer or error came.
    async fn ended(answers: &[Option<u64>]) -> Vec<(bool, u64)> {
        let patience = Patience::default();
        let begun = Instant::now();
        let asked = answers.iter().map(|answer| async {
            let work = async {
                match answer {
                    Some(after) => sleep(Duration::from_millis(*after)).await,
                    None => future::pending().await,
                }
                Ok(())
            };
            let is_answer = patience.wait(work).await.is_ok();
            (is_answer, begun.elapsed().as_millis() as u64)
        });
        futures_util::future::join_all(asked).await
    }

    #[tokio::test(start_paused = true)]
    async fn others_show_how_long_an_agent_may_take() {
        let none = ended(&[None, None]).await;
        assert_eq!(none, [(false, 5000); 2]);
        let near = ended(&[Some(20), None, Some(30)]).await;
        assert_eq!(near, [(true, 20), (false, 1000), (true, 30)]);
        let far = ended(&[Some(700), Some(1900), None]).await;
        assert_eq!(far, [(true, 700), (true, 1900), (false, 5000)]);
        let slow = ended(&[Some(4900), Some(5100)]).await;
        assert_eq!(slow, [(true, 4900), (false, 5000)]);
    }
}
