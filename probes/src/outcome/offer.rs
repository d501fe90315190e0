//! The credentials that the kubelet would offer for one image, and what came of each.

/// What the configured credentials come to for one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// No credential is configured.
    NotConfigured,
    /// The pull secret is malformed, so the kubelet pulls nothing: what it prints, where that is known.
    Malformed(Option<String>),
    /// The pull secret has no entry for the image, only for these keys.
    NoMatch(Vec<String>),
    /// Each was offered in turn, until one got the image.
    Offered(Vec<Offer>),
}

/// One credential of a pull secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The key of its entry.
    pub key: String,
    /// What came of it.
    pub end: OfferEnd,
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
