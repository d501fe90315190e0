//! Chains that were accepted before. A registry presents the same one round after round, and whether a
//! chain leads to a trusted root changes only with time, so its signatures are checked once. What is
//! refused is not kept: nobody but an authority that the node trusts can fill this.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

use super::chain::Chain;

/// More than any node meets; past it they are worked out anew.
const MAX_KEPT: usize = 128;

/// What is known of chains, each under the digest of all that was presented.
#[derive(Debug, Default)]
pub(super) struct KnownChains(Mutex<HashMap<Key, Arc<Chain>>>);

/// Stands for a chain as presented.
pub(super) type Key = [u8; 32];

impl KnownChains {
    pub(super) fn key<'a>(presented: impl Iterator<Item = &'a CertificateDer<'a>>) -> Key {
        let mut hash = digest::Context::new(&digest::SHA256);
        for certificate in presented {
            hash.update(&certificate.len().to_be_bytes());
            hash.update(certificate);
        }
        let mut key = Key::default();
        key.copy_from_slice(hash.finish().as_ref());
        key
    }

    /// The chain, if it was accepted.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<Chain>> {
        self.open().get(key).cloned()
    }

    /// Whether it was accepted and is within the time of all its certificates.
    pub(super) fn accepts(&self, key: &Key, now: Timestamp) -> bool {
        let within = |chain: &Arc<Chain>| {
            let mut certificates = chain.certificates.iter();
            certificates.all(|one| one.not_before <= now && now <= one.not_after)
        };
        self.open().get(key).is_some_and(within)
    }

    /// Keeps a chain that was accepted, unless some of it cannot be described.
    pub(super) fn keep(&self, key: Key, presented: &[CertificateDer<'_>]) {
        let chain = Chain::describe(presented);
        if chain.certificates.len() < presented.len() {
            return;
        }
        let mut known = self.open();
        if known.len() >= MAX_KEPT {
            known.clear();
        }
        known.insert(key, Arc::new(chain));
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Key, Arc<Chain>>> {
        // A panic elsewhere cannot leave the map half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
