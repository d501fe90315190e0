//! What every handler may read.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::{page_cache::PageCache, settings::CurrentSettings};
use crate::{
    out::{history::SharedHistory, metrics::Metrics},
    state::Shown,
};

/// What handlers read.
pub(crate) struct Site {
    /// The node's name.
    pub node: String,
    /// When the agent began.
    pub started: Timestamp,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// What is on the board.
    pub shown: Shown,
    /// What rounds saw.
    pub history: SharedHistory,
    /// The status page as it was last made.
    pub page: PageCache,
    /// TLS, users and headers.
    pub settings: CurrentSettings,
    /// Where reload requests go, if they are allowed.
    pub reload: Option<mpsc::Sender<oneshot::Sender<Result<(), String>>>>,
}
