//! What a real Alertmanager with the committed route makes of alerts that fire together: what follows
//! from something worse is not told beside it, and what does not is.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use regprobe_lab::addresses::loopback;
use regprobe_lab::client;
use regprobe_lab::servers::{Alertmanager, Webhook};
use regprobe_lab::wait;
use serde_json::{Value, json};

use crate::shortened;

/// For notifications of alerts that fire already.
const SOON: Duration = Duration::from_secs(30);

/// Alerts that fire at once, all of one registry, by name and severity.
struct Together {
    told: &'static [&'static str],
    untold: &'static [&'static str],
}

const CASES: &[Together] = &[
    // The worse of two of the same name.
    Together {
        told: &["RegprobeDataEndpointFailing critical"],
        untold: &["RegprobeDataEndpointFailing warning"],
    },
    // A registry that fails on many nodes.
    Together {
        told: &[
            "RegprobeRegistryFailingOnManyNodes critical",
            "RegprobeThrottled warning",
        ],
        untold: &[
            "RegprobeRegistryFailing warning",
            "RegprobeDataEndpointFailing critical",
            "RegprobeRegistryDegraded warning",
            "RegprobeSlowPullsPredicted warning",
            "RegprobeLatencySloBurn warning",
        ],
    },
    // A drift by which pulls fail.
    Together {
        told: &[
            "RegprobePrivateLinkDrift critical",
            "RegprobeCertificateExpiring warning",
        ],
        untold: &[
            "RegprobeRegistryDegraded warning",
            "RegprobeSlowPullsPredicted warning",
            "RegprobeLatencySloBurn warning",
            "RegprobeNameserversDisagree warning",
        ],
    },
    // One by which they do not, and so what is beside it has causes of its own.
    Together {
        told: &[
            "RegprobePrivateLinkDrift warning",
            "RegprobeLatencySloBurn warning",
        ],
        untold: &[],
    },
    // A nameserver for which pulls fail on many nodes.
    Together {
        told: &[
            "RegprobeNameserverFailing critical",
            "RegprobeRegistryDegraded warning",
        ],
        untold: &[
            "RegprobeNameserversDisagree warning",
            "RegprobeSlowPullsPredicted warning",
        ],
    },
    // One that a few nodes miss; others may wait for something else.
    Together {
        told: &[
            "RegprobeNameserverFailing warning",
            "RegprobeNameserversDisagree warning",
            "RegprobeSlowPullsPredicted warning",
        ],
        untold: &[],
    },
];

pub(crate) fn what_follows_is_not_told() -> Result<()> {
    let webhook = Webhook::start((loopback(), 0))?;
    let route = shortened::route(&webhook.url())?;
    let alertmanager = Alertmanager::configured(&route, (loopback(), 0))?;
    let mut alerts = Vec::new();
    let mut expected = BTreeSet::new();
    // Each in a cluster of its own: nothing of one cluster is a reason for silence in another.
    for (index, case) in CASES.iter().enumerate() {
        let cluster = format!("cluster-{index}");
        let all = case.told.iter().chain(case.untold);
        alerts.extend(all.map(|alert| fired(alert, &cluster)));
        expected.extend(case.told.iter().map(|alert| format!("{cluster} {alert}")));
    }
    let alerts = serde_json::to_vec(&alerts)?;
    client::call("POST", alertmanager.addr(), "/api/v2/alerts")
        .body("application/json", &alerts)
        .send()?
        .expect_status(200)?;

    wait::until("all are told", SOON, || {
        let told = told_by(&webhook);
        let missing: Vec<_> = expected.difference(&told).collect();
        ensure!(missing.is_empty(), "not told: {missing:?}");
        Ok(())
    })?;
    // The rest would come with the next interval at the latest.
    wait::pause(shortened::time("5m")? + Duration::from_secs(1));
    let told = told_by(&webhook);
    let beside: Vec<_> = told.difference(&expected).collect();
    ensure!(beside.is_empty(), "told beside: {beside:?}");
    Ok(())
}

fn fired(alert: &str, cluster: &str) -> Value {
    let (name, severity) = alert.split_once(' ').unwrap_or((alert, ""));
    let labels =
        json!({"alertname": name, "severity": severity, "cluster": cluster, "registry": "contoso"});
    json!({"labels": labels})
}

/// Every alert of which there was a notification.
fn told_by(webhook: &Webhook) -> BTreeSet<String> {
    let received = webhook.received();
    let alerts = received.iter().flat_map(|told| told["alerts"].as_array());
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
