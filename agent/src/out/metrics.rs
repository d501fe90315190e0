//! Everything under `/metrics`. The board counts and shows, the web server scrapes. Label sets are closed:
//! names from the plan and values of the probes' enums. Untrusted text never becomes a label, except the sorted
//! addresses of `dns_answer_info` and the issuer of `tls_info`.

use std::{sync::Arc, time::Duration, vec};

use prometheus::{
    Encoder, TextEncoder,
    core::{Atomic, AtomicF64, Collector},
    process_collector::ProcessCollector,
};
use regprobe_probes::Nameserver;
use tokio::runtime::Handle as Runtime;

pub(crate) use self::registry::RegistryMetrics;
use self::{
    family::{Family, Owner, Series},
    handle::{By, Counter, Facts, Gauge, Handle, Histogram, owned_metrics},
    labels::Labels,
    value::{Bounds, Buckets},
};
use crate::{
    config,
    plan::PlannedRegistry,
    schedule::{
        Skip,
        fleet::{Fleet, Source},
    },
};

mod endpoint;
mod family;
mod handle;
mod labels;
mod registry;
mod value;

/// Only the scheduler knows how late rounds start, whatever buckets the stages have.
const LAG_BUCKETS: [f64; 6] = [0.001, 0.01, 0.1, 1.0, 5.0, 15.0];
/// A piece of a scrape is complete from this length on. One text of a thousand endpoints would be megabytes,
/// and no probe would go on while it is written.
const PIECE: usize = 64 * 1024;

owned_metrics! {
    /// What the agent has once.
    OfAgent {
        build: Facts = "build_info", "Version of this agent.";
        skipped: By<Counter> = "rounds_skipped_total", "Rounds that did not take place.";
        fleet_size: Gauge = "fleet_size", "Number of agents that share the request budget.";
        fleet_size_source: By<Gauge> = "fleet_size_source",
            "1 for the source of the fleet's size, 0 for the others.";
        reload_successful: Gauge = "config_last_reload_successful",
            "Whether the last attempt to load the configuration was successful.";
        reload_timestamp: Gauge = "config_last_reload_success_timestamp_seconds",
            "Time of the last successful load of the configuration.";
    }
}

/// What a scrape shows.
pub(crate) struct Exporter {
    agent: Owner,
    process: ProcessCollector,
    tasks: Series<AtomicF64>,
}

impl Exporter {
    /// An exporter with only the metrics of the process.
    pub(crate) fn new(options: &config::MetricsConfig) -> Self {
        let buckets = options.histograms.then_some(&*options.buckets);
        let agent = Owner::root(buckets);
        let tasks = agent.slot("tasks", "Tasks of the agent.", Gauge::KIND);
        Self {
            process: ProcessCollector::for_self(),
            tasks: tasks.fill(AtomicF64::new(0.0)),
            agent,
        }
    }

    /// The metrics of a registry. They are part of every scrape until they are dropped.
    pub(crate) fn registry(
        &self,
        planned: &PlannedRegistry,
        nameservers: &[Arc<Nameserver>],
    ) -> RegistryMetrics {
        RegistryMetrics::new(&self.agent, planned, nameservers)
    }

    /// The metrics of the agent itself.
    pub(crate) fn agent(&self) -> AgentMetrics {
        AgentMetrics::new(&self.agent)
    }

    /// One scrape.
    pub(crate) fn scrape(&self) -> Exposition {
        if let Ok(runtime) = Runtime::try_current() {
            self.tasks.set(runtime.metrics().num_alive_tasks() as f64);
        }
        let mut process = Vec::new();
        // Writing to memory cannot fail.
        let _ = TextEncoder::new().encode(&self.process.collect(), &mut process);
        Exposition {
            families: self.agent.all_families().into_iter(),
            under_way: None,
            process: Some(process),
        }
    }
}

/// A scrape in the text exposition format 0.0.4, piece by piece.
pub(crate) struct Exposition {
    families: vec::IntoIter<Arc<Family>>,
    /// A family that is not complete, and the last of its series that is written.
    under_way: Option<(Arc<Family>, Labels)>,
    /// `None` after the last piece.
    process: Option<Vec<u8>>,
}

impl Exposition {
    /// Its media type.
    pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
}

impl Iterator for Exposition {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut text = Vec::with_capacity(PIECE + PIECE / 8);
        while text.len() < PIECE {
            let (family, after) = match self.under_way.take() {
                Some((family, after)) => (family, Some(after)),
                None => match self.families.next() {
                    Some(family) => (family, None),
                    None => {
                        text.extend(self.process.take()?);
                        return Some(text);
                    }
                },
            };
            let last = family.write(&mut text, after.as_ref(), PIECE);
            self.under_way = last.map(|last| (family, last));
        }
        Some(text)
    }
}

/// The metrics of the agent itself.
pub(crate) struct AgentMetrics {
    own: OfAgent,
    lag: Series<Buckets>,
}

impl AgentMetrics {
    fn new(agent: &Owner) -> Self {
        let mut own = OfAgent::new(agent);
        own.build
            .show([[("version", env!("CARGO_PKG_VERSION").into())]]);
        for why in Skip::ALL {
            own.skipped.with("why", why.as_str());
        }
        for source in Source::ALL {
            own.fleet_size_source
                .with("source", source.as_str())
                .show(0.0);
        }
        let lag = "Time from the planned to the actual start of a round.";
        let lag = agent.slot("schedule_lag_seconds", lag, Histogram::KIND);
        let bounds = Arc::new(Bounds::new(&LAG_BUCKETS));
        Self {
            lag: lag.fill(Buckets::new(&bounds)),
            own,
        }
    }

    /// A round started this late.
    pub(crate) fn lagged(&self, lag: Duration) {
        self.lag.observe(lag.as_secs_f64());
    }

    /// Rounds did not take place.
    pub(crate) fn skipped(&mut self, why: Skip, rounds: u32) {
        let skipped = self.own.skipped.with("why", why.as_str());
        skipped.inc_by(rounds.into());
    }

    /// The configuration was loaded, or could not be.
    pub(crate) fn reloaded(&mut self, successful: bool, now: f64) {
        self.own.reload_successful.show(f64::from(successful));
        if successful {
            self.own.reload_timestamp.show(now);
        }
    }

    /// The fleet was counted.
    pub(crate) fn show_fleet(&mut self, fleet: &Fleet) {
        self.own.fleet_size.show(f64::from(fleet.size));
        for source in Source::ALL {
            let shown = self.own.fleet_size_source.with("source", source.as_str());
            shown.show(f64::from(source == fleet.source));
        }
    }
}

#[cfg(test)]
mod tests;
