//! What Grafana does with the JSON of a dashboard: which panels it has, and how it expands a query for
//! Prometheus.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use regprobe_harness::output::json::{items, text};
use serde_json::Value;

/// Where the dashboards are.
pub(crate) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/grafana");

/// The range that the dashboards show: the last five minutes, with a scrape every second.
pub(crate) const RANGE: u64 = 300;
const MACROS: [(&str, &str); 3] = [
    ("$__rate_interval", "4s"),
    ("$__interval", "1s"),
    ("$__range", "300s"),
];

/// A committed dashboard.
pub(crate) struct Dashboard(pub(crate) Value);

impl Dashboard {
    pub(crate) fn read_all() -> Result<Vec<Self>> {
        let mut dashboards = Vec::new();
        for entry in fs::read_dir(FOLDER)? {
            let path: PathBuf = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                let text = fs::read(&path)?;
                let json = serde_json::from_slice(&text);
                dashboards.push(Self(json.with_context(|| path.display().to_string())?));
            }
        }
        ensure!(!dashboards.is_empty(), "no dashboard in {FOLDER}");
        Ok(dashboards)
    }

    pub(crate) fn uid(&self) -> &str {
        text(&self.0["uid"])
    }

    /// Every panel, including row headings.
    pub(crate) fn panels(&self) -> impl Iterator<Item = Panel<'_>> {
        items(&self.0["panels"]).map(Panel)
    }

    /// The variables with a query.
    pub(crate) fn variables(&self) -> impl Iterator<Item = Variable<'_>> {
        let all = items(&self.0["templating"]["list"]);
        all.filter(|variable| variable["type"] == "query")
            .map(Variable)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Panel<'a>(pub(crate) &'a Value);

impl<'a> Panel<'a> {
    pub(crate) fn title(self) -> &'a str {
        text(&self.0["title"])
    }

    pub(crate) fn kind(self) -> &'a str {
        text(&self.0["type"])
    }

    /// The URLs that its values link to.
    pub(crate) fn links(self) -> impl Iterator<Item = &'a str> {
        items(&self.0["fieldConfig"]["overrides"])
            .flat_map(|field| items(&field["properties"]))
            .filter(|property| property["id"] == "links")
            .flat_map(|property| items(&property["value"]))
            .map(|link| text(&link["url"]))
    }

    /// The labels and values that a table has columns for.
    pub(crate) fn columns(self) -> Vec<&'a str> {
        items(&self.0["transformations"])
            .filter_map(|step| step["options"]["includeByName"].as_object())
            .flat_map(|columns| columns.keys().map(String::as_str))
            .collect()
    }

    pub(crate) fn targets(self) -> impl Iterator<Item = Target<'a>> {
        items(&self.0["targets"]).map(Target)
    }
}

/// One query of a panel.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a>(&'a Value);

impl<'a> Target<'a> {
    pub(crate) fn expr(self) -> &'a str {
        text(&self.0["expr"])
    }

    pub(crate) fn id(self) -> &'a str {
        text(&self.0["refId"])
    }

    /// Whether all its series belong to the selected node.
    pub(crate) fn is_of_one_node(self) -> bool {
        self.expr().contains(r#"node="$node""#)
    }

    /// The labels that the legend names, as `{{label}}`.
    pub(crate) fn labels_of_legend(self) -> impl Iterator<Item = &'a str> {
        let pieces = text(&self.0["legendFormat"]).split("{{").skip(1);
        pieces.filter_map(|piece| Some(piece.split_once("}}")?.0))
    }

    pub(crate) fn is_instant(self) -> bool {
        self.0["instant"] == true
    }
}

/// A variable that is filled by `label_values(series, label)`.
#[derive(Clone, Copy)]
pub(crate) struct Variable<'a>(&'a Value);

impl<'a> Variable<'a> {
    pub(crate) fn name(self) -> &'a str {
        text(&self.0["name"])
    }

    /// The series and the label whose values can be selected.
    pub(crate) fn series_and_label(self) -> Result<(&'a str, &'a str)> {
        let query = text(&self.0["query"]["query"]);
        let inner = query
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')'));
        inner
            .and_then(|inner| inner.rsplit_once(", "))
            .with_context(|| format!("{}: {query}", self.name()))
    }

    /// The expansion for "All".
    pub(crate) fn all(self) -> Option<&'a str> {
        self.0["allValue"].as_str()
    }

    /// The expansion for one value: escaped twice, because queries match it as a regular expression.
    pub(crate) fn one(self, value: &str) -> String {
        if self.0["multi"] != true {
            return value.to_owned();
        }
        let mut escaped = String::new();
        for letter in value.chars() {
            if r"\^$*+?.()|[]{}".contains(letter) {
                escaped.push_str(r"\\");
            }
            escaped.push(letter);
        }
        escaped
    }
}

/// A query as Prometheus receives it.
pub(crate) fn interpolate(query: &str, chosen: &[(&str, String)]) -> Result<String> {
    let mut query = query.to_owned();
    for (name, value) in MACROS {
        query = query.replace(name, value);
    }
    for (name, value) in chosen {
        query = query.replace(&format!("${name}"), value);
    }
    if query.contains('$') {
        bail!("no variable of that name: {query}");
    }
    Ok(query)
}
