//! Handles of metrics: what an owner holds to count something or to show it. Nothing is looked up by label
//! text, because the code that counts holds the handle.

use std::{borrow::Cow, mem};

use prometheus::core::{Atomic, AtomicF64, AtomicU64};

use super::{
    family::{Series, Slot},
    value::Buckets,
};

/// The metric of one name, for one owner.
pub(super) trait Handle {
    /// The type of its family.
    const KIND: &'static str;

    /// The handle of the owner of `slot`.
    fn of(slot: Slot) -> Self;
}

/// Counts up. The series is there from the start, at 0.
pub(super) struct Counter(Series<AtomicU64>);

impl Handle for Counter {
    const KIND: &'static str = "counter";

    fn of(slot: Slot) -> Self {
        Self(slot.fill(AtomicU64::new(0)))
    }
}

impl Counter {
    pub(super) fn inc_by(&self, more: u64) {
        self.0.inc_by(more);
    }
}

/// Shows a number. What is not measured is absent, and absent is how it starts.
pub(super) struct Gauge {
    slot: Slot,
    shown: Option<Series<AtomicF64>>,
}

impl Handle for Gauge {
    const KIND: &'static str = "gauge";

    fn of(slot: Slot) -> Self {
        Self { slot, shown: None }
    }
}

impl Gauge {
    pub(super) fn show(&mut self, value: impl Into<Option<f64>>) {
        match (value.into(), &self.shown) {
            (Some(value), Some(shown)) => shown.set(value),
            (value, _) => {
                let series = |value| self.slot.clone().fill(AtomicF64::new(value));
                self.shown = value.map(series);
            }
        }
    }
}

/// Counts by size, where the configuration wants histograms.
pub(super) struct Histogram(Option<Series<Buckets>>);

impl Handle for Histogram {
    const KIND: &'static str = "histogram";

    fn of(slot: Slot) -> Self {
        let buckets = slot.bounds().map(Buckets::new);
        Self(buckets.map(|buckets| slot.fill(buckets)))
    }
}

impl Histogram {
    pub(super) fn observe(&self, value: f64) {
        if let Some(series) = &self.0 {
            series.observe(value);
        }
    }
}

/// Shows facts that are labels, with the value 1, as long as they hold.
pub(super) struct Facts {
    slot: Slot,
    shown: Vec<Series<AtomicF64>>,
}

impl Handle for Facts {
    const KIND: &'static str = "gauge";

    fn of(slot: Slot) -> Self {
        let shown = Vec::new();
        Self { slot, shown }
    }
}

impl Facts {
    /// Shows these facts and no others. A fact is the labels that come after the owner's.
    pub(super) fn show<'a, const N: usize>(
        &mut self,
        facts: impl IntoIterator<Item = [(&'static str, Cow<'a, str>); N]>,
    ) {
        let mut before = mem::take(&mut self.shown);
        for fact in facts {
            let labels = fact.iter();
            let slot = labels.fold(self.slot.clone(), |slot, (name, value)| {
                slot.and(name, value)
            });
            let is_it = |shown: &Series<AtomicF64>| *shown.labels() == slot.labels;
            if self.shown.iter().any(is_it) {
                continue;
            }
            let kept = before.iter().position(is_it);
            self.shown.push(match kept {
                Some(place) => before.swap_remove(place),
                None => slot.fill(AtomicF64::new(1.0)),
            });
        }
    }
}

/// Handles that differ in one more label, whose values are a closed set.
pub(super) struct By<H> {
    slot: Slot,
    handles: Vec<(&'static str, H)>,
}

impl<H: Handle> Handle for By<H> {
    const KIND: &'static str = H::KIND;

    fn of(slot: Slot) -> Self {
        let handles = Vec::new();
        Self { slot, handles }
    }
}

impl<H: Handle> By<H> {
    /// The handle whose `label` has this `value`. Creates it if it does not exist.
    pub(super) fn with(&mut self, label: &str, value: &'static str) -> &mut H {
        let make = |value: &&_| H::of(self.slot.and(label, value));
        entry(&mut self.handles, value, make)
    }
}

/// The value of `key`, made if it is not there. For a handful of keys this is smaller than a map, which has room for
/// more of them.
pub(super) fn entry<K: PartialEq, V>(
    entries: &mut Vec<(K, V)>,
    key: K,
    make: impl FnOnce(&K) -> V,
) -> &mut V {
    let place = entries.iter().position(|(known, _)| *known == key);
    let place = place.unwrap_or_else(|| {
        entries.reserve_exact(1);
        let value = make(&key);
        entries.push((key, value));
        entries.len() - 1
    });
    &mut entries[place].1
}

/// Declares the metrics of one owner: a handle for each, with the name and the help of its family.
macro_rules! owned_metrics {
    ($(#[$doc:meta])* $vis:vis $owner:ident {
        $($field:ident: $handle:ty = $name:literal, $help:literal;)+
    }) => {
        $(#[$doc])*
        $vis struct $owner {
            $($vis $field: $handle,)+
        }

        impl $owner {
            $vis fn new(owner: &$crate::out::metrics::family::Owner) -> Self {
                use $crate::out::metrics::handle::Handle;
                Self {
                    $($field: <$handle>::of(owner.slot($name, $help, <$handle>::KIND)),)+
                }
            }
        }
    };
}
pub(super) use owned_metrics;
