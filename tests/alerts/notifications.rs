//! From a drift in the lab to whoever is told: the real agent, a real Prometheus with the committed
//! rules, and a real Alertmanager with the committed route.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_lab::addresses::loopback;
use regprobe_lab::servers::{Alertmanager, Prometheus, Webhook};
use regprobe_lab::wait;
use serde_json::Value;
use tempfile::TempDir;

use crate::ground::Ground;
use crate::process::Agent;
use crate::shortened;

/// For anything that is to show; a few times as long as it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is done to DNS, and what is to be told of it.
struct Drift {
    lay: fn(&Ground),
    code: &'static str,
    severity: &'static str,
    receiver: &'static str,
    /// What the description begins with.
    description: fn(usize) -> String,
}

/// The zone loses its link, and pulls go on by way of public addresses.
const UNLINKED: Drift = Drift {
    lay: Ground::unlink,
    code: "PrivateLinkZoneNotLinked",
    severity: "warning",
    receiver: "tickets",
    description: |nodes| {
        format!(
            "On {nodes} node{}, as node-1",
            if nodes > 1 { "s" } else { "" }
        )
    },
};

/// The record of the login server goes, and no node can pull.
const RECORD_GONE: Drift = Drift {
    lay: |ground| ground.dns.acr("contoso").login().record_missing(),
    code: "PrivateLinkRecordMissing",
    severity: "critical",
    receiver: "pager",
    description: |nodes| format!("{nodes} of {nodes} nodes cannot pull from contoso, as node-1"),
};

pub(crate) fn of_one_node() -> Result<()> {
    is_told_once(&UNLINKED, 1)
}

pub(crate) fn of_fifty_nodes() -> Result<()> {
    is_told_once(&UNLINKED, 50)
}

pub(crate) fn of_fifty_nodes_that_cannot_pull() -> Result<()> {
    is_told_once(&RECORD_GONE, 50)
}

fn is_told_once(drift: &Drift, nodes: usize) -> Result<()> {
    let watch = Watch::over(nodes)?;
    (drift.lay)(&watch.ground);
    let told = watch.until_told(1)?;
    ensure!(
        told["status"] == "firing" && told["receiver"] == drift.receiver,
        "{told:#}"
    );
    let alerts = told["alerts"].as_array().context("no alerts")?;
    let [alert] = &**alerts else {
        anyhow::bail!("not one alert: {told:#}");
    };
    for (label, expected) in [
        ("alertname", "RegprobePrivateLinkDrift"),
        ("cluster", "east"),
        ("registry", "contoso"),
        ("code", drift.code),
        ("severity", drift.severity),
    ] {
        ensure!(alert["labels"][label] == expected, "{label}: {alert:#}");
    }
    let description = alert["annotations"]["description"]
        .as_str()
        .unwrap_or_default();
    let expected = (drift.description)(nodes);
    ensure!(description.starts_with(&expected), "{description}");
    ensure!(
        alert["annotations"]["runbook_url"] == watch.runbook(drift.code)?,
        "{alert:#}"
    );

    // Nothing else is on its way: Alertmanager tells of what joins a group with its next interval.
    wait::pause(shortened::time("5m")? + Duration::from_secs(2));
    let alerts = watch.prometheus.query("ALERTS")?;
    ensure!(alerts.len() == 1, "{alerts:#?}");
    ensure!(
        watch.webhook.received().len() == 1,
        "{:#?}",
        watch.webhook.received()
    );

    watch.ground.link();
    let end = watch.until_told(2)?;
    ensure!(
        end["status"] == "resolved" && end["groupKey"] == told["groupKey"],
        "{end:#}"
    );
    let alerts = watch.prometheus.query("ALERTS")?;
    ensure!(alerts.is_empty(), "{alerts:#?}");
    ensure!(
        watch.webhook.received().len() == 2,
        "{:#?}",
        watch.webhook.received()
    );
    Ok(())
}

/// A registry, an agent that looks at it, and all that stands between that and whoever is on call.
struct Watch {
    ground: Ground,
    agent: Agent,
    prometheus: Prometheus,
    alertmanager: Alertmanager,
    webhook: Webhook,
    _rules: TempDir,
}

impl Watch {
    /// Returns once Prometheus knows of so many nodes, on all of which all is well. They have one agent
    /// between them: what it sees is scraped anew for each.
    fn over(nodes: usize) -> Result<Self> {
        let ground = Ground::new()?;
        let agent = Agent::ready(&ground.config(&[&ground.contoso_entry()])?, &[])?;
        let webhook = Webhook::start((loopback(), 0))?;
        let route = shortened::route(&webhook.url())?;
        let alertmanager = Alertmanager::configured(&route, (loopback(), 0))?;
        let rules = tempfile::tempdir()?;
        shortened::write_rules(rules.path())?;
        let mut config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
             rule_files: [\"{}/*.yaml\"]\n\
             alerting: {{alertmanagers: [{{static_configs: [{{targets: [\"{}\"]}}]}}]}}\n\
             scrape_configs:\n\
             - job_name: regprobe\n  \
               static_configs:\n",
            rules.path().display(),
            alertmanager.addr(),
        );
        for node in 1..=nodes {
            writeln!(
                config,
                "  - {{targets: [\"{}\"], labels: {{cluster: east, node: node-{node}}}}}",
                agent.addr
            )?;
        }
        let prometheus = Prometheus::configured(&config, (loopback(), 0))?;
        let watch = Self {
            ground,
            agent,
            prometheus,
            alertmanager,
            webhook,
            _rules: rules,
        };
        let well = format!("count(regprobe_registry_verdict == 0) == {nodes}");
        watch.prometheus.value(&well, PATIENCE)?;
        Ok(watch)
    }

    /// Waits for so many notifications and returns the last.
    fn until_told(&self, count: usize) -> Result<Value> {
        wait::until(&format!("{count} notifications"), PATIENCE, || {
            let received = self.webhook.received();
            let last = received.get(count - 1).cloned();
            last.with_context(|| format!("{} so far", received.len()))
        })
        .with_context(|| {
            let alerts = self.prometheus.query("ALERTS");
            let logs = [self.prometheus.log(), self.alertmanager.log()].join("\n");
            format!("{alerts:#?}\n{logs}")
        })
    }

    /// Where the agent itself leads to from a finding.
    fn runbook(&self, code: &str) -> Result<Value> {
        let status = self.agent.status()?;
        let findings = status["registries"][0]["findings"].as_array();
        let mut findings = findings.into_iter().flatten();
        let finding = findings.find(|finding| finding["code"] == code);
        Ok(finding.with_context(|| format!("no {code} in {status:#}"))?["runbook"].clone())
    }
}
