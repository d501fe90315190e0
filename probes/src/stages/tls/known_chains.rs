//! Chains that were accepted before. A registry presents the same chain round after round, and whether
//! it leads to a trusted root changes only with time, so its signatures are checked once. Refused
//! chains are not kept, so only an authority that the node trusts can fill this.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

use super::chain::Chain;

/// More than any node meets; beyond that, chains are checked again.
const MAX_KEPT: usize = 128;

/// Known chains by the digest of everything that was presented.
#[derive(Debug, Default)]
pub(super) struct KnownChains(Mutex<HashMap<Key, Arc<Chain>>>);

/// The digest of a chain as presented.
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

    /// The chain, if it was accepted before.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<Chain>> {
        self.open().get(key).cloned()
    }

    /// Whether it was accepted before, and all its certificates are valid at `now`.
    pub(super) fn accepts(&self, key: &Key, now: Timestamp) -> bool {
        let within = |chain: &Arc<Chain>| {
            let mut certificates = chain.certificates.iter();
            certificates.all(|one| one.not_before <= now && now <= one.not_after)
        };
        self.open().get(key).is_some_and(within)
    }

    /// Keeps what of an accepted chain leads to a root, unless part of it cannot be described.
    pub(super) fn keep(&self, key: Key, used: &[CertificateDer<'_>]) {
        let chain = Chain::describe(used);
        if chain.certificates.len() < used.len() {
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
