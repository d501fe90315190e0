//! Rate limits: a burst, then one per interval (a token bucket), for all clients or for each peer.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How many buckets peers share. An attacker cannot choose the peers that it shares one with.
const BUCKETS: usize = 1024;

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

/// A bucket for each peer, in a table that does not grow.
pub(super) struct PeerLimit {
    hasher: RandomState,
    buckets: Vec<RateLimit>,
}

impl PeerLimit {
    /// Starts with full buckets.
    pub(super) fn new(interval: Duration, burst: u32) -> Self {
        let buckets = (0..BUCKETS).map(|_| RateLimit::new(interval, burst));
        Self {
            hasher: RandomState::new(),
            buckets: buckets.collect(),
        }
    }

    /// Whether this peer may do it once more. If so, it takes a token.
    pub(super) fn allows(&self, peer: IpAddr) -> bool {
        let hash = self.hasher.hash_one(host(peer));
        self.buckets[hash as usize % BUCKETS].allows()
    }
}

/// What counts as one peer: an IPv4 address, or the network that a host with IPv6 chooses its addresses from.
pub(super) fn host(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
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
    #[test]
    fn a_peer_is_an_address_or_a_network() {
        for (peer, expected) in [
            ("10.240.0.4", "10.240.0.4"),
            ("::ffff:10.240.0.4", "10.240.0.4"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            let expected: IpAddr = expected.parse().unwrap();
            assert_eq!(host(peer.parse().unwrap()), expected, "{peer}");
        }
    }
}
