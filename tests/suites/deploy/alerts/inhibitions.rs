//! A real Alertmanager with the committed route gets alerts that fire together: it inhibits those that
//! follow from a more severe one, and sends all others.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use regprobe_lab::addresses::loopback;
use regprobe_lab::client;
use regprobe_lab::servers::{Alertmanager, Webhook};
use regprobe_lab::wait;
use serde_json::{Value, json};

use super::shortened;

/// Timeout for notifications of alerts that already fire.
const SOON: Duration = Duration::from_secs(30);

/// Alerts that fire at the same time for one registry, by name and severity.
struct Together {
    sent: &'static [&'static str],
    inhibited: &'static [&'static str],
}

const CASES: &[Together] = &[
    // Of two alerts with the same name, the more severe one.
    Together {
        sent: &["RegprobeDataEndpointFailing critical"],
        inhibited: &["RegprobeDataEndpointFailing warning"],
    },
    // A registry that fails on many nodes.
    Together {
        sent: &[
            "RegprobeRegistryFailingOnManyNodes critical",
            "RegprobeThrottled warning",
        ],
        inhibited: &[
            "RegprobeRegistryFailing warning",
            "RegprobeDataEndpointFailing critical",
            "RegprobeRegistryDegraded warning",
            "RegprobeSlowPullsPredicted warning",
            "RegprobeLatencySloBurn warning",
        ],
    },
    // What the path does not explain is news.
    Together {
        sent: &[
            "RegprobeRegistryFailing warning",
            "RegprobePodsCannotPull warning",
        ],
        inhibited: &[],
    },
    // A drift that makes pulls fail.
    Together {
        sent: &[
            "RegprobePrivateLinkDrift critical",
            "RegprobeCertificateExpiring warning",
        ],
        inhibited: &[
            "RegprobeRegistryDegraded warning",
            "RegprobeSlowPullsPredicted warning",
            "RegprobeLatencySloBurn warning",
            "RegprobeNameserversDisagree warning",
        ],
    },
    // A drift with which pulls still work, so other alerts have other causes.
    Together {
        sent: &[
            "RegprobePrivateLinkDrift warning",
            "RegprobeLatencySloBurn warning",
        ],
        inhibited: &[],
    },
    // A nameserver that stops pulls on many nodes.
    Together {
        sent: &[
            "RegprobeNameserverFailing critical",
            "RegprobeRegistryDegraded warning",
        ],
        inhibited: &[
            "RegprobeNameserversDisagree warning",
            "RegprobeSlowPullsPredicted warning",
        ],
    },
    // A nameserver that fails for a few nodes; other nodes may wait for something else.
    Together {
        sent: &[
            "RegprobeNameserverFailing warning",
            "RegprobeNameserversDisagree warning",
            "RegprobeSlowPullsPredicted warning",
        ],
        inhibited: &[],
    },
];

pub(crate) fn followers_are_inhibited() -> Result<()> {
    let webhook = Webhook::start((loopback(), 0))?;
    let route = shortened::route(&webhook.url())?;
    let alertmanager = Alertmanager::configured(&route, (loopback(), 0))?;
    let mut alerts = Vec::new();
    let mut expected = BTreeSet::new();
    // Each case has its own cluster: an alert in one cluster inhibits nothing in another.
    for (index, case) in CASES.iter().enumerate() {
        let cluster = format!("cluster-{index}");
        let all = case.sent.iter().chain(case.inhibited);
        alerts.extend(all.map(|alert| fired(alert, &cluster)));
        expected.extend(case.sent.iter().map(|alert| format!("{cluster} {alert}")));
    }
    let alerts = serde_json::to_vec(&alerts)?;
    client::call("POST", alertmanager.addr(), "/api/v2/alerts")
        .body("application/json", &alerts)
        .send()?
        .expect_status(200)?;

    wait::until("all notifications", SOON, || {
        let sent = sent_to(&webhook);
        let missing: Vec<_> = expected.difference(&sent).collect();
        ensure!(missing.is_empty(), "not sent: {missing:?}");
        Ok(())
    })?;
    // Any others would arrive with the next group interval at the latest.
    wait::pause(shortened::time("5m")? + Duration::from_secs(1));
    let sent = sent_to(&webhook);
    let beside: Vec<_> = sent.difference(&expected).collect();
    ensure!(beside.is_empty(), "sent as well: {beside:?}");
    Ok(())
}

fn fired(alert: &str, cluster: &str) -> Value {
    let (name, severity) = alert.split_once(' ').unwrap_or((alert, ""));
    let labels =
        json!({"alertname": name, "severity": severity, "cluster": cluster, "registry": "contoso"});
    json!({"labels": labels})
}

/// Every alert that was sent in a notification.
fn sent_to(webhook: &Webhook) -> BTreeSet<String> {
    let received = webhook.received();
    let alerts = received.iter().flat_map(|sent| sent["alerts"].as_array());
    let worded = |alert: &Value| {
        let label = |name: &str| {
            alert["labels"][name]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        [label("cluster"), label("alertname"), label("severity")].join(" ")
    };
    alerts.flatten().map(worded).collect()
}
