//! The Grafana dashboards: they match their sources, are complete, and every query of every panel and
//! variable returns data from a real Prometheus that scrapes real agents.

mod cluster;
mod grafana;
pub(crate) mod pictures;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::need::Need;
use regprobe_harness::output::json::{items, text};
use regprobe_harness::program::printed;
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::wait;
use serde_json::Value;

use self::cluster::{CLUSTER, Cluster, NODE};
use self::grafana::{Dashboard, Panel, RANGE, Target, Variable, interpolate};

/// Timeout until a rate has enough samples.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn suite() -> Suite {
    Suite::of([
        test("they match their sources", are_current).needs([Need::DASHBOARD_SDK]),
        test("panels do not overlap and are complete", panels_are_whole),
        test("every query returns data", queries_give_data).needs([Need::PROMETHEUS]),
    ])
}

fn are_current() -> Result<()> {
    let made = tempfile::tempdir()?;
    let out = Command::new("npm")
        .args(["run", "--silent", "generate", "--"])
        .arg(made.path())
        .current_dir(Path::new(grafana::FOLDER).join("src"))
        .output()?;
    ensure!(out.status.success(), "{}", printed(&out));
    for dashboard in Dashboard::read_all()? {
        let file = format!("{}.json", dashboard.uid());
        let committed = fs::read(Path::new(grafana::FOLDER).join(&file))?;
        ensure!(
            fs::read(made.path().join(&file)).ok() == Some(committed),
            "{file} is not what its sources make: run npm run generate in deploy/grafana/src"
        );
    }
    Ok(())
}

fn panels_are_whole() -> Result<()> {
    let dashboards = Dashboard::read_all()?;
    let uids: BTreeSet<_> = dashboards.iter().map(Dashboard::uid).collect();
    for dashboard in &dashboards {
        let mut taken = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for panel in dashboard.panels() {
            is_whole(panel, &uids)
                .with_context(|| format!("{}: {}", dashboard.uid(), panel.title()))?;
            ensure!(
                ids.insert(panel.0["id"].as_u64()),
                "two panels have the same id"
            );
            for cell in cells(panel)? {
                if let Some(other) = taken.insert(cell, panel.title()) {
                    bail!("{other} and {} overlap", panel.title());
                }
            }
        }
    }
    Ok(())
}

fn is_whole(panel: Panel<'_>, uids: &BTreeSet<&str>) -> Result<()> {
    ensure!(!panel.title().is_empty(), "no title");
    if panel.kind() == "row" {
        return Ok(());
    }
    ensure!(!text(&panel.0["description"]).is_empty(), "no description");
    ensure!(panel.0["datasource"]["uid"] == "${datasource}");
    let defaults = &panel.0["fieldConfig"]["defaults"];
    ensure!(
        defaults["noValue"].is_string(),
        "says nothing where there is no data"
    );
    if panel.kind() != "table" {
        ensure!(
            defaults["unit"].is_string() || defaults["mappings"].is_array(),
            "no unit"
        );
    }
    if panel.kind() == "state-timeline" {
        // Otherwise Grafana shows the thresholds instead of the values and their meaning.
        ensure!(
            defaults["color"]["mode"] != "thresholds",
            "coloured by thresholds"
        );
        ensure!(defaults["mappings"].is_array(), "values without a colour");
    }
    for mapping in items(&defaults["mappings"]).filter(|mapping| mapping["type"] == "range") {
        // Grafana reads null as 0, and no value is above 1 and below 0.
        let (from, to) = (&mapping["options"]["from"], &mapping["options"]["to"]);
        ensure!(from.is_number() && to.is_number(), "an open end: {mapping}");
    }
    for url in panel.links() {
        if let Some(within) = url.strip_prefix("/d/") {
            let uid = within.split('?').next().unwrap_or_default();
            ensure!(uids.contains(uid), "no dashboard for {url}");
        }
    }
    Ok(())
}

/// The cells of Grafana's grid of 24 columns that a panel covers.
fn cells(panel: Panel<'_>) -> Result<Vec<(u64, u64)>> {
    let at = |side: &str| panel.0["gridPos"][side].as_u64().context("no place");
    let (x, y, width, height) = (at("x")?, at("y")?, at("w")?, at("h")?);
    ensure!(x + width <= 24, "{} is beyond the edge", panel.title());
    Ok((x..x + width)
        .flat_map(|x| (y..y + height).map(move |y| (x, y)))
        .collect())
}

/// A code's link leads to the runbook that the agent names.
fn leads_to_runbooks(dashboard: &Dashboard, agent: &Agent) -> Result<()> {
    let status = agent.status()?;
    let registries = items(&status["registries"]);
    let finding = registries
        .flat_map(|registry| items(&registry["findings"]))
        .next()
        .context("the agent found nothing")?;
    let links = dashboard.panels().flat_map(Panel::links);
    let leads = |link: &&str| {
        link.replace("${__value.raw}", text(&finding["code"])) == text(&finding["runbook"])
    };
    ensure!(links.filter(leads).count() > 0, "none leads to {finding}");
    Ok(())
}

