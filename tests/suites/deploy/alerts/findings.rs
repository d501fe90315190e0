//! Every finding, on few nodes or on many, raises exactly one alert. promtool gets clusters that are
//! generated here, one for each case.

use std::fmt::Write as _;
use std::fs;

use anyhow::Result;
use regprobe_probes::Code;

use super::promtool::promtool;
use super::rules;
use super::runbooks;

/// A cluster in which some nodes have a finding.
struct Cluster {
    nodes: usize,
    with_it: usize,
    code: Code,
    severity: &'static str,
    role: &'static str,
    /// Whether the nodes with the finding count as many by the rules.
    is_on_many: bool,
}

/// On all of three nodes and on one of four, at the login server and at a data endpoint.
pub(crate) fn raise_one_alert_each() -> Result<()> {
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
    check(&clusters)
}

/// Three nodes are many if they are a tenth of all; thirty always are, because a zone may have no more.
pub(crate) fn many_nodes_raise_one_alert() -> Result<()> {
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
        // One promtool run for each, because it limits the number of samples.
        check(&measures.map(|(nodes, with_it, is_on_many)| Cluster {
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

fn check(clusters: &[Cluster]) -> Result<()> {
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

    /// The expected alerts, in promtool's syntax.
    fn expected(&self) -> String {
        let alert = alert_of(self.code, self.severity, self.role, self.is_on_many);
        // Throttling pages by the share of throttled requests, which these series do not have.
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

    /// Writes what Prometheus scrapes from the nodes.
    fn write_series(&self, series: &mut String) -> Result<()> {
        let (cluster, code, role) = (self.name(), self.code, self.role);
        let mut add = |name: &str, labels: &str, values: &str| {
            writeln!(
                series,
                "  - {{series: '{name}{{{labels}}}', values: {values}}}"
            )
        };
        // One agent is enough to keep the alerts about missing agents quiet.
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
            // What the alert for this finding reads in addition.
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

/// The alert that a finding is expected to raise.
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
