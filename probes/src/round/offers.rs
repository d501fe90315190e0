//! The credentials of a round's walks. A pull secret is read from its file when the walks begin, and gone when these
//! end.

use std::{path::Path, sync::Arc};

use hyper::header::AUTHORIZATION;
use zeroize::Zeroizing;

use super::identity::IdentityAnswer;
use crate::{
    client::{
        containerd::WalkRequest,
        credential::Credential,
        kubelet::{self, Malformed, PullSecret},
    },
    node::regular_file::read_regular,
    outcome::{Credentials, Giver, OfIdentity, OfSecret, WalkEnd},
    words::target::Target,
};

/// Kubernetes takes no larger secret.
pub(super) const MAX_SECRET: u64 = 1024 * 1024;

/// What the kubelet would have to offer to a registry.
pub(super) struct Wallet {
    secret: SecretFile,
    identity: Option<IdentityAnswer>,
}

/// A pull secret, as it was read.
enum SecretFile {
    NotConfigured,
    Read(PullSecret),
    /// The kubelet does not take it.
    Malformed(Malformed),
    /// This agent cannot read it; why.
    Unreadable(String),
}

/// What a request shows that it may be answered.
#[derive(Clone, Copy)]
pub(super) enum By {
    Credential,
    Token,
}

impl By {
    pub(super) fn of(request: &WalkRequest) -> Option<Self> {
        match request.offered {
            Some(_) => Some(Self::Credential),
            None => {
                let has_token = request.headers.contains_key(AUTHORIZATION);
                has_token.then_some(Self::Token)
            }
        }
    }
}

/// One try of a pull: who gives a credential, and which. Without a giver it is anonymous.
pub(super) type Try = (Option<Giver>, Option<Arc<Credential>>);

/// What to try for an image.
pub(super) struct Tries {
    /// Where it comes from; nothing was offered yet.
    pub credentials: Credentials,
    /// One after another, until one gets the image; or how the pull ends without any.
    pub each: Result<Vec<Try>, WalkEnd>,
}

impl Wallet {
    /// With what the pull secret holds.
    pub(super) fn read(target: &Target) -> Self {
        let secret = match &target.docker_config {
            None => SecretFile::NotConfigured,
            Some(file) => SecretFile::read(file),
        };
        Self {
            secret,
            identity: None,
        }
    }

    /// Empty.
    pub(super) fn none() -> Self {
        Self {
            secret: SecretFile::NotConfigured,
            identity: None,
        }
    }

    /// Whether the kubelet would run its credential provider at all.
    pub(super) fn asks_provider(&self) -> bool {
        !matches!(self.secret, SecretFile::Malformed(_))
    }

    /// Adds what the credential provider comes to.
    pub(super) fn add(&mut self, identity: IdentityAnswer) {
        self.identity = Some(identity);
    }

    /// What to try for a repository, as `host[:port]/repository`, in the kubelet's order: the pull secret's entries,
    /// then those of the credential provider. It adds an empty one of its own, and without any entry at all the
    /// kubelet tries once, with nothing.
    pub(super) fn tries(&self, repository: &str) -> Tries {
        let mut each: Vec<Try> = Vec::new();
        let secret = match &self.secret {
            SecretFile::NotConfigured => OfSecret::NotConfigured,
            SecretFile::Unreadable(why) => {
                let end = WalkEnd::NotSeen(format!("the pull secret is not seen: {why}"));
                return self.ended(OfSecret::NotSeen, end);
            }
            SecretFile::Malformed(Malformed(text)) => {
                let (error, denied) = (text.clone(), false);
                let end = WalkEnd::Failed { error, denied };
                return self.ended(OfSecret::Malformed(text.clone()), end);
            }
            SecretFile::Read(secret) => {
                let entries = secret.matching(repository).into_iter();
                each.extend(entries.map(|entry| {
                    let key = entry.key.clone();
                    (Some(Giver::Entry(key)), entry.credential.clone())
                }));
                match each.is_empty() {
                    true => OfSecret::NoMatch(secret.keys()),
                    false => OfSecret::Matches,
                }
            }
        };
        if let Some(IdentityAnswer::Given { credential, .. }) = &self.identity {
            each.push((Some(Giver::Identity), Some(credential.clone())));
            if kubelet::provider_adds_anonymous(repository) {
                each.push((None, None));
            }
        }
        if each.is_empty() {
            each.push((None, None));
        }
        Tries {
            credentials: self.credentials(secret),
            each: Ok(each),
        }
    }

    fn ended(&self, secret: OfSecret, end: WalkEnd) -> Tries {
        Tries {
            credentials: self.credentials(secret),
            each: Err(end),
        }
    }

    fn credentials(&self, secret: OfSecret) -> Credentials {
        let identity = self.identity.as_ref().map(IdentityAnswer::shown);
        Credentials {
            secret,
            identity: identity.unwrap_or(OfIdentity::NotConfigured),
            offers: Vec::new(),
        }
    }
}

impl SecretFile {
    fn read(file: &Path) -> Self {
        match read_regular(file, MAX_SECRET) {
            Err(error) => Self::Unreadable(format!("{}: {error}", file.display())),
            Ok(text) => match PullSecret::parse(&Zeroizing::new(text)) {
                Ok(secret) => Self::Read(secret),
                Err(malformed) => Self::Malformed(malformed),
            },
        }
    }
}
