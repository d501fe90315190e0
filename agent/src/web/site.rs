//! What the handlers of requests may read.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::{
    page_cache::{FleetPage, PageCache},
    peers::Peers,
    settings::CurrentSettings,
};
use crate::{
    out::{history::SharedHistory, metrics::Exporter},
    state::Shown,
};

/// What the handlers of requests may read.
pub(crate) struct Site {
    /// The node's name.
    pub node: String,
    /// When the agent started.
    pub started: Timestamp,
    /// The series to scrape.
    pub exporter: Arc<Exporter>,
    /// The current state.
    pub shown: Shown,
    /// Past rounds.
    pub history: SharedHistory,
    /// The status page as last made.
    pub page: PageCache,
    /// The other agents.
    pub peers: Arc<Peers>,
    /// The page of the fleet as last made.
    pub fleet: FleetPage,
    /// TLS, users and headers.
    pub settings: CurrentSettings,
    /// Where reload requests go, if they are allowed.
    pub reload: Option<mpsc::Sender<oneshot::Sender<Result<(), String>>>>,
}
