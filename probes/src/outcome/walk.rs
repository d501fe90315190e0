//! The pull of one configured image, as the node's client would make it.

use crate::words::{
    digest::Digest, endpoint::Endpoint, platform::Platform, reason::Reason, target::Image,
};

/// One walk: what was asked for an image, and how the pull would end.
#[derive(Clone, Debug)]
pub struct Walk {
    /// Of which image.
    pub image: Image,
    /// How it ended.
    pub end: WalkEnd,
    /// Every endpoint that was asked, in the order of the first requests.
    pub route: Vec<Endpoint>,
    /// How the registry's answer to `/v2/` failed at that time, if it did: what a pull never asks.
    pub(crate) challenge: Option<Reason>,
}

/// How a pull would end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalkEnd {
    /// With the image.
    Pulled {
        /// Of the manifest.
        manifest: Digest,
        /// As the index says; `None` where it does not, or where the reference is the manifest's own.
        platform: Option<Platform>,
    },
    /// With an error.
    Failed {
        /// What the client would print, where that is known.
        error: Option<String>,
        /// Whether the registry wants other credentials than none.
        denied: bool,
    },
    /// The probe did not see it: what it did not ask, or could not wait for.
    NotSeen(String),
}

impl Walk {
    /// The endpoint that was asked last: where the pull failed, if it did.
    pub fn last(&self) -> Option<&Endpoint> {
        self.route.last()
    }

    /// Whether the image came.
    pub fn has_pulled(&self) -> bool {
        matches!(self.end, WalkEnd::Pulled { .. })
    }
}
