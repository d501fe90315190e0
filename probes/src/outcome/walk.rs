//! The pull of one configured image, as the node's client would make it.

use std::time::Duration;

use super::offer::Credentials;
use crate::words::{
    digest::Digest,
    endpoint::{Endpoint, Turn},
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
    /// What was offered for it.
    pub credentials: Credentials,
    /// Every request, in order.
    pub route: Vec<Asked>,
    /// How the registry's answer to `/v2/` failed at that time, if it did: what a pull never asks.
    pub(crate) challenge: Option<Reason>,
}

/// One request of a walk.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who was asked.
    pub endpoint: Endpoint,
    /// Of the host that the client asked: that endpoint, or the one that led there.
    pub(crate) turn: Turn,
    /// What for.
    pub stage: Stage,
    /// The image, or the digest of a blob; empty for a token.
    pub(crate) subject: String,
    /// Whether it is for content, and not for what the reference stands for: the client begins that with new
    /// connections and new tokens.
    pub(crate) for_content: bool,
    /// How long the client would wait for the answer, once it has a connection.
    pub(crate) took: Duration,
    /// Whether the answer was 401, so that a token is asked for next.
    pub(crate) challenged: bool,
    /// Whether the client has a connection left: it has none without an answer, where it leaves the body of one
    /// unread, or where the server closes it afterwards.
    pub(crate) keeps_connection: bool,
}

impl Asked {
    /// A request that is answered at once, and leaves its connection.
    pub(crate) fn at(endpoint: &Endpoint, turn: Turn, stage: Stage) -> Self {
        Self {
            endpoint: endpoint.clone(),
            turn,
            stage,
            subject: String::new(),
            for_content: false,
            took: Duration::ZERO,
            challenged: false,
            keeps_connection: true,
        }
    }
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
        /// How many layers it has, each counted once; those that were asked for came.
        layers: usize,
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
        self.route.last().map(|asked| &asked.endpoint)
    }

    /// Every endpoint that was asked, once or more often.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.route.iter().map(|asked| &asked.endpoint)
    }

    /// Whether the pull fails, and not for want of credentials.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.end, WalkEnd::Failed { denied: false, .. })
    }

    /// Whether it is not known how it would end.
    pub(crate) fn is_unseen(&self) -> bool {
        matches!(self.end, WalkEnd::NotSeen(_))
    }

    /// Whether the image came.
    pub fn has_pulled(&self) -> bool {
        matches!(self.end, WalkEnd::Pulled { .. })
    }
}
