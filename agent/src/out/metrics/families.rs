//! Metric families and their text, the exposition format 0.0.4. Metrics of the Prometheus library each
//! keep a description of their own, and its encoder makes a message of every series before it writes a
//! line, which takes too much for a hundred thousand of them; here every series keeps its labels as the
//! text that a scrape shows, and a scrape writes numbers between texts.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hash, Hasher},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::values::{Bounds, Counter, Gauge, Histogram, Value};

const PREFIX: &str = "regprobe";

/// All families, in the order in which they were made.
#[derive(Default)]
pub(super) struct Families(Vec<Box<dyn Encode + Send + Sync>>);

impl Families {
    pub(super) fn counter(&mut self, name: &str, help: &str, labels: Labels) -> Family<Counter> {
        self.family(name, help, labels, "counter", Counter::new)
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, labels: Labels) -> Family<Gauge> {
        self.family(name, help, labels, "gauge", Gauge::new)
    }

    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        labels: Labels,
        bounds: &[f64],
    ) -> Family<Histogram> {
        let bounds = Arc::new(Bounds::new(bounds));
        let make = move || Histogram::new(bounds.clone());
        self.family(name, help, labels, "histogram", make)
    }

    fn family<V: Value + Clone + Send + Sync + 'static>(
        &mut self,
        name: &str,
        help: &str,
        labels: Labels,
        kind: &str,
        make: impl Fn() -> V + Send + Sync + 'static,
    ) -> Family<V> {
        let name = format!("{PREFIX}_{name}");
        let family = Family(Arc::new(Inner {
            head: format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"),
            name,
            labels,
            make: Box::new(make),
            hashes: DefaultHashBuilder::default(),
            series: Mutex::new(Series {
                by_text: BTreeMap::new(),
                by_values: HashTable::new(),
            }),
        }));
        self.0.push(Box::new(family.clone()));
        family
    }

    /// Writes down more of what comes after `place`, until `text` is as long as a piece, or all is
    /// written; tells whether that is so.
    pub(super) fn encode(&self, text: &mut Vec<u8>, place: &mut Place) -> bool {
        while let Some(family) = self.0.get(place.family) {
            if text.len() >= PIECE {
                return false;
            }
            place.after = family.encode(text, place.after.take());
            if place.after.is_some() {
                return false;
            }
            place.family += 1;
        }
        true
    }
}

/// From this length on nothing more is written into a piece.
pub(super) const PIECE: usize = 64 * 1024;

/// How far a text is written.
#[derive(Default)]
pub(super) struct Place {
    family: usize,
    /// The last series of it that is written, by its labels.
    after: Option<Arc<str>>,
}

/// Names of labels.
type Labels = &'static [&'static str];

/// The series of one name.
pub(super) struct Family<V>(Arc<Inner<V>>);

struct Inner<V> {
    name: String,
    head: String,
    labels: Labels,
    make: Box<dyn Fn() -> V + Send + Sync>,
    hashes: DefaultHashBuilder,
    series: Mutex<Series<V>>,
}

struct Series<V> {
    /// By their labels as text, as `registry="contoso",stage="tls"`: as a scrape has them.
    by_text: BTreeMap<Arc<str>, V>,
    /// By the values of their labels, as every round asks for them: no text needs to be made.
    by_values: HashTable<Known<V>>,
}

struct Known<V> {
    /// Of the values.
    hash: u64,
    text: Arc<str>,
    value: V,
}

impl<V> Clone for Family<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V: Clone> Family<V> {
    /// The series with these labels, in the order of their names; it is there from now on.
    pub(super) fn with_label_values<S: AsRef<str>>(&self, values: &[S]) -> V {
        let hash = self.hash(values);
        let mut series = self.series();
        let known = |known: &Known<V>| self.is_text_of(values, &known.text);
        if let Some(known) = series.by_values.find(hash, known) {
            return known.value.clone();
        }
        let text: Arc<str> = self.text(values).into();
        let value = (self.0.make)();
        series.by_text.insert(text.clone(), value.clone());
        let known = Known {
            hash,
            text,
            value: value.clone(),
        };
        series
            .by_values
            .insert_unique(hash, known, |known| known.hash);
        value
    }

