//! The rules, checked by promtool: whether they are valid, and when each alert fires and when not.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::rules::{self, Case};

/// Everyday events, which must not raise any alert.
const QUIET: &str = "tests/quiet.yaml";

pub(crate) fn rules_are_rules() -> Result<()> {
    promtool(
        &["check", "rules"],
        &["rules.yaml", "alerts.yaml"].map(rules::file),
    )
}

pub(crate) fn tests_pass() -> Result<()> {
    promtool(&["test", "rules"], &rules::test_files()?)
}

pub(crate) fn promtool(command: &[&str], files: &[impl AsRef<Path>]) -> Result<()> {
    let out = Command::new("/usr/bin/promtool")
        .args(command)
        .args(files.iter().map(AsRef::as_ref))
        .output()?;
    let said = String::from_utf8_lossy(&[&*out.stdout, &out.stderr].concat()).into_owned();
    ensure!(out.status.success(), "{said}");
    Ok(())
}

/// Every alert fires in at least one case, and stays quiet in another one with series that it reads.
pub(crate) fn every_alert_is_tested() -> Result<()> {
    let recorded = rules::recording_rules()?;
    let files = rules::test_files()?.into_iter();
    let files = files.filter(|file| *file != rules::file(QUIET));
    let cases: Vec<_> = files
        .map(|file| rules::cases(&file))
        .collect::<Result<_>>()?;
    let mut untested = String::new();
    for rule in rules::alerts()? {
        let read = rules::metrics(&rule.expr, &recorded);
        let is_near = |case: &&Case| case.metrics().iter().any(|metric| read.contains(*metric));
        let mut near = cases.iter().flatten().filter(is_near);
        if !near.clone().any(|case| case.expects(&rule)) {
            writeln!(untested, "{} fires in no test", rule.title())?;
        }
        if !near.any(|case| case.expects_none(&rule)) {
            writeln!(
                untested,
                "{} has no test in which it stays quiet",
                rule.title()
            )?;
        }
    }
    ensure!(untested.is_empty(), "\n{untested}");
    Ok(())
}

/// A rollout, a restart, failed scrapes and lost probes: every metric that an alert reads is present, and
/// no alert fires.
pub(crate) fn every_day_is_quiet() -> Result<()> {
    let recorded = rules::recording_rules()?;
    let exprs: String = rules::alerts()?.into_iter().map(|rule| rule.expr).collect();
    let mut read = rules::metrics(&exprs, &recorded);
    // The cluster's own exporters may be missing, and this counter appears with the first failure.
    read.retain(|metric| !metric.starts_with("kube") && metric != "regprobe_stage_failures_total");
    let cases = rules::cases(&rules::file(QUIET))?;
    for event in ["rollout", "restart", "scrapes fail", "probes are lost"] {
        let case = cases.iter().find(|case| case.name.contains(event));
        let case = case.with_context(|| format!("no case of {event}"))?;
        let there: BTreeSet<_> = case.metrics().into_iter().map(str::to_owned).collect();
        let missing: Vec<_> = read.difference(&there).collect();
        ensure!(missing.is_empty(), "{}: no {missing:?}", case.name);
        let [test] = &*case.promql_expr_test else {
            anyhow::bail!("{}: not one expectation", case.name);
        };
        ensure!(
            test.expr
                .starts_with(r#"count_over_time(ALERTS{alertstate="firing"}["#)
                && test.exp_samples.is_empty(),
            "{}: {}",
            case.name,
            test.expr
        );
    }
    Ok(())
}
