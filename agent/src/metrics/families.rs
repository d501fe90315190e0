//! Making and pruning metric families: the prefix in one place, registration at creation.

use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, Result,
    core::{Collector, MetricVec, MetricVecBuilder},
};

const PREFIX: &str = "regprobe";

/// A registry that is being filled.
#[derive(Default)]
pub(super) struct Families {
    registry: Registry,
}

impl Families {
    pub(super) fn counter(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        let family = IntCounterVec::new(Opts::new(name, help).namespace(PREFIX), labels)?;
        self.register(family.clone())?;
        Ok(family)
    }

    pub(super) fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec> {
        let family = GaugeVec::new(Opts::new(name, help).namespace(PREFIX), labels)?;
        self.register(family.clone())?;
        Ok(family)
    }

    pub(super) fn single(&self, name: &str, help: &str) -> Result<Gauge> {
        let gauge = Gauge::with_opts(Opts::new(name, help).namespace(PREFIX))?;
        self.register(gauge.clone())?;
        Ok(gauge)
    }

    pub(super) fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec> {
        let options = HistogramOpts::new(name, help)
            .namespace(PREFIX)
            .buckets(buckets.to_vec());
        let family = HistogramVec::new(options, labels)?;
        self.register(family.clone())?;
        Ok(family)
    }

    pub(super) fn register(&self, collector: impl Collector + 'static) -> Result<()> {
        self.registry.register(Box::new(collector))
    }

    pub(super) fn into_registry(self) -> Registry {
        self.registry
    }
}

/// Removes every series whose labels are among others `matching`. It walks the whole family, so it
/// is for what seldom happens.
pub(super) fn forget<T: MetricVecBuilder>(family: &MetricVec<T>, matching: &[(&str, &str)]) {
    for metric in family
        .collect()
        .iter()
        .flat_map(|family| family.get_metric())
    {
        let labels = metric
            .get_label()
            .iter()
            .map(|label| (label.name(), label.value()));
        let labels: std::collections::HashMap<_, _> = labels.collect();
        if matching
            .iter()
            .all(|(name, value)| labels.get(name) == Some(value))
        {
            // The series was there a moment ago and nobody else removes any.
            let _ = family.remove(&labels);
        }
    }
}
