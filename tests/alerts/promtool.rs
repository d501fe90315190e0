//! The rules by promtool: that they are rules, what each alert fires at and what it does not, and
//! that whatever the agent finds is told by one alert.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use regprobe_probes::Code;

use crate::rules::{self, Case};
use crate::runbooks;

/// What every day brings, of which no alert may make anything.
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

fn promtool(command: &[&str], files: &[impl AsRef<Path>]) -> Result<()> {
    let out = Command::new("/usr/bin/promtool")
        .args(command)
        .args(files.iter().map(AsRef::as_ref))
        .output()?;
    let said = String::from_utf8_lossy(&[&*out.stdout, &out.stderr].concat()).into_owned();
    ensure!(out.status.success(), "{said}");
    Ok(())
}

/// Every rule fires in one case at least, and in another one, which has series that it reads, it does
/// not.
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
            writeln!(untested, "{} fires in no test", rule.told())?;
        }
        if !near.any(|case| case.expects_none(&rule)) {
            writeln!(
                untested,
                "{} has no test in which it stays quiet",
                rule.told()
            )?;
        }
    }
    ensure!(untested.is_empty(), "\n{untested}");
    Ok(())
}

/// A rollout, a restart, scrapes and probes that fail: with everything there that an alert reads, and
/// no alert of any name.
pub(crate) fn every_day_is_quiet() -> Result<()> {
    let recorded = rules::recording_rules()?;
    let exprs: String = rules::alerts()?.into_iter().map(|rule| rule.expr).collect();
    let mut read = rules::metrics(&exprs, &recorded);
    // Of the cluster's own exporter, which may be missing; and what appears with the first failure.
    read.retain(|metric| !metric.starts_with("kube_") && metric != "regprobe_stage_failures_total");
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

/// Whatever is found, on each of three nodes or on one of four, at the login server or at an endpoint
/// for data: one alert tells of it, and none else.
pub(crate) fn a_finding_is_one_alert() -> Result<()> {
    let mut series = String::new();
    let mut expected = String::new();
    for code in Code::ALL {
        for severity in runbooks::severities(*code)? {
            for role in ["login", "data"] {
                for (nodes, with_it) in [(3, 3), (4, 1)] {
                    let cluster = format!("{code}-{severity}-{role}-{with_it}");
                    write_series(&mut series, &cluster, nodes, with_it, *code, severity, role)?;
                    let alert = alert_of(*code, severity, role, with_it > 1);
                    writeln!(
                        expected,
                        "      - {{labels: '{{cluster=\"{cluster}\", alertname=\"{alert}\"}}', value: 1}}"
                    )?;
                }
            }
        }
    }
    let rule_files = ["rules.yaml", "alerts.yaml"].map(rules::file);
    let test = format!(
        "rule_files: {rule_files:?}\n\
         group_eval_order: [regprobe.rules, regprobe.fleet, regprobe.alerts]\n\
         evaluation_interval: 1m\n\
         tests:\n\
         - interval: 1m\n  \
           input_series:\n{series}  \
           promql_expr_test:\n  \
           - eval_time: 40m\n    \
             expr: count by (cluster, alertname) (ALERTS{{alertstate=\"firing\"}})\n    \
             exp_samples:\n{expected}"
    );
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("findings.yaml");
    fs::write(&file, test)?;
    promtool(&["test", "rules"], &[file])
}

/// The one that is to tell of it.
pub(crate) fn alert_of(code: Code, severity: &str, role: &str, is_on_many: bool) -> &'static str {
    match code {
        Code::PrivateLinkZoneNotLinked
        | Code::PrivateLinkRecordMissing
        | Code::PrivateLinkShadowZone
        | Code::PublicAddress
        | Code::UnexpectedAddress => "RegprobePrivateLinkDrift",
        Code::NameserverDown | Code::NameserverFailing | Code::NoNameserver => {
            "RegprobeNameserverFailing"
        }
        Code::NameserversDisagree => "RegprobeNameserversDisagree",
        Code::CertificateExpiringSoon => "RegprobeCertificateExpiring",
        Code::Throttled => "RegprobeThrottled",
        _ => match (severity, role) {
            ("warning", _) => "RegprobeRegistryDegraded",
            (_, "data") => "RegprobeDataEndpointFailing",
            _ if is_on_many => "RegprobeRegistryFailingOnManyNodes",
            _ => "RegprobeRegistryFailing",
        },
    }
}

/// What Prometheus scrapes from the nodes of a cluster of which some have a finding.
fn write_series(
    series: &mut String,
    cluster: &str,
    nodes: u32,
    with_it: u32,
    code: Code,
    severity: &str,
    role: &str,
) -> Result<()> {
    for node in 0..nodes {
        let of_node = format!("cluster=\"{cluster}\", node=\"n{node}\"");
        let of_endpoint =
            format!("{of_node}, registry=\"contoso\", endpoint=\"{role}.example:443\"");
        let mut add = |name: &str, labels: &str, values: &str| {
            writeln!(
                series,
                "  - {{series: '{name}{{{labels}}}', values: {values}}}"
            )
        };
        add("up", &format!("{of_node}, job=\"regprobe\""), "1x40")?;
        add("regprobe_build_info", &of_node, "1x40")?;
        add(
            "regprobe_registry_verdict",
            &format!("{of_node}, registry=\"contoso\""),
            "1x40",
        )?;
        if node >= with_it {
            continue;
        }
        let finding =
            format!("{of_endpoint}, role=\"{role}\", code=\"{code}\", severity=\"{severity}\"");
        add("regprobe_finding", &finding, "1x40")?;
        // What the alert about it reads beside it.
        let result = match code {
            Code::NameserverDown => "timeout",
            Code::NameserverFailing => "servfail",
            Code::CertificateExpiringSoon => {
                let name = "regprobe_tls_certificate_not_after_timestamp_seconds";
                add(name, &of_endpoint, "864000x40")?;
                continue;
            }
            _ => continue,
        };
        let lookups = format!("{of_endpoint}, nameserver=\"10.0.0.4:53\", result=\"{result}\"");
        add("regprobe_dns_lookups_total", &lookups, "0+2x40")?;
    }
    Ok(())
}
