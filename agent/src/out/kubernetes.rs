//! Kubernetes' own signals about this node: the condition `ContainerRegistryReachable`, and Events when a registry
//! starts or stops failing. Off by default. An API server that does not answer is no fault of a registry, nor of
//! the agent: what is to be said waits.

mod api_server;
mod objects;
mod signals;

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};

use self::{
    api_server::{ApiError, ApiServer},
    objects::NodeObject,
    signals::{NodeCondition, Signals, Turn},
};
use crate::{config::KubernetesConfig, state::Shown};

/// Between two looks at the state.
const LOOK: Duration = Duration::from_secs(1);
/// As often as kubelet writes its conditions where nothing changes.
const HEARTBEAT: Duration = Duration::from_secs(5 * 60);
/// The shortest time between two writes of the condition: the text of a finding may change with each round.
const GAP: Duration = Duration::from_secs(10);
/// How long a failed write waits, doubled each time up to the second of them.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(5 * 60));
/// Events that wait; the oldest gives way.
const WAITING: usize = 16;

/// Reports until it is dropped.
pub(crate) struct Reporter {
    config: KubernetesConfig,
    task: Option<JoinHandle<()>>,
}

impl Reporter {
    /// Reports what the configuration wants, which may be nothing.
    pub(crate) fn start(config: &KubernetesConfig, node: &str, shown: &Shown) -> Self {
        let is_wanted = config.node_condition || config.events;
        let task = is_wanted.then(|| {
            let reports = Reports {
                config: config.clone(),
                node: node.to_owned(),
                signals: Signals::default(),
                known: None,
                written: None,
                waiting: VecDeque::new(),
                not_before: Instant::now(),
                back_off: BACK_OFF.0,
                failed: false,
            };
            tokio::spawn(reports.run(shown.clone()))
        });
        Self {
            config: config.clone(),
            task,
        }
    }

    /// Whether it reports what this configuration wants.
    pub(crate) fn is_of(&self, config: &KubernetesConfig) -> bool {
        self.config == *config
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

struct Reports {
    config: KubernetesConfig,
    node: String,
    signals: Signals,
    /// The node as the API server has it; asked once.
    known: Option<NodeObject>,
    /// The condition as written last, and when.
    written: Option<(NodeCondition, Instant)>,
    waiting: VecDeque<(Turn, Timestamp)>,
    not_before: Instant,
    back_off: Duration,
    /// Whether the last write failed, so that the log says it once.
    failed: bool,
}

impl Reports {
    async fn run(mut self, shown: Shown) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let now = Timestamp::now();
            for turn in self.signals.look(&shown.snapshot(), now) {
                if self.config.events {
                    self.waiting.push_back((turn, now));
                }
            }
            while self.waiting.len() > WAITING {
                self.waiting.pop_front();
            }
            if Instant::now() >= self.not_before {
                let result = self.write(&shown).await;
                self.note(result);
            }
        }
    }

    fn note(&mut self, result: Result<(), ApiError>) {
        match result {
            Ok(()) => {
                if self.failed {
                    tracing::info!("the API server takes node condition and Events again");
                }
                self.failed = false;
                self.back_off = BACK_OFF.0;
            }
            Err(error) => {
                if !self.failed {
                    tracing::warn!(%error, "node condition or Events not written; trying again");
                }
                self.failed = true;
                self.not_before = Instant::now() + self.back_off;
                self.back_off = (2 * self.back_off).min(BACK_OFF.1);
            }
        }
    }

    /// Writes what is due.
    async fn write(&mut self, shown: &Shown) -> Result<(), ApiError> {
        let due = self.due_condition();
        if due.is_none() && self.waiting.is_empty() {
            return Ok(());
        }
        let node = shown.snapshot().node.clone();
        let node = node.and_then(|source| source.read().ok());
        let nameservers = node.map_or_else(Vec::new, |node| node.nameservers.clone());
        let api_server = ApiServer::of_this_pod(nameservers)?;
        let known = match &mut self.known {
            Some(known) => known,
            unknown => {
                let read = api_server.get(&objects::node_path(&self.node)).await?;
                unknown.insert(read)
            }
        };
        while let Some((turn, at)) = self.waiting.front() {
            let event = objects::event(&self.node, known, turn, *at);
            api_server.post(objects::EVENTS, &event).await?;
            self.waiting.pop_front();
        }
        if let Some(condition) = due {
            let since = known.transition(&condition, Timestamp::now());
            let status = objects::status(&self.node, &condition, since);
            api_server
                .apply(&objects::status_path(&self.node), &status)
                .await?;
            let now = Instant::now();
            self.written = Some((condition, now));
            self.not_before = now + GAP;
        }
        Ok(())
    }

    fn due_condition(&self) -> Option<NodeCondition> {
        if !self.config.node_condition {
            return None;
        }
        let condition = self.signals.condition()?;
        match &self.written {
            Some((written, at)) if *written == condition && at.elapsed() < HEARTBEAT => None,
            _ => Some(condition),
        }
    }
}
