//! Users and the bcrypt hashes of their passwords, for Basic authentication. A hash is slow to compute, by
//! design. So it is computed on another thread, one at a time, and results are remembered. If all hashes
//! have the same cost, the time that a refusal takes does not reveal whether a user exists.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::digest::{self, SHA256};
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::header::HeaderValue;
use thiserror::Error;
use tokio::{sync::Semaphore, task::spawn_blocking};

/// How many attempts are remembered; then the failed ones are forgotten first.
const REMEMBERED: usize = 64;
/// With a higher cost, one attempt takes minutes.
const MAX_COST: u32 = 18;

/// The users who may send requests. If there are none, everyone may.
pub(super) struct Users {
    hashes: HashMap<String, Arc<str>>,
    /// The hash that is computed for an unknown user: the one with the highest cost.
    decoy: Option<(u32, Arc<str>)>,
    known: Mutex<HashMap<[u8; 32], bool>>,
    turn: Semaphore,
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
            known: Mutex::default(),
            turn: Semaphore::new(1),
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

    /// Whether the client that sent this header may send requests.
    pub(super) async fn admit(&self, authorization: Option<&HeaderValue>) -> bool {
        let Some((_, decoy)) = &self.decoy else {
            return true;
        };
        let Some((user, password)) = authorization.and_then(credentials) else {
            return false;
        };
        let hash = self.hashes.get(&user);
        let exists = hash.is_some();
        let hash = hash.unwrap_or(decoy).clone();
        let attempt = fingerprint(&[user.as_bytes(), hash.as_bytes(), password.as_bytes()]);
        if let Some(known) = self.remembered(&attempt) {
            return known;
        }
        let Ok(_turn) = self.turn.acquire().await else {
            return false;
        };
        // Another request with the same credentials may have been checked meanwhile.
        if let Some(known) = self.remembered(&attempt) {
            return known;
        }
        let matches = spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false));
        let admitted = matches.await.unwrap_or(false) && exists;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            // Failed attempts must not slow down users with a valid password.
            known.retain(|_, admitted| *admitted);
        }
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(attempt, admitted);
        admitted
    }

    fn remembered(&self, attempt: &[u8; 32]) -> Option<bool> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(attempt).copied()
    }
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
