//! Whatever the agent finds, on few nodes or on many: one alert tells of it, and none else. promtool is
//! given clusters that are written here, one for each case.

use std::fmt::Write as _;
use std::fs;

use anyhow::Result;
use regprobe_probes::Code;

use crate::promtool::promtool;
use crate::rules;
use crate::runbooks;

/// A cluster some of whose nodes have a finding.
struct Cluster {
    nodes: usize,
    with_it: usize,
    code: Code,
    severity: &'static str,
    role: &'static str,
    /// Whether those that have it are many, by the measure of the rules.
    is_on_many: bool,
}

/// On each of three nodes and on one of four, at the login server and at an endpoint for data.
pub(crate) fn are_one_alert_each() -> Result<()> {
    let mut clusters = Vec::new();
    for code in Code::ALL {
        for severity in runbooks::severities(*code)? {
            for role in ["login", "data"] {
                let cluster = |nodes, with_it| Cluster {
                    nodes,
                    with_it,
                    code: *code,
                    severity,
                    role,
                    is_on_many: with_it > 1,
                };
                clusters.extend([cluster(3, 3), cluster(4, 1)]);
            }
        }
    }
    are_told(&clusters)
}

/// Three that are a tenth of all are many, and thirty of however many, for a zone may have no more.
pub(crate) fn many_are_told_as_one() -> Result<()> {
    let measures = [
        (5, 2, false),
        (5, 3, true),
        (31, 3, false),
        (30, 3, true),
        (400, 29, false),
        (400, 30, true),
    ];
    for (code, role) in [
        (Code::PrivateEndpointTimeout, "login"),
        (Code::PrivateEndpointTimeout, "data"),
        (Code::PrivateLinkRecordMissing, "login"),
        (Code::NameserverDown, "login"),
    ] {
        // One promtool for each: it loads no more than so many samples.
        are_told(&measures.map(|(nodes, with_it, is_on_many)| Cluster {
            nodes,
            with_it,
            code,
            severity: "critical",
            role,
            is_on_many,
        }))?;
    }
    Ok(())
}

fn are_told(clusters: &[Cluster]) -> Result<()> {
    let mut series = String::new();
    let mut expected = String::new();
    for cluster in clusters {
        cluster.write_series(&mut series)?;
        writeln!(expected, "      - {}", cluster.expected())?;
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
           - eval_time: 30m\n    \
             expr: count by (cluster, alertname, severity) (ALERTS{{alertstate=\"firing\"}})\n    \
             exp_samples:\n{expected}"
    );
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("findings.yaml");
    fs::write(&file, test)?;
    promtool(&["test", "rules"], &[file])
}

impl Cluster {
    fn name(&self) -> String {
        let Self {
            code,
            severity,
            role,
            nodes,
            with_it,
            ..
        } = self;
        format!("{code}-{severity}-{role}-{with_it}-of-{nodes}")
    }

    /// The alerts, in promtool's words.
    fn expected(&self) -> String {
        let alert = alert_of(self.code, self.severity, self.role, self.is_on_many);
        // That requests are turned down is a matter of their share, of which nothing is told here.
        let is_page =
            self.is_on_many && self.severity == "critical" && self.code != Code::Throttled;
        let severity = if is_page { "critical" } else { "warning" };
        let each = alert == "RegprobeRegistryFailing";
        let count = if each { self.with_it } else { 1 };
        let cluster = self.name();
        format!(
            "{{labels: '{{cluster=\"{cluster}\", alertname=\"{alert}\", severity=\"{severity}\"}}', \
             value: {count}}}"
        )
    }

    /// What Prometheus scrapes from its nodes.
    fn write_series(&self, series: &mut String) -> Result<()> {
        let (cluster, code, role) = (self.name(), self.code, self.role);
        let mut add = |name: &str, labels: &str, values: &str| {
            writeln!(
                series,
                "  - {{series: '{name}{{{labels}}}', values: {values}}}"
            )
        };
        // One agent is enough for those of which it tells that there is none.
        add(
            "up",
            &format!("cluster=\"{cluster}\", job=\"regprobe\""),
            "1x30",
        )?;
        for node in 0..self.nodes {
            let node = format!("cluster=\"{cluster}\", node=\"n{node}\"");
            let registry = format!("{node}, registry=\"contoso\"");
            add("regprobe_registry_verdict", &registry, "1x30")?;
        }
        for node in 0..self.with_it {
            let node = format!("cluster=\"{cluster}\", node=\"n{node}\"");
            let endpoint = format!("{node}, registry=\"contoso\", endpoint=\"{role}.example:443\"");
            let finding = format!(
                "{endpoint}, role=\"{role}\", code=\"{code}\", severity=\"{}\"",
                self.severity
            );
            add("regprobe_build_info", &node, "1x30")?;
            add("regprobe_finding", &finding, "1x30")?;
            // What the alert about it reads beside it.
            let mut lookups = |result: &str| {
                let nameserver = format!("nameserver=\"10.0.0.4:53\", result=\"{result}\"");
                let labels = format!("{endpoint}, {nameserver}");
                add("regprobe_dns_lookups_total", &labels, "0+2x30")
            };
            match code {
                Code::NameserverDown => lookups("timeout")?,
                Code::NameserverFailing => lookups("servfail")?,
                Code::CertificateExpiringSoon => {
                    let name = "regprobe_tls_certificate_not_after_timestamp_seconds";
                    add(name, &endpoint, "864000x30")?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The one that is to tell of a finding.
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
