//! The pull of one configured image, as the node's client would make it.

use crate::words::{
    digest::Digest,
    endpoint::Endpoint,
    platform::Platform,
    reason::{Reason, Stage},
    target::Image,
};

/// One walk: what was asked for an image, and how the pull would end.
#[derive(Clone, Debug)]
pub struct Walk {
    /// Of which image.
    pub image: Image,
    /// How it ended.
    pub end: WalkEnd,
    /// Whom each request went to and what for, in order.
    pub route: Vec<(Endpoint, Stage)>,
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
        self.route.last().map(|(endpoint, _)| endpoint)
    }

    /// Every endpoint that was asked, once or more often.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.route.iter().map(|(endpoint, _)| endpoint)
    }

    /// How often the client would ask `endpoint` one request after another: blobs it fetches at the same time.
    pub(crate) fn fetches_from(&self, endpoint: &Endpoint) -> u32 {
        let asked = |wanted| {
            let route = self.route.iter();
            route.filter(move |(asked, stage)| *stage == wanted && asked.is_same_server(endpoint))
        };
        let blobs = asked(Stage::Blob).next().is_some();
        asked(Stage::Manifest).count() as u32 + u32::from(blobs)
    }

    /// Whether the image came.
    pub fn has_pulled(&self) -> bool {
        matches!(self.end, WalkEnd::Pulled { .. })
    }
}
