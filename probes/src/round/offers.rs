//! The credentials of a round: read from their files when its walks begin, and gone when these end.

use std::{path::Path, sync::Arc};

use zeroize::Zeroizing;

use crate::{
    client::{
        credential::Credential,
        kubelet::{Malformed, PullSecret},
    },
    node::regular_file::read_regular,
    words::target::Target,
};

/// Kubernetes takes no larger secret.
const MAX_SECRET: u64 = 1024 * 1024;

/// What the kubelet would have to offer to a registry.
pub(super) enum Wallet {
    /// Nothing is configured.
    None,
    /// The pull secret.
    Secret(PullSecret),
    /// The pull secret, which the kubelet does not take.
    Malformed(Malformed),
    /// This agent cannot read it; why.
    Unreadable(String),
}

/// One try of a pull: the key of a secret's entry, and what it offers.
pub(super) type Try = (Option<String>, Option<Arc<Credential>>);

/// What to try for an image.
pub(super) enum Tries {
    /// One after another, until one gets the image; a single one without a key is anonymous.
    Each(Vec<Try>),
    /// Anonymously, because the secret has only these keys.
    NoMatch(Vec<String>),
    /// Nothing.
    Malformed(Malformed),
    /// Nobody knows.
    Unreadable(String),
}

impl Wallet {
    pub(super) fn read(target: &Target) -> Self {
        match &target.docker_config {
            None => Self::None,
            Some(file) => Self::from_file(file),
        }
    }

    fn from_file(file: &Path) -> Self {
        match read_regular(file, MAX_SECRET) {
            Err(error) => Self::Unreadable(format!("{}: {error}", file.display())),
            Ok(text) => match PullSecret::parse(&Zeroizing::new(text)) {
                Ok(secret) => Self::Secret(secret),
                Err(malformed) => Self::Malformed(malformed),
            },
        }
    }

    /// What to try for a repository, as `host[:port]/repository`.
    pub(super) fn tries(&self, repository: &str) -> Tries {
        let secret = match self {
            Self::None => return Tries::Each(vec![(None, None)]),
            Self::Malformed(malformed) => return Tries::Malformed(malformed.clone()),
            Self::Unreadable(why) => return Tries::Unreadable(why.clone()),
            Self::Secret(secret) => secret,
        };
        let matching = secret.matching(repository);
        match matching.is_empty() {
            true => Tries::NoMatch(secret.keys()),
            false => Tries::Each(
                matching
                    .into_iter()
                    .map(|entry| (Some(entry.key.clone()), entry.credential.clone()))
                    .collect(),
            ),
        }
    }
}
