//! The credentials that the kubelet would offer for one image, and what came of each.

use super::stage::Fault;
use crate::words::reason::Stage;

/// What the configured credentials come to for one image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Of the pull secret.
    pub secret: OfSecret,
    /// Of the node's managed identity.
    pub identity: OfIdentity,
    /// Each was offered in turn, until one got the image.
    pub offers: Vec<Offer>,
}

impl Credentials {
    /// Whether any is configured.
    pub fn are_configured(&self) -> bool {
        self.secret != OfSecret::NotConfigured || self.identity != OfIdentity::NotConfigured
    }
}

/// What the pull secret has for an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OfSecret {
    /// There is none.
    #[default]
    NotConfigured,
    /// This agent cannot read it.
    NotSeen,
    /// It is malformed, so the kubelet pulls nothing: what it prints, where that is known.
    Malformed(Option<String>),
    /// No entry for the image, only for these keys.
    NoMatch(Vec<String>),
    /// Entries that match.
    Matches,
}

/// What the node's managed identity has for a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OfIdentity {
    /// None is configured.
    #[default]
    NotConfigured,
    /// It is not known: why.
    NotSeen(String),
    /// The credential provider fails, and the kubelet pulls with what else it has.
    Failed {
        /// `identity`, `challenge` or `exchange`.
        stage: Stage,
        /// Why.
        fault: Fault,
    },
    /// A credential.
    Given,
}

/// One credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Whose it is.
    pub of: Giver,
    /// What came of it.
    pub end: OfferEnd,
}

/// Who has a credential for the kubelet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Giver {
    /// The pull secret's entry with this key.
    Entry(String),
    /// The node's managed identity.
    Identity,
}

/// What came of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfferEnd {
    /// The image.
    Pulled,
    /// The entry holds no user or no password, so containerd asks anonymously, in vain.
    Empty,
    /// The registry takes no such credential, or gives it no token: its own words, where it has any.
    Refused(Option<String>),
    /// The registry gives a token, and not the image for it: its own words, where it has any.
    NotGiven(Option<String>),
    /// The pull failed or was not seen for another reason.
    Other,
}