    /// Takes a series away, if it is there.
    pub(super) fn remove<S: AsRef<str>>(&self, values: &[S]) {
        let hash = self.hash(values);
        let mut series = self.series();
        let known = |known: &Known<V>| self.is_text_of(values, &known.text);
        if let Ok(known) = series.by_values.find_entry(hash, known) {
            let (known, _) = known.remove();
            series.by_text.remove(&known.text);
        }
    }

    /// Takes every series away whose labels are among others `matching`. It walks the whole family,
    /// so it is for what seldom happens.
    pub(super) fn forget(&self, matching: &[(&str, &str)]) {
        let pairs = matching.iter().map(|(name, value)| pair(name, value));
        let pairs: Vec<_> = pairs.collect();
        // A quote in a value is escaped, so what looks like a pair is one.
        let stays = |text: &str| {
            let text = format!(",{text},");
            !pairs.iter().all(|pair| text.contains(&format!(",{pair},")))
        };
        let series = &mut *self.series();
        series.by_text.retain(|text, _| stays(text));
        series.by_values.retain(|known| stays(&known.text));
    }

    fn hash(&self, values: &[impl AsRef<str>]) -> u64 {
        let mut hasher = self.0.hashes.build_hasher();
        values
            .iter()
            .for_each(|value| value.as_ref().hash(&mut hasher));
        hasher.finish()
    }

    /// Whether this is what [`Self::text`] makes of the values, of which it has the hash: they stand in it one
    /// after the other, with the names of labels between.
    fn is_text_of(&self, values: &[impl AsRef<str>], text: &str) -> bool {
        let mut rest = text.as_bytes();
        let labels = self.0.labels.iter().zip(values);
        let is_there = labels.enumerate().all(|(place, (name, value))| {
            let before = usize::from(place > 0) + name.len() + "=\"".len();
            let after = rest
                .get(before..)
                .and_then(|rest| rest.strip_prefix(value.as_ref().as_bytes()))
                .and_then(|rest| rest.strip_prefix(b"\""));
            rest = after.unwrap_or_default();
            after.is_some()
        });
        // A value that is escaped is not found as it is.
        is_there || text == self.text(values)
    }

    fn text(&self, values: &[impl AsRef<str>]) -> String {
        debug_assert_eq!(values.len(), self.0.labels.len(), "{}", self.0.name);
        let mut text = String::with_capacity(128);
        for (name, value) in self.0.labels.iter().zip(values) {
            if !text.is_empty() {
                text.push(',');
            }
            write_pair(&mut text, name, value.as_ref());
        }
        text
    }

    fn series(&self) -> MutexGuard<'_, Series<V>> {
        self.0.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pair(name: &str, value: &str) -> String {
    let mut text = String::new();
    write_pair(&mut text, name, value);
    text
}

fn write_pair(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push_str("=\"");
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            letter => text.push(letter),
        }
    }
    text.push('"');
}

trait Encode {
    /// Writes down series, at least one, those before and up to `after` left out; returns the last one
    /// that there was room for, if there may be more.
    fn encode(&self, text: &mut Vec<u8>, after: Option<Arc<str>>) -> Option<Arc<str>>;
}

