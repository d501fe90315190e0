//! What series hold, and the lines that tell it. The numbers are atomics of the Prometheus library.

use std::{io::Write as _, sync::Arc};

use prometheus::core::{Atomic, AtomicF64, AtomicU64};

/// What a series holds.
pub(super) trait Value {
    /// Writes the lines of the series.
    fn encode(&self, text: &mut Vec<u8>, name: &str, labels: &str);
}

/// Counts up.
#[derive(Clone)]
pub(super) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(0)))
    }

    pub(super) fn inc(&self) {
        self.inc_by(1);
    }

    pub(super) fn inc_by(&self, more: u64) {
        self.0.inc_by(more);
    }
}

impl Value for Counter {
    fn encode(&self, text: &mut Vec<u8>, name: &str, labels: &str) {
        begin(text, name, "", labels, "");
        whole(text, self.0.get());
    }
}

/// Shows a number.
#[derive(Clone)]
pub(super) struct Gauge(Arc<AtomicF64>);

impl Gauge {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicF64::new(0.0)))
    }

    pub(super) fn set(&self, value: f64) {
        self.0.set(value);
    }
}

impl Value for Gauge {
    fn encode(&self, text: &mut Vec<u8>, name: &str, labels: &str) {
        begin(text, name, "", labels, "");
        number(text, self.0.get());
    }
}

/// Counts by size. What is seen is seen by the thread that scrapes, so no scrape sees half of it.
#[derive(Clone)]
pub(super) struct Histogram {
    bounds: Arc<Bounds>,
    seen: Arc<Seen>,
}

struct Seen {
    /// Of each bucket without those below it; the last has no bound.
    counts: Box<[AtomicU64]>,
    sum: AtomicF64,
}

/// Of the buckets of a family.
pub(super) struct Bounds {
    bounds: Vec<f64>,
    /// As labels, with that of the bucket without bound.
    texts: Vec<String>,
}

impl Bounds {
    pub(super) fn new(bounds: &[f64]) -> Self {
        let finite = bounds.iter().map(|bound| format!("le=\"{bound}\""));
        Self {
            texts: finite.chain(["le=\"+Inf\"".to_owned()]).collect(),
            bounds: bounds.to_vec(),
        }
    }
}

impl Histogram {
    pub(super) fn new(bounds: Arc<Bounds>) -> Self {
        let counts = bounds.texts.iter().map(|_| AtomicU64::new(0)).collect();
        let sum = AtomicF64::new(0.0);
        Self {
            bounds,
            seen: Arc::new(Seen { counts, sum }),
        }
    }

    pub(super) fn observe(&self, value: f64) {
        let bucket = self.bounds.bounds.partition_point(|bound| *bound < value);
        self.seen.counts[bucket].inc_by(1);
        self.seen.sum.inc_by(value);
    }
}

impl Value for Histogram {
    fn encode(&self, text: &mut Vec<u8>, name: &str, labels: &str) {
        let mut so_far = 0;
        for (bound, count) in self.bounds.texts.iter().zip(&self.seen.counts) {
            so_far += count.get();
            begin(text, name, "_bucket", labels, bound);
            whole(text, so_far);
        }
        begin(text, name, "_sum", labels, "");
        number(text, self.seen.sum.get());
        begin(text, name, "_count", labels, "");
        whole(text, so_far);
    }
}

/// All of a line that stands before the value.
fn begin(text: &mut Vec<u8>, name: &str, suffix: &str, labels: &str, more: &str) {
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(suffix.as_bytes());
    if !labels.is_empty() || !more.is_empty() {
        text.push(b'{');
        text.extend_from_slice(labels.as_bytes());
        if !labels.is_empty() && !more.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(more.as_bytes());
        text.push(b'}');
    }
    text.push(b' ');
}

fn whole(text: &mut Vec<u8>, value: u64) {
    // Most are 0 or small, and there are many.
    match u8::try_from(value) {
        Ok(digit @ 0..10) => text.extend_from_slice(&[b'0' + digit, b'\n']),
        _ => drop(writeln!(text, "{value}")),
    }
}

fn number(text: &mut Vec<u8>, value: f64) {
    // Writing to memory does not fail.
    drop(writeln!(text, "{value}"));
}
