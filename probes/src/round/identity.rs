//! What a round gets for the node's managed identity, as the node's credential provider would, and for how long that
//! holds.
//!
//! Source: kubernetes-sigs/cloud-provider-azure `pkg/credentialprovider`.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::{
    client::credential::Credential,
    outcome::{Fault, OfIdentity},
    words::reason::Stage,
};

/// An answer holds so long, so that a node asks no more often than every quarter of an hour, which is how often walks
/// take place by default; those may be a little early. It is longer than the metadata service asks to wait after 410
/// (70 s) and 429.
const HOLDS: Duration = Duration::from_secs(14 * 60);

/// The user to whom a registry's refresh token is the password.
const NO_USER: &str = "00000000-0000-0000-0000-000000000000";

/// What earlier rounds got for the node's managed identity at one registry. It has no `Debug`, and what it holds is
/// cleared from memory when it has expired and when it is dropped.
#[derive(Default)]
pub struct HeldCredential(Option<(Instant, IdentityAnswer)>);

impl HeldCredential {
    /// Drops what does not hold any more at `now`.
    pub(super) fn expire(&mut self, now: Instant) {
        self.0.take_if(|(until, _)| *until <= now);
    }

    /// The answer that still holds at `now`.
    pub(super) fn get(&mut self, now: Instant) -> Option<IdentityAnswer> {
        self.expire(now);
        self.0.as_ref().map(|(_, answer)| answer.clone())
    }

    /// Holds `answer` from `now` on, unless nothing was seen.
    pub(super) fn hold(&mut self, answer: &IdentityAnswer, now: Instant) {
        let holds = match answer {
            IdentityAnswer::Given { lifetime, .. } => HOLDS.min(*lifetime),
            IdentityAnswer::Failed { .. } => HOLDS,
            IdentityAnswer::NotSeen(_) => return,
        };
        self.0 = Some((now + holds, answer.clone()));
    }
}

/// What the credential provider would come to.
#[derive(Clone)]
pub(super) enum IdentityAnswer {
    /// A credential of the registry.
    Given {
        credential: Arc<Credential>,
        lifetime: Duration,
    },
    /// It would fail.
    Failed { stage: Stage, fault: Fault },
    /// A probe does not go so far, or had no time: why.
    NotSeen(String),
}

impl IdentityAnswer {
    /// With a refresh token.
    pub(super) fn given(token: Zeroizing<String>) -> Self {
        let lifetime = lifetime(&token).unwrap_or(HOLDS);
        match Credential::new(Zeroizing::new(NO_USER.to_owned()), token) {
            Some(credential) => Self::Given {
                credential: Arc::new(credential),
                lifetime,
            },
            None => Self::NotSeen("an empty refresh token".to_owned()),
        }
    }

    /// As the outcome has it: without secrets.
    pub(super) fn shown(&self) -> OfIdentity {
        match self {
            Self::Given { .. } => OfIdentity::Given,
            Self::Failed { stage, fault } => OfIdentity::Failed {
                stage: *stage,
                fault: fault.clone(),
            },
            Self::NotSeen(why) => OfIdentity::NotSeen(why.clone()),
        }
    }
}

/// How long a JSON Web Token is still good for, by its own words.
fn lifetime(token: &str) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let claims = token.split('.').nth(1)?;
    let claims = Zeroizing::new(URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?);
    let Claims { exp } = serde_json::from_slice(&claims).ok()?;
    let left = exp.saturating_sub(Timestamp::now().as_second());
    Some(Duration::from_secs(u64::try_from(left).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{net::io_fault::IoFault, stages::http::fault::HttpFault};

    fn token(lifetime: i64) -> IdentityAnswer {
        let exp = Timestamp::now().as_second() + lifetime;
        let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{exp}}}"#));
        IdentityAnswer::given(Zeroizing::new(format!("eyJ.{claims}.c2ln")))
    }

    #[test]
    fn an_answer_holds_for_its_lifetime_and_no_longer_than_a_quarter_of_an_hour() {
        let failed = IdentityAnswer::Failed {
            stage: Stage::Exchange,
            fault: Fault::Http(HttpFault::Io(IoFault::Timeout)),
        };
        for (answer, seconds) in [(token(3 * 3600), 840), (token(100), 98), (failed, 840)] {
            let mut held = HeldCredential::default();
            let start = Instant::now();
            let after = |seconds| start + Duration::from_secs(seconds);
            assert!(held.get(start).is_none());
            held.hold(&answer, start);
            assert!(held.get(after(seconds - 1)).is_some(), "{seconds}");
            assert!(held.get(after(seconds + 3)).is_none(), "{seconds}");
            assert!(held.0.is_none(), "{seconds}");
        }
    }

    #[test]
    fn what_was_not_seen_and_what_has_expired_is_not_held() {
        let mut held = HeldCredential::default();
        for answer in [IdentityAnswer::NotSeen("no time".to_owned()), token(-5)] {
            held.hold(&answer, Instant::now());
            assert!(held.get(Instant::now()).is_none());
        }
    }

    #[test]
    fn a_token_that_is_no_json_web_token_says_nothing_of_its_lifetime() {
        for token in ["", "a", "a.b.c", "a.e30.c"] {
            assert_eq!(lifetime(token), None, "{token}");
        }
    }
}
