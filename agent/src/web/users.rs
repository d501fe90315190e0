//! Users and the bcrypt hashes of their passwords, for Basic authentication. A hash is slow to compute, by
//! design. So it is computed on another thread, one at a time, and results are remembered. Each peer may
//! have only so many hashes computed. If all hashes have the same cost, the time that a refusal takes does not
//! reveal whether a user exists.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{self, SHA256};
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::header::HeaderValue;
use thiserror::Error;
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::rate::PeerLimit;

/// How many attempts are remembered; then the failed ones are forgotten first.
const REMEMBERED: usize = 64;
/// With a higher cost, one attempt takes minutes.
const MAX_COST: u32 = 18;
/// How many passwords that are not remembered a peer may try at once; then one in each interval.
const ATTEMPTS: u32 = 60;
const ATTEMPT_INTERVAL: Duration = Duration::from_secs(1);

/// The users who may send requests. If there are none, everyone may.
pub(super) struct Users {
    hashes: HashMap<String, Arc<str>>,
    /// The hash that is computed for an unknown user: the one with the highest cost.
    decoy: Option<(u32, Arc<str>)>,
    known: Arc<Mutex<Known>>,
    turn: Arc<Semaphore>,
    attempts: PeerLimit,
}

/// Whether a client may send requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Admitted,
    Refused,
    /// Its peer has tried too many passwords; this one was not checked.
    TooManyAttempts,
}

/// The results of past attempts, by their fingerprints.
#[derive(Default)]
struct Known(HashMap<[u8; 32], bool>);

impl Known {
    fn insert(&mut self, attempt: [u8; 32], admitted: bool) {
        if self.0.len() >= REMEMBERED {
            // Failed attempts must not slow down users with a valid password.
            self.0.retain(|_, admitted| *admitted);
        }
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(attempt, admitted);
    }
}

/// Why a hash is refused.
#[derive(Debug, Error)]
pub(crate) enum HashError {
    /// Not a bcrypt hash.
    #[error("not a bcrypt hash; make one with: htpasswd -nBC 10 \"\" | tr -d ':\\n'")]
    NotBcrypt,
    /// Its cost is too high.
    #[error("a cost of {0} is too high; 10 to 12 is usual, {MAX_COST} the maximum")]
    TooCostly(u32),
}

impl Default for Users {
    fn default() -> Self {
        Self {
            hashes: HashMap::new(),
            decoy: None,
            known: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
            attempts: PeerLimit::new(ATTEMPT_INTERVAL, ATTEMPTS),
        }
    }
}

impl Users {
    /// Adds a user.
    pub(super) fn add(&mut self, user: &str, hash: String) -> Result<(), HashError> {
        let parts: bcrypt::HashParts = hash.parse().map_err(|_| HashError::NotBcrypt)?;
        let cost = parts.get_cost();
        if cost > MAX_COST {
            return Err(HashError::TooCostly(cost));
        }
        let hash: Arc<str> = hash.into();
        if self.decoy.as_ref().is_none_or(|(most, _)| cost > *most) {
            self.decoy = Some((cost, hash.clone()));
        }
        self.hashes.insert(user.to_owned(), hash);
        Ok(())
    }

    /// Whether the client at `peer`, which sent this header, may send requests.
    pub(super) async fn admit(
        &self,
        peer: IpAddr,
        authorization: Option<&HeaderValue>,
    ) -> Admission {
        let Some((_, decoy)) = &self.decoy else {
            return Admission::Admitted;
        };
        let Some((user, password)) = authorization.and_then(credentials) else {
            return Admission::Refused;
        };
        let hash = self.hashes.get(&user);
        let exists = hash.is_some();
        let hash = hash.unwrap_or(decoy).clone();
        let attempt = fingerprint(&[user.as_bytes(), hash.as_bytes(), password.as_bytes()]);
        if let Some(known) = self.remembered(&attempt) {
            return known;
        }
        if !self.attempts.allows(peer) {
            return Admission::TooManyAttempts;
        }
        let Ok(turn) = self.turn.clone().acquire_owned().await else {
            return Admission::Refused;
        };
        // Another request with the same credentials may have been checked meanwhile.
        if let Some(known) = self.remembered(&attempt) {
            return known;
        }
        let known = self.known.clone();
        // The turn ends with the hash, not with a client that may leave before.
        let checked = spawn_blocking(move || {
            let admitted = bcrypt::verify(password, &hash).unwrap_or(false) && exists;
            lock(&known).insert(attempt, admitted);
            drop(turn);
            admitted
        });
        checked.await.unwrap_or(false).into()
    }

    fn remembered(&self, attempt: &[u8; 32]) -> Option<Admission> {
        lock(&self.known).0.get(attempt).copied().map(Into::into)
    }
}

impl From<bool> for Admission {
    fn from(admitted: bool) -> Self {
        match admitted {
            true => Self::Admitted,
            false => Self::Refused,
        }
    }
}

/// A panic elsewhere cannot leave what is known half written.
fn lock(known: &Mutex<Known>) -> std::sync::MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Source: RFC 7617, section 2.
fn credentials(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Each part is hashed separately first, so that no two lists of parts have the same fingerprint.
fn fingerprint(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&SHA256);
    for part in parts {
        context.update(digest::digest(&SHA256, part).as_ref());
    }
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(context.finish().as_ref());
    fingerprint
}