impl<V: Value + Clone> Encode for Family<V> {
    fn encode(&self, text: &mut Vec<u8>, after: Option<Arc<str>>) -> Option<Arc<str>> {
        let series = self.series();
        let from = match &after {
            Some(after) => Bound::Excluded(&**after),
            None if series.by_text.is_empty() => return None,
            None => Bound::Unbounded,
        };
        if after.is_none() {
            text.extend_from_slice(self.0.head.as_bytes());
        }
        let mut rest = series.by_text.range::<str, _>((from, Bound::Unbounded));
        loop {
            let (labels, value) = rest.next()?;
            value.encode(text, &self.0.name, labels);
            if text.len() >= PIECE {
                return Some(labels.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(families: &Families) -> String {
        let mut text = Vec::new();
        assert!(families.encode(&mut text, &mut Place::default()));
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_is_too_long_comes_in_pieces_and_nothing_is_lost_between_them() {
        // Around as many series as fill a piece, and two.
        for count in (2080..2130).chain(4200..4230) {
            let mut families = Families::default();
            let mut expected = String::new();
            for (name, count) in [("one", count), ("other", 3)] {
                let name = format!("{name}_total");
                let family = families.counter(&name, "Things.", &["a"]);
                expected += &format!("# HELP regprobe_{name} Things.\n");
                expected += &format!("# TYPE regprobe_{name} counter\n");
                for number in 1000..1000 + count {
                    family.with_label_values(&[number.to_string()]);
                    expected += &format!("regprobe_{name}{{a=\"{number}\"}} 0\n");
                }
            }
            let (mut place, mut all, mut is_all) = (Place::default(), Vec::new(), false);
            while !is_all {
                let mut piece = Vec::new();
                is_all = families.encode(&mut piece, &mut place);
                assert!(piece.len() < PIECE + 200);
                all.extend(piece);
            }
            assert_eq!(String::from_utf8(all).unwrap(), expected, "{count}");
        }
    }

    #[test]
    fn series_are_written_as_prometheus_reads_them() {
        let mut families = Families::default();
        let counter = families.counter("tries_total", "Tries.", &["a", "b"]);
        let gauge = families.gauge("level", "A level.", &[]);
        let histogram = families.histogram("time_seconds", "Time.", &["a"], &[0.5, 10.0]);
        assert_eq!(text(&families), "", "a family without series is not there");
        counter.with_label_values(&["x", "y"]).inc_by(12);
        for _ in 0..2 {
            counter.with_label_values(&["w", "q\"\\\n"]).inc();
        }
        gauge.with_label_values::<&str>(&[]).set(-0.25);
        for time in [0.5, 0.6, 11.0] {
            histogram.with_label_values(&["x"]).observe(time);
        }
        assert_eq!(
            text(&families),
            r#"# HELP regprobe_tries_total Tries.
# TYPE regprobe_tries_total counter
regprobe_tries_total{a="w",b="q\"\\\n"} 2
regprobe_tries_total{a="x",b="y"} 12
# HELP regprobe_level A level.
# TYPE regprobe_level gauge
regprobe_level -0.25
# HELP regprobe_time_seconds Time.
# TYPE regprobe_time_seconds histogram
regprobe_time_seconds_bucket{a="x",le="0.5"} 1
regprobe_time_seconds_bucket{a="x",le="10"} 2
regprobe_time_seconds_bucket{a="x",le="+Inf"} 3
regprobe_time_seconds_sum{a="x"} 12.1
regprobe_time_seconds_count{a="x"} 3
"#
        );
    }

    #[test]
    fn series_go_by_one_label_or_by_all() {
        let mut families = Families::default();
        let family = families.gauge("g", "G.", &["a", "b"]);
        for labels in [["1", "x"], ["1", "y"], ["11", "x"], ["b=\"1", "z"]] {
            family.with_label_values(&labels).set(1.0);
        }
        family.remove(&["1", "y"]);
        assert!(!text(&families).contains('y'));
        family.remove(&["none", "y"]);
        family.forget(&[("a", "1")]);
        let left = text(&families);
        assert_eq!(left.lines().count(), 4, "{left}");
        family.forget(&[("b", "1")]);
        assert_eq!(text(&families), left);
        family.forget(&[("b", "x"), ("a", "11")]);
        assert_eq!(text(&families).lines().count(), 3);
    }
}
