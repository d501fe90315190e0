//! The committed rules, and the cases that promtool tests them with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The folder with the rules and alerts; their tests are in a subfolder.
pub(crate) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/prometheus");

pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

/// A recording rule or an alert.
#[derive(Deserialize)]
pub(crate) struct Rule {
    #[serde(default)]
    pub(crate) alert: String,
    #[serde(default)]
    pub(crate) record: String,
    pub(crate) expr: String,
    #[serde(default, rename = "for")]
    pub(crate) holds: String,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Rule {
    /// Whether an alert with these labels can come from this rule.
    pub(crate) fn gives(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels
            .iter()
            .all(|(name, value)| labels.get(name) == Some(value))
    }

    /// Its name, and the labels that distinguish it from others with that name.
    pub(crate) fn title(&self) -> String {
        format!("{} {:?}", self.alert, self.labels)
    }
}

pub(crate) fn alerts() -> Result<Vec<Rule>> {
    rules_of("alerts.yaml")
}

pub(crate) fn recording_rules() -> Result<Vec<Rule>> {
    rules_of("rules.yaml")
}

fn rules_of(name: &str) -> Result<Vec<Rule>> {
    let rules: Rules = read(&file(name))?;
    Ok(rules
        .groups
        .into_iter()
        .flat_map(|group| group.rules)
        .collect())
}

/// The metrics that an expression reads, directly or through recording rules.
pub(crate) fn metrics(expr: &str, recorded: &[Rule]) -> BTreeSet<String> {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
    let names = expr.split(|letter| !is_of_name(letter));
    let mut metrics = BTreeSet::new();
    for name in names {
        if let Some(rule) = recorded.iter().find(|rule| rule.record == name) {
            metrics.extend(self::metrics(&rule.expr, recorded));
        } else if name == "up"
            || ["regprobe_", "kube_", "kubelet_"]
                .iter()
                .any(|start| name.starts_with(start))
        {
            metrics.insert(name.to_owned());
        }
    }
    metrics
}

#[derive(Deserialize)]
struct Tests {
    tests: Vec<Case>,
}

/// What promtool calls a test group.
#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) input_series: Vec<Series>,
    #[serde(default)]
    pub(crate) alert_rule_test: Vec<AlertTest>,
    #[serde(default)]
    pub(crate) promql_expr_test: Vec<ExprTest>,
}

#[derive(Deserialize)]
pub(crate) struct Series {
    pub(crate) series: String,
}

#[derive(Deserialize)]
pub(crate) struct AlertTest {
    pub(crate) alertname: String,
    #[serde(default)]
    pub(crate) exp_alerts: Vec<Expected>,
}

#[derive(Deserialize)]
pub(crate) struct Expected {
    pub(crate) exp_labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(crate) struct ExprTest {
    pub(crate) expr: String,
    #[serde(default)]
    pub(crate) exp_samples: Vec<Sample>,
}

#[derive(Deserialize)]
pub(crate) struct Sample {
    pub(crate) labels: String,
}

impl Case {
    /// The metrics that it has series for.
    pub(crate) fn metrics(&self) -> BTreeSet<&str> {
        let series = self.input_series.iter();
        series
            .map(|series| series.series.split('{').next().unwrap_or_default())
            .collect()
    }

    /// Whether it expects an alert from this rule at any time.
    pub(crate) fn expects(&self, rule: &Rule) -> bool {
        let mut of_rule = self.alert_tests(rule);
        of_rule.any(|test| {
            test.exp_alerts
                .iter()
                .any(|alert| rule.gives(&alert.exp_labels))
        })
    }

    /// Whether it checks for alerts from this rule and expects none.
    pub(crate) fn expects_none(&self, rule: &Rule) -> bool {
        let is_asked_for = self.alert_tests(rule).next().is_some()
            || self.expr_tests(rule).any(|test| !test.shows(rule));
        is_asked_for && !self.expects(rule) && !self.expr_tests(rule).any(|test| test.shows(rule))
    }

    fn alert_tests(&self, rule: &Rule) -> impl Iterator<Item = &AlertTest> {
        self.alert_rule_test
            .iter()
            .filter(|test| test.alertname == rule.alert)
    }

    fn expr_tests(&self, rule: &Rule) -> impl Iterator<Item = &ExprTest> {
        self.promql_expr_test.iter().filter(|test| test.names(rule))
    }
}

impl ExprTest {
    /// Whether it is about alerts with this name.
    fn names(&self, rule: &Rule) -> bool {
        let mut words = self.expr.split(|letter: char| !letter.is_alphanumeric());
        self.expr.contains("ALERTS{") && words.any(|word| word == rule.alert)
    }

    /// Whether an expected sample can come from this rule.
    fn shows(&self, rule: &Rule) -> bool {
        self.exp_samples.iter().any(|sample| {
            let other = sample.labels.contains("severity=")
                && !sample
                    .labels
                    .contains(&format!("severity={:?}", rule.labels["severity"]));
            sample
                .labels
                .contains(&format!("alertname={:?}", rule.alert))
                && !other
        })
    }
}

/// The files with promtool's tests.
pub(crate) fn test_files() -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(file("tests"))?;
    let mut files: Vec<_> = files.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
    files.sort();
    Ok(files)
}

/// The cases in one of those files.
pub(crate) fn cases(file: &Path) -> Result<Vec<Case>> {
    let tests: Tests = read(file)?;
    ensure!(!tests.tests.is_empty(), "{}: no tests", file.display());
    Ok(tests.tests)
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_yaml::from_str(&text).with_context(|| file.display().to_string())
}
