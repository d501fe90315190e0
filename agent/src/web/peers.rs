//! Asks the other agents what they see, for the view of the whole fleet. Only when somebody looks, once for all
//! who look, and not again for one network interval. Nothing that viewers or agents do makes it ask more often,
//! anyone else, or for longer.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::{
    config::{Config, FleetConfig},
    out::{fleet_view::FleetView, summary::Summary},
    state::Shown,
};

mod client;
mod prometheus;
mod sweep;
mod transport;

use self::transport::NodeTrust;

/// How long a viewer waits for the slowest agents before it sees what is known.
const PATIENCE: Duration = Duration::from_secs(2);

/// The other agents, as this one sees them.
pub(crate) struct Peers {
    node: String,
    shown: Shown,
    state: Mutex<State>,
}

struct State {
    config: FleetConfig,
    node: NodeTrust,
    /// For how long a view is good.
    interval: Duration,
    views: watch::Receiver<Option<Arc<FleetView>>>,
    /// The last sweep.
    sweep: Option<JoinHandle<()>>,
    good_until: Option<Instant>,
}

impl Peers {
    /// Asks nobody yet.
    pub(crate) fn new(node: &str, shown: Shown, config: &Config) -> Self {
        Self {
            node: node.to_owned(),
            shown,
            state: Mutex::new(State {
                config: config.fleet.clone(),
                node: NodeTrust::of(config),
                interval: config.schedule.network_interval,
                views: watch::channel(None).1,
                sweep: None,
                good_until: None,
            }),
        }
    }

    /// From the next view on, asks as `config` says.
    pub(crate) fn adopt(&self, config: &Config) {
        let mut state = self.state();
        state.config = config.fleet.clone();
        state.node = NodeTrust::of(config);
        state.interval = config.schedule.network_interval;
    }

    /// The view of now, or of at most one network interval ago. If agents take long, it is what is known so far.
    pub(crate) async fn view(&self) -> Option<Arc<FleetView>> {
        let mut views = self.look();
        let is_complete =
            |view: &Option<Arc<FleetView>>| view.as_ref().is_some_and(|view| view.is_complete());
        let _ = timeout(PATIENCE, views.wait_for(is_complete)).await;
        views.borrow().clone()
    }

    /// Where the current view appears. Starts a sweep if there is none.
    fn look(&self) -> watch::Receiver<Option<Arc<FleetView>>> {
        let mut state = self.state();
        let now = Instant::now();
        let is_good = state.good_until.is_some_and(|until| now < until);
        let is_running = state
            .sweep
            .as_ref()
            .is_some_and(|sweep| !sweep.is_finished());
        if !is_good && !is_running {
            let own = Summary::of(&self.shown.snapshot(), &self.node);
            let (views, receiver) = watch::channel(None);
            let (config, node) = (state.config.clone(), state.node.clone());
            state.good_until = Some(now + state.interval);
            state.views = receiver;
            state.sweep = Some(tokio::spawn(async move {
                let tell = |view| drop(views.send(Some(Arc::new(view))));
                sweep::sweep(&config, &node, Some(own), tell).await;
            }));
        }
        state.views.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing can panic between a lock and its release.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(sweep) = &self.sweep {
            sweep.abort();
        }
    }
}

/// The view of a process that is no agent: it asks each of them once.
pub(crate) async fn view(config: &Config) -> Option<FleetView> {
    let mut last = None;
    let node = NodeTrust::of(config);
    sweep::sweep(&config.fleet, &node, None, |view| last = Some(view)).await;
    last
}
