//! From a drift in the lab to the notification: the real agent, a real Prometheus with the committed
//! rules, and a real Alertmanager with the committed route.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::Ground;
use regprobe_lab::addresses::loopback;
use regprobe_lab::servers::{Alertmanager, Prometheus, Webhook};
use regprobe_lab::wait;
use serde_json::Value;
use tempfile::TempDir;

use super::shortened;

/// Timeout for anything that is expected to appear; several times as long as it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happens to DNS, and the notification that it should cause.
struct Drift {
    lay: fn(&Ground),
    code: &'static str,
    severity: &'static str,
    receiver: &'static str,
    /// What the description begins with.
    description: fn(usize) -> String,
}

/// The zone is unlinked, and pulls continue through public addresses.
const UNLINKED: Drift = Drift {
    lay: Ground::unlink,
    code: "PrivateLinkZoneNotLinked",
    severity: "warning",
    receiver: "tickets",
    description: |nodes| {
        format!(
            "On {nodes} node{} (node-1",
            if nodes > 1 { "s" } else { "" }
        )
    },
};

/// The login server's record is deleted, and no node can pull.
const RECORD_GONE: Drift = Drift {
    lay: |ground| ground.dns.acr("contoso").login().record_missing(),
    code: "PrivateLinkRecordMissing",
    severity: "critical",
    receiver: "pager",
    description: |nodes| format!("{nodes} of {nodes} nodes cannot pull from contoso (node-1"),
};

pub(crate) fn of_one_node() -> Result<()> {
    notifies_once(&UNLINKED, 1)
}

pub(crate) fn of_fifty_nodes() -> Result<()> {
    notifies_once(&UNLINKED, 50)
}

pub(crate) fn of_fifty_nodes_that_cannot_pull() -> Result<()> {
    notifies_once(&RECORD_GONE, 50)
}

fn notifies_once(drift: &Drift, nodes: usize) -> Result<()> {
    let watch = Watch::over(nodes)?;
    (drift.lay)(&watch.ground);
    let notification = watch.until_notified(1)?;
    ensure!(
        notification["status"] == "firing" && notification["receiver"] == drift.receiver,
        "{notification:#}"
    );
    let alerts = notification["alerts"].as_array().context("no alerts")?;
    let [alert] = &**alerts else {
        anyhow::bail!("not one alert: {notification:#}");
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

    // Nothing else follows: Alertmanager sends alerts that join a group at its next interval.
    wait::pause(shortened::time("5m")? + Duration::from_secs(2));
    let alerts = watch.prometheus.query("ALERTS")?;
    ensure!(alerts.len() == 1, "{alerts:#?}");
    ensure!(
        watch.webhook.received().len() == 1,
        "{:#?}",
        watch.webhook.received()
    );

    watch.ground.link();
    let end = watch.until_notified(2)?;
    ensure!(
        end["status"] == "resolved" && end["groupKey"] == notification["groupKey"],
        "{end:#}"
    );
    // What was missed still counts against the objective.
    let others = "ALERTS{alertname!=\"RegprobePullAvailabilityBurn\"}";
    let alerts = watch.prometheus.query(others)?;
    ensure!(alerts.is_empty(), "{alerts:#?}");
    ensure!(
        watch.webhook.received().len() == 2,
        "{:#?}",
        watch.webhook.received()
    );
    Ok(())
}

/// A registry, an agent that probes it, and everything between the agent and the person on call.
struct Watch {
    ground: Ground,
    agent: Agent,
    prometheus: Prometheus,
    alertmanager: Alertmanager,
    webhook: Webhook,
    _rules: TempDir,
}

impl Watch {
    /// Returns once Prometheus sees that many healthy nodes. They share one agent, which is scraped once
    /// for each node.
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
        let healthy = format!("count(regprobe_registry_verdict == 0) == {nodes}");
        watch.prometheus.value(&healthy, PATIENCE)?;
        Ok(watch)
    }

    /// Waits for that many notifications and returns the last one.
    fn until_notified(&self, count: usize) -> Result<Value> {
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

    /// The runbook link that the agent itself gives for a finding.
    fn runbook(&self, code: &str) -> Result<Value> {
        let status = self.agent.status()?;
        let findings = status["registries"][0]["findings"].as_array();
        let mut findings = findings.into_iter().flatten();
        let finding = findings.find(|finding| finding["code"] == code);
        Ok(finding.with_context(|| format!("no {code} in {status:#}"))?["runbook"].clone())
    }
}
