//! What a series holds, and the lines that show it. The numbers are atomics of the Prometheus library.

use std::{io::Write as _, sync::Arc};

use prometheus::core::{Atomic, AtomicF64, AtomicU64};

/// What a series holds.
pub(super) trait Value: Send + Sync + 'static {
    /// Writes the lines of the series.
    fn write(&self, text: &mut Vec<u8>, name: &str, labels: &str);
}

impl Value for AtomicU64 {
    fn write(&self, text: &mut Vec<u8>, name: &str, labels: &str) {
        begin(text, name, "", labels, "");
        whole(text, self.get());
    }
}

impl Value for AtomicF64 {
    fn write(&self, text: &mut Vec<u8>, name: &str, labels: &str) {
        begin(text, name, "", labels, "");
        number(text, self.get());
    }
}

/// The counts of a histogram. The thread that counts is the one that scrapes, so no scrape sees half an
/// observation.
pub(super) struct Buckets {
    bounds: Arc<Bounds>,
    /// For each bucket, without those below it; the last has no bound.
    counts: Box<[AtomicU64]>,
    sum: AtomicF64,
}

/// The bounds of the buckets of a family.
pub(super) struct Bounds {
    bounds: Vec<f64>,
    /// The label of each bucket, that of the one without bound included.
    labels: Vec<String>,
}

impl Bounds {
    pub(super) fn new(bounds: &[f64]) -> Self {
        let finite = bounds.iter().map(|bound| format!("le=\"{bound}\""));
        Self {
            labels: finite.chain(["le=\"+Inf\"".to_owned()]).collect(),
            bounds: bounds.to_vec(),
        }
    }
}

impl Buckets {
    pub(super) fn new(bounds: &Arc<Bounds>) -> Self {
        Self {
            bounds: bounds.clone(),
            counts: bounds.labels.iter().map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicF64::new(0.0),
        }
    }

    pub(super) fn observe(&self, value: f64) {
        let bucket = self.bounds.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].inc_by(1);
        self.sum.inc_by(value);
    }
}

impl Value for Buckets {
    fn write(&self, text: &mut Vec<u8>, name: &str, labels: &str) {
        let mut total = 0;
        for (bound, count) in self.bounds.labels.iter().zip(&self.counts) {
            total += count.get();
            begin(text, name, "_bucket", labels, bound);
            whole(text, total);
        }
        begin(text, name, "_sum", labels, "");
        number(text, self.sum.get());
        begin(text, name, "_count", labels, "");
        whole(text, total);
    }
}

/// Everything on a line before the value.
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
