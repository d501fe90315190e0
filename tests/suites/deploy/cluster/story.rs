//! One fault after another, as an operator lives through it: a pod cannot pull, and everything that is said about
//! it names the same cause.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use regprobe_lab::fakes::acr::{Answer, Route};
use regprobe_lab::servers::Prometheus;
use regprobe_lab::servers::cluster::until;
use serde_json::Value;

use super::clock::{Awaited, Clock, Times};
use super::ground::{Ground, PATIENCE, RELEASE, ROUTER};
use super::pulls;
use super::scraped::scrape_config;
use super::signals::{WRITES, expect_condition};
use crate::alerts::shortened;

/// The configuration is the last of it, so that more of it can be added.
pub(super) const VALUES: &str = r#"
podMonitor: {enabled: true, interval: 1s}
prometheusRule: {enabled: true}
config:
  registries:
    - server: contoso.azurecr.io
      name: contoso
      regions: [westeurope]
      private: [10.240.0.0/16]
      anonymous_pull: true
      images: ["probe/hello:v1"]
  schedule: {network_interval: 1s, request_interval: 1s, token_interval: 2s, image_interval: 2s, timeout: 3s}
  fleet: {size: 1}
"#;

/// What happens, and what everybody says about it.
struct Chapter {
    /// The pod, and the image that nobody has pulled yet.
    pod: &'static str,
    happens: &'static str,
    lay: fn(&Ground),
    code: &'static str,
    alert: &'static str,
}

const CHAPTERS: [Chapter; 4] = [
    Chapter {
        pod: "record-missing",
        happens: "the data record is deleted from the private zone",
        lay: |ground| {
            ground
                .dns
                .acr("contoso")
                .data("westeurope")
                .record_missing()
        },
        code: "PrivateLinkRecordMissing",
        alert: "RegprobePrivateLinkDrift",
    },
    Chapter {
        pod: "zone-unlinked",
        happens: "the zone is unlinked, and the public registry's firewall refuses this node",
        lay: |ground| {
            ground
                .twin
                .answer(Route::Token, Answer::Firewall(ROUTER.into()));
            ground.unlink();
        },
        code: "PrivateLinkZoneNotLinked",
        alert: "RegprobePrivateLinkDrift",
    },
    Chapter {
        pod: "stale-address",
        happens: "the private endpoint moves, and its record keeps the old address",
        lay: Ground::leave_stale_record,
        code: "PrivateEndpointTimeout",
        alert: "RegprobeRegistryFailingOnManyNodes",
    },
    Chapter {
        pod: "firewall",
        happens: "the registry's firewall refuses this node",
        lay: |ground| {
            for route in [Route::Ping, Route::Token, Route::Manifest] {
                ground
                    .registry
                    .answer(route, Answer::Firewall(ROUTER.into()));
            }
        },
        code: "RegistryFirewall",
        alert: "RegprobeRegistryFailingOnManyNodes",
    },
];

pub(super) fn faults_and_repairs() -> Result<()> {
    let begun = Instant::now();
    let images = CHAPTERS.map(|chapter| format!("probe/{}", chapter.pod));
    let images: Vec<_> = images
        .iter()
        .map(String::as_str)
        .chain(["probe/well", "probe/more"])
        .collect();
    let mut ground = Ground::new(&images)?;
    println!("{:6.1} s  the node is ready", begun.elapsed().as_secs_f64());
    ground.cluster.start_kube_state_metrics()?;
    let told = tell(&ground, begun);
    told.with_context(|| ground.logs())
}

fn tell(ground: &Ground, begun: Instant) -> Result<()> {
    ground.upgrade(&format!("{VALUES}{WRITES}"))?;
    println!(
        "{:6.1} s  the chart is installed",
        begun.elapsed().as_secs_f64()
    );
    let rules = tempfile::tempdir()?;
    shortened::write_rules(rules.path())?;
    let config = scrape_config(ground, &format!("{}/*.yaml", rules.path().display()))?;
    let prometheus = ground
        .network
        .enter(|| Prometheus::configured(&config, (ROUTER, 9090)))?;
    let healthy = "regprobe_registry_verdict{registry=\"contoso\"} == 0";
    ground.network.enter(|| {
        prometheus
            .value(healthy, PATIENCE)
            .with_context(|| prometheus.log())
    })?;
    ground.start_pod("well")?;
    until("a pod runs", PATIENCE, || ground.expect_running("well"))?;
    println!(
        "{:6.1} s  a pod has pulled from the registry\n",
        begun.elapsed().as_secs_f64()
    );
    let (mut broken, mut repaired) = (Vec::new(), Vec::new());
    for chapter in CHAPTERS {
        let times = chapter.tell(ground, &prometheus);
        let (fault, repair) = times.context(chapter.happens)?;
        broken.push(fault);
        repaired.push(repair);
    }
    println!(
        "The rules' times are divided by {}; everybody else's are as they are.\n",
        shortened::FACTOR
    );
    Times::print("seconds from the fault to", &broken);
    Times::print("seconds from the repair to", &repaired);
    pulls::fail_though_the_path_is_well(ground, &prometheus)?;
    pulls::agent_waits_for_its_image(ground, &prometheus)?;
    drop(prometheus);
    uninstall(ground)
}

