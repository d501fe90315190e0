//! One scrape in the text format 0.0.4, parsed as Prometheus does.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

/// The content of one scrape.
pub struct Scrape {
    pub text: String,
    /// Family → type.
    pub types: BTreeMap<String, String>,
    pub samples: Vec<Sample>,
}

pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Scrape {
    pub fn parse(text: String) -> Result<Self> {
        let mut types = BTreeMap::new();
        let mut samples = Vec::new();
        for line in text.lines() {
            if let Some(declared) = line.strip_prefix("# TYPE ") {
                let (name, kind) = declared.split_once(' ').context("a type without a name")?;
                types.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') {
                samples.push(Sample::parse(line).with_context(|| format!("cannot read {line}"))?);
            }
        }
        Ok(Self {
            text,
            types,
            samples,
        })
    }

    /// Every series, without values.
    pub fn series(&self) -> BTreeSet<String> {
        let series = |sample: &Sample| format!("{}{:?}", sample.name, sample.labels);
        self.samples.iter().map(series).collect()
    }

    pub fn of<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&str, &str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.samples
            .iter()
            .filter(move |sample| sample.name == name && sample.has(labels))
    }

    /// The value of the only series with this name and these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        let mut samples = self.of(name, labels);
        let sample = samples
            .next()
            .with_context(|| format!("no {name} with {labels:?}"))?;
        anyhow::ensure!(
            samples.next().is_none(),
            "more than one {name} with {labels:?}"
        );
        Ok(sample.value)
    }

    /// The sum over all series with this name and these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.of(name, labels).map(|sample| sample.value).sum()
    }

    /// Whether any series has this registry as a label.
    pub fn mentions(&self, registry: &str) -> bool {
        self.samples
            .iter()
            .any(|sample| sample.has(&[("registry", registry)]))
    }
}

impl Sample {
    fn parse(line: &str) -> Result<Self> {
        let (series, value) = line.rsplit_once(' ').context("no value")?;
        let (name, mut rest) = match series.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}').context("no closing brace")?),
            None => (series, ""),
        };
        let mut labels = BTreeMap::new();
        while !rest.is_empty() {
            let (label, quoted) = rest.split_once("=\"").context("no quoted value")?;
            let (value, after) = unquote(quoted).context("no closing quote")?;
            let twice = labels.insert(label.to_owned(), value);
            anyhow::ensure!(twice.is_none(), "{label} twice");
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        Ok(Self {
            name: name.to_owned(),
            labels,
            value: value.parse()?,
        })
    }

    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels
            .iter()
            .all(|(name, value)| self.labels.get(*name).is_some_and(|held| held == value))
    }
}

/// The value before the closing quote, and the rest.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    loop {
        match letters.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => value.push(match letters.next()?.1 {
                'n' => '\n',
                escaped => escaped,
            }),
            (_, letter) => value.push(letter),
        }
    }
}
