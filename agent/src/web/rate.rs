//! A rate limit for requests: a burst, then one per interval (a token bucket).

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// One bucket for all clients.
pub(super) struct RateLimit {
    interval: Duration,
    burst: u32,
    /// When the bucket is full again.
    full_at: Mutex<Instant>,
}

impl RateLimit {
    /// Starts with a full bucket.
    pub(super) fn new(interval: Duration, burst: u32) -> Self {
        Self {
            interval,
            burst,
            full_at: Mutex::new(Instant::now()),
        }
    }

    /// Whether a request may be answered now. If so, it takes a token.
    pub(super) fn allows(&self) -> bool {
        let now = Instant::now();
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*full_at).max(now) + self.interval;
        let allowed = next <= now + self.interval * self.burst;
        if allowed {
            *full_at = next;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_one_per_interval() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let limit = RateLimit::new(Duration::from_secs(1), 3);
            let passed = |limit: &RateLimit| (0..10).filter(|_| limit.allows()).count();
            assert_eq!(passed(&limit), 3);
            tokio::time::advance(Duration::from_secs(2)).await;
            assert_eq!(passed(&limit), 2);
            tokio::time::advance(Duration::from_secs(60)).await;
            assert_eq!(passed(&limit), 3);
        });
    }
}
