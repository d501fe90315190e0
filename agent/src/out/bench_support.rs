//! What `benches/micro` measures. Nobody else may call it.

use std::{fmt::Write as _, slice, sync::Arc};

use regprobe_probes::{Nameserver, Origin};

use crate::{
    config::{self, Config},
    out::metrics::{Exporter, RegistryMetrics},
    plan::PlannedRegistry,
    schedule::pace::{Intervals, Pace},
};

/// All series that an agent has from the start. Half of the endpoints are login servers, each with one data
/// endpoint and one nameserver.
pub struct FilledMetrics {
    exporter: Exporter,
    _registries: Vec<RegistryMetrics>,
}

impl FilledMetrics {
    /// With histograms of the default buckets.
    ///
    /// # Panics
    /// Never: the configuration is valid.
    pub fn of(endpoints: usize) -> Self {
        let mut text = "registries:\n".to_owned();
        for number in 0..endpoints / 2 {
            let _ = writeln!(
                text,
                "- {{server: registry{number}.azurecr.io, regions: [westeurope]}}"
            );
        }
        let config = Config::parse(&text).expect("a valid configuration");
        let exporter = Exporter::new(&config::MetricsConfig::default());
        let nameserver = Arc::new(Nameserver {
            address: ([168, 63, 129, 16], 53).into(),
            name: None,
            origin: Origin::Node,
        });
        let intervals = Intervals::from(&config.schedule);
        let registries = config.registries.iter().map(|registry| {
            let planned = PlannedRegistry::new(registry, intervals, &config.tls);
            let mut metrics = exporter.registry(&planned, slice::from_ref(&nameserver));
            metrics.show_pace(&Pace::of(&intervals));
            metrics
        });
        Self {
            _registries: registries.collect(),
            exporter,
        }
    }

    /// Writes all series; returns the length of the text.
    pub fn scrape(&self) -> usize {
        self.exporter.scrape().map(|piece| piece.len()).sum()
    }
}
