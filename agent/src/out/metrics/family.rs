//! Metric families and their series. A series exists as long as the value that its owner holds: dropping
//! the owner of some metrics takes their series out of the next scrape.
//!
//! The encoder of the Prometheus library makes a message of every series before it writes a line, which
//! takes too long for a hundred thousand of them. Here a scrape writes numbers between texts.

use std::{
    collections::BTreeMap,
    ops::{Bound, Deref},
    ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    labels::Labels,
    value::{Bounds, Value},
};

const PREFIX: &str = "regprobe";

/// Something that has metrics: the agent, a registry, an endpoint, a nameserver.
#[derive(Clone)]
pub(super) struct Owner {
    families: Arc<Mutex<Families>>,
    bounds: Option<Arc<Bounds>>,
    labels: Labels,
}

type Families = BTreeMap<&'static str, Arc<Family>>;

impl Owner {
    /// An owner without labels, with its own set of families. Histograms are only counted if there are
    /// `buckets`.
    pub(super) fn root(buckets: Option<&[f64]>) -> Self {
        Self {
            families: Arc::default(),
            bounds: buckets.map(|buckets| Arc::new(Bounds::new(buckets))),
            labels: Labels::default(),
        }
    }

    /// A part of this owner, with one more label.
    pub(super) fn and(&self, name: &str, value: &str) -> Self {
        Self {
            labels: self.labels.and(name, value),
            ..self.clone()
        }
    }

    /// Where its series in a family goes. The first caller adds the family.
    pub(super) fn slot(&self, name: &'static str, help: &str, kind: &str) -> Slot {
        let family = || {
            let name = format!("{PREFIX}_{name}");
            Arc::new(Family {
                head: format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"),
                name,
                bounds: self.bounds.clone(),
                series: Mutex::default(),
            })
        };
        let mut families = self.families();
        Slot {
            family: families.entry(name).or_insert_with(family).clone(),
            labels: self.labels.clone(),
        }
    }

    /// All families, in the order of their names.
    pub(super) fn all_families(&self) -> Vec<Arc<Family>> {
        self.families().values().cloned().collect()
    }

    fn families(&self) -> MutexGuard<'_, Families> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The series of one name.
pub(super) struct Family {
    name: String,
    /// Help and type.
    head: String,
    /// For histograms.
    bounds: Option<Arc<Bounds>>,
    series: Mutex<BTreeMap<Labels, Arc<dyn Value>>>,
}

impl Family {
    /// Writes the series that come after `after`, at least one of them, until `text` has `enough` bytes.
    /// Returns the last series written if there may be more.
    pub(super) fn write(
        &self,
        text: &mut Vec<u8>,
        after: Option<&Labels>,
        enough: usize,
    ) -> Option<Labels> {
        let series = self.series();
        if after.is_none() && !series.is_empty() {
            text.extend_from_slice(self.head.as_bytes());
        }
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        for (labels, value) in series.range::<Labels, _>((from, Bound::Unbounded)) {
            value.write(text, &self.name, labels.as_str());
            if text.len() >= enough {
                return Some(labels.clone());
            }
        }
        None
    }

    fn series(&self) -> MutexGuard<'_, BTreeMap<Labels, Arc<dyn Value>>> {
        // A panic cannot leave it half changed: every change is a single step.
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a series of one owner belongs.
#[derive(Clone)]
pub(super) struct Slot {
    family: Arc<Family>,
    pub(super) labels: Labels,
}

impl Slot {
    /// The same with one more label.
    pub(super) fn and(&self, name: &str, value: &str) -> Self {
        Self {
            family: self.family.clone(),
            labels: self.labels.and(name, value),
        }
    }

    /// The bounds of a histogram, where there are any.
    pub(super) fn bounds(&self) -> Option<&Arc<Bounds>> {
        self.family.bounds.as_ref()
    }

    /// A new series. Of two with the same labels, a scrape shows the later one.
    pub(super) fn fill<V: Value>(self, value: V) -> Series<V> {
        let value = Arc::new(value);
        let mut series = self.family.series();
        series.insert(self.labels.clone(), value.clone());
        drop(series);
        Series { slot: self, value }
    }
}

/// The value of a series, and the series itself: dropping this ends it.
pub(super) struct Series<V> {
    slot: Slot,
    value: Arc<V>,
}

impl<V> Series<V> {
    pub(super) fn labels(&self) -> &Labels {
        &self.slot.labels
    }
}

impl<V> Deref for Series<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}

impl<V> Drop for Series<V> {
    fn drop(&mut self) {
        let Slot { family, labels } = &self.slot;
        let mut series = family.series();
        let ours =
            |shown: &Arc<dyn Value>| ptr::addr_eq(Arc::as_ptr(shown), Arc::as_ptr(&self.value));
        if series.get(labels).is_some_and(ours) {
            series.remove(labels);
        }
    }
}