fn queries_give_data() -> Result<()> {
    let cluster = Cluster::start()?;
    for dashboard in Dashboard::read_all()? {
        let name = || dashboard.uid().to_owned();
        leads_to_runbooks(&dashboard, &cluster.agent).with_context(name)?;
        gives_data(&dashboard, &cluster).with_context(name)?;
        keeps_to_the_choice(&dashboard, &cluster).with_context(name)?;
    }
    Ok(())
}

/// With everything selected, and with only the cluster and the node that have every fault.
fn gives_data(dashboard: &Dashboard, cluster: &Cluster) -> Result<()> {
    let all = everything(dashboard);
    let one = all.iter().map(|(name, value)| match *name {
        "cluster" => (*name, CLUSTER.to_owned()),
        "node" => (*name, NODE.to_owned()),
        _ => (*name, value.clone()),
    });
    for chosen in [all.clone(), one.collect()] {
        for panel in dashboard.panels() {
            let answers = wait::until(panel.title(), PATIENCE, || {
                let answers = panel.targets().map(|target| {
                    let answer = ask(target, &chosen, cluster)?;
                    ensure!(!answer.is_empty(), "no data: {}", target.expr());
                    Ok((target, answer))
                });
                answers.collect::<Result<Vec<_>>>()
            })?;
            shows_its_labels(panel, &answers).with_context(|| panel.title().to_owned())?;
        }
    }
    Ok(())
}

/// Legends and column headings name labels of the series, and series by node have a limit.
fn shows_its_labels(panel: Panel<'_>, answers: &[(Target<'_>, Vec<Labels>)]) -> Result<()> {
    let mut columns = panel.columns();
    for (target, series) in answers {
        let labels: BTreeSet<_> = series.iter().flat_map(BTreeMap::keys).collect();
        for label in target.labels_of_legend() {
            ensure!(labels.contains(&label.to_owned()), "no {label}: {labels:?}");
        }
        if labels.contains(&"node".to_owned()) && !target.is_of_one_node() {
            ensure!(
                target.expr().contains("topk("),
                "all nodes: {}",
                target.expr()
            );
        }
        columns.retain(|column| !labels.contains(&(*column).to_owned()));
        columns.retain(|column| *column != format!("Value #{}", target.id()));
    }
    columns.retain(|column| *column != "Value" || answers.len() != 1);
    ensure!(columns.is_empty(), "nothing for the columns {columns:?}");
    Ok(())
}

/// With any value of a variable selected, no query returns series of another value.
fn keeps_to_the_choice(dashboard: &Dashboard, cluster: &Cluster) -> Result<()> {
    for variable in dashboard.variables() {
        let (series, label) = variable.series_and_label()?;
        let series = interpolate(series, &everything(dashboard))?;
        let values = cluster.prometheus.ask(
            &format!("/api/v1/label/{label}/values"),
            &[("match[]", &series)],
        )?;
        ensure!(
            items(&values).count() > 0,
            "no value of {}",
            variable.name()
        );
        for value in items(&values).map(text) {
            let mut chosen = everything(dashboard);
            chosen.retain(|(name, _)| *name != variable.name());
            chosen.push((variable.name(), variable.one(value)));
            for target in dashboard.panels().flat_map(Panel::targets) {
                for series in ask(target, &chosen, cluster)? {
                    let other = series.get(label).filter(|seen| *seen != value);
                    ensure!(other.is_none(), "{other:?} for {value}: {}", target.expr());
                }
            }
        }
    }
    Ok(())
}

/// All values of every variable, or one node for dashboards about a single node.
fn everything(dashboard: &Dashboard) -> Vec<(&str, String)> {
    let value = |variable: Variable<'_>| variable.all().unwrap_or(NODE).to_owned();
    dashboard
        .variables()
        .map(|variable| (variable.name(), value(variable)))
        .collect()
}

type Labels = BTreeMap<String, String>;

/// The series that a query returns, without those that have no number.
fn ask(target: Target<'_>, chosen: &[(&str, String)], cluster: &Cluster) -> Result<Vec<Labels>> {
    let query = interpolate(target.expr(), chosen)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let now = now.as_secs();
    let answer = if target.is_instant() {
        let parameters = [("query", &*query)];
        cluster.prometheus.ask("/api/v1/query", &parameters)?
    } else {
        let parameters = [
            ("query", &*query),
            ("start", &(now - RANGE).to_string()),
            ("end", &now.to_string()),
            ("step", "1"),
        ];
        cluster.prometheus.ask("/api/v1/query_range", &parameters)?
    };
    let has_number = |series: &&Value| {
        let samples = std::iter::once(&series["value"]).chain(items(&series["values"]));
        samples
            .map(|sample| text(&sample[1]))
            .any(|value| value.parse::<f64>().is_ok_and(f64::is_finite))
    };
    items(&answer["result"])
        .filter(has_number)
        .map(|series| Ok(serde_json::from_value(series["metric"].clone())?))
        .collect()
}