impl Chapter {
    /// The times until everybody has seen the fault, and the repair.
    fn tell(&self, ground: &Ground, prometheus: &Prometheus) -> Result<(Times, Times)> {
        let clock = Clock::start(self.happens);
        (self.lay)(ground);
        ground.start_pod(self.pod)?;
        let query = |expression: &str| ground.network.enter(|| prometheus.query(expression));
        let holds = |expression: &str| ensure_some(query(expression)?).map(drop);
        let code = self.code;
        let metric = format!(
            "regprobe_registry_verdict{{registry=\"contoso\"}} == 2 and on () \
             regprobe_finding{{registry=\"contoso\", code=\"{code}\", severity=\"critical\"}} == 1"
        );
        let alert = format!(
            "ALERTS{{alertname=\"{}\", alertstate=\"firing\", registry=\"contoso\", severity=\"critical\"}}",
            self.alert
        );
        let broken = clock.await_all(&mut [
            Awaited::new("event: the pull has failed", || {
                ground.failed_pull(self.pod).map(drop)
            }),
            Awaited::new("metric: the verdict is failing", || holds(&metric)),
            Awaited::new("alert: it fires", || holds(&alert)),
            Awaited::new("condition: False", || expect_condition(ground, "False")),
        ])?;

        let event = ground.failed_pull(self.pod)?;
        let finding = worst_finding(ground)?;
        println!("  event    {event}");
        println!(
            "  verdict  failing: {} {}",
            finding["code"], finding["message"]
        );
        println!("  remedy   {}", finding["remedy"]);
        ensure!(finding["code"] == code, "{finding:#}");
        // The part of the client's error that names the cause is the event's as well, about another image.
        let predicted = finding["client_error"]
            .as_str()
            .context("no client_error")?;
        let predicted = predicted.replace("hello", self.pod);
        let cause = cause(&predicted);
        ensure!(event.contains(cause), "{cause:?} is not in {event:?}");
        let alerts = query(&alert)?;
        let labels = &alerts.first().context("no alert")?["metric"];
        println!("  alert    {labels}\n");
        ensure!(
            labels.get("code").is_none_or(|named| named == code),
            "{labels}"
        );

        let clock = Clock::start(&format!("repaired: {}", self.happens));
        ground.registry.fix();
        ground.twin.fix();
        ground.link();
        let gone = |expression: &str| {
            let left = query(expression)?;
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        };
        let finding = "regprobe_finding{severity!=\"info\"} == 1";
        let repaired = clock.await_all(&mut [
            Awaited::new("metric: the verdict is ok", || {
                holds("regprobe_registry_verdict{registry=\"contoso\"} == 0")
            }),
            Awaited::new("finding: none is left", || gone(finding)),
            Awaited::new("alert: none fires", || {
                gone("ALERTS{alertstate=\"firing\", registry=\"contoso\"}")
            }),
            Awaited::new("condition: True", || expect_condition(ground, "True")),
            Awaited::new("pod: it runs", || ground.expect_running(self.pod)),
        ])?;
        println!();
        Ok((broken, repaired))
    }
}

/// The last words of a client's error.
fn cause(error: &str) -> &str {
    let start = ["dial tcp", "unexpected status", "failed to authorize"]
        .iter()
        .filter_map(|words| error.rfind(words))
        .max();
    start.map_or(error, |start| &error[start..])
}

fn worst_finding(ground: &Ground) -> Result<Value> {
    let registry = ground.status()?["registries"][0].take();
    ensure!(registry["verdict"] == "failing", "{registry:#}");
    let findings = registry["findings"].as_array().into_iter().flatten();
    let mut worst = findings.filter(|finding| finding["severity"] == "critical");
    Ok(worst.next().context("no critical finding")?.clone())
}

fn ensure_some(samples: Vec<Value>) -> Result<Value> {
    samples.into_iter().next().context("no sample")
}

/// Nothing of the release is left, of any kind of object.
fn uninstall(ground: &Ground) -> Result<()> {
    let labelled = format!("app.kubernetes.io/instance={RELEASE}");
    let kinds =
        ground
            .cluster
            .kubectl(["api-resources", "--verbs=list,delete", "--output=name"])?;
    let kinds: Vec<_> = kinds.lines().collect();
    let left = || {
        ground.cluster.kubectl([
            "get",
            &kinds.join(","),
            "--all-namespaces",
            "--selector",
            &labelled,
            "--output=name",
        ])
    };
    ensure!(left()?.contains("daemonset.apps/regprobe"), "{}", left()?);
    ground.helm(&["uninstall", RELEASE, "--namespace", RELEASE, "--wait"])?;
    until("nothing is left", PATIENCE, || {
        let left = left()?;
        ensure!(left.trim().is_empty(), "{left}");
        Ok(())
    })
}
