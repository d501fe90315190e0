//! One fault after another, as an operator lives through it: a pod cannot pull, and everything that is said about
//! it names the same cause. The times are printed and not tested.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use regprobe_lab::fakes::acr::{Answer, Route};
use regprobe_lab::servers::Prometheus;
use regprobe_lab::servers::cluster::until;
use serde_json::{Value, json};

use super::ground::{Ground, PATIENCE, RELEASE, ROUTER};
use crate::alerts::shortened;
use crate::chart::monitor::as_prometheus;

pub(super) const VALUES: &str = r#"
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
podMonitor: {enabled: true, interval: 1s}
prometheusRule: {enabled: true}
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
        .chain(["probe/well"])
        .collect();
    ground_told(&images, begun)
}

fn ground_told(images: &[&str], begun: Instant) -> Result<()> {
    let ground = Ground::new(images)?;
    println!("{:6.1} s  the node is ready", begun.elapsed().as_secs_f64());
    let told = tell(&ground, begun);
    told.with_context(|| ground.logs())
}

fn tell(ground: &Ground, begun: Instant) -> Result<()> {
    ground.upgrade(VALUES)?;
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
    for chapter in CHAPTERS {
        let happens = chapter.happens;
        chapter
            .tell(ground, &prometheus)
            .with_context(|| happens.to_owned())?;
    }
    drop(prometheus);
    uninstall(ground)
}

impl Chapter {
    fn tell(&self, ground: &Ground, prometheus: &Prometheus) -> Result<()> {
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
        clock.await_all(&mut [
            Awaited::new("metric: the verdict is failing", || holds(&metric)),
            Awaited::new("event: the pull has failed", || {
                ground.failed_pull(self.pod).map(drop)
            }),
            Awaited::new("alert: it fires", || holds(&alert)),
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

        let clock = Clock::start("it is repaired");
        ground.registry.fix();
        ground.twin.fix();
        ground.link();
        let gone = |expression: &str| {
            let left = query(expression)?;
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        };
        let finding = "regprobe_finding{severity!=\"info\"} == 1";
        clock.await_all(&mut [
            Awaited::new("metric: the verdict is ok", || {
                holds("regprobe_registry_verdict{registry=\"contoso\"} == 0")
            }),
            Awaited::new("finding: none is left", || gone(finding)),
            Awaited::new("alert: none fires", || {
                gone("ALERTS{alertstate=\"firing\", registry=\"contoso\"}")
            }),
            Awaited::new("pod: it runs", || ground.expect_running(self.pod)),
        ])?;
        println!();
        Ok(())
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

/// Prints when what is awaited has come.
pub(super) struct Clock(Instant);

pub(super) struct Awaited<'a> {
    what: &'a str,
    has_come: Box<dyn FnMut() -> Result<()> + 'a>,
    is_over: bool,
}

impl<'a> Awaited<'a> {
    pub(super) fn new(what: &'a str, has_come: impl FnMut() -> Result<()> + 'a) -> Self {
        Self {
            what,
            has_come: Box::new(has_come),
            is_over: false,
        }
    }
}

impl Clock {
    pub(super) fn start(what: &str) -> Self {
        println!("   0.0 s  {what}");
        Self(Instant::now())
    }

    pub(super) fn await_all(&self, awaited: &mut [Awaited<'_>]) -> Result<()> {
        until("all of it", PATIENCE, || {
            let mut last = Ok(());
            for one in awaited.iter_mut().filter(|one| !one.is_over) {
                match (one.has_come)() {
                    Ok(()) => {
                        one.is_over = true;
                        println!("{:6.1} s  {}", self.0.elapsed().as_secs_f64(), one.what);
                    }
                    Err(error) => last = Err(error.context(one.what.to_owned())),
                }
            }
            last
        })
    }
}

/// Prometheus as its operator configures it by the chart's monitor. Debian's cannot ask the API server for targets, so
/// they are asked for here.
fn scrape_config(ground: &Ground, rules: &str) -> Result<String> {
    let monitor = format!("podmonitor {RELEASE} --namespace={RELEASE}");
    let monitor = ground.cluster.get(&monitor)?;
    let spec = &monitor["spec"];
    let endpoint = &spec["podMetricsEndpoints"][0];
    let copy = |from: &str, to: &str| json!({"source_labels": [from], "target_label": to});
    let job = spec["jobLabel"].as_str().context("no jobLabel")?;
    let mut relabelings = vec![
        copy("__meta_kubernetes_namespace", "namespace"),
        copy("__meta_kubernetes_pod_container_name", "container"),
        copy("__meta_kubernetes_pod_name", "pod"),
        copy(&pod_label(job), "job"),
        json!({"target_label": "endpoint", "replacement": endpoint["port"]}),
    ];
    relabelings.extend(as_prometheus(&endpoint["relabelings"])?);
    let config = json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [rules],
        "scrape_configs": [{
            "job_name": "operator",
            "scrape_interval": endpoint["interval"],
            "metrics_path": endpoint["path"],
            "static_configs": targets(ground, spec)?,
            "relabel_configs": relabelings,
            "metric_relabel_configs": as_prometheus(&endpoint["metricRelabelings"])?,
        }],
    });
    Ok(config.to_string())
}

/// The ports that the monitor selects.
fn targets(ground: &Ground, spec: &Value) -> Result<Vec<Value>> {
    let labels = spec["selector"]["matchLabels"].as_object();
    let labels = labels.context("no selector")?.iter();
    let labels = labels.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or("")));
    let selector = labels.collect::<Vec<_>>().join(",");
    let namespace = &spec["namespaceSelector"]["matchNames"][0];
    let namespace = namespace.as_str().context("no namespace")?;
    let pods = format!("pods --namespace={namespace} --selector={selector}");
    let pods = ground.cluster.get(&pods)?;
    let mut targets = Vec::new();
    for pod in pods["items"].as_array().into_iter().flatten() {
        for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
            let ports = container["ports"].as_array().into_iter().flatten();
            let port = &spec["podMetricsEndpoints"][0]["port"];
            for port in ports.filter(|one| one["name"] == *port) {
                let address = pod["status"]["podIP"].as_str().context("no address")?;
                let mut labels = json!({
                    "__meta_kubernetes_namespace": pod["metadata"]["namespace"],
                    "__meta_kubernetes_pod_name": pod["metadata"]["name"],
                    "__meta_kubernetes_pod_node_name": pod["spec"]["nodeName"],
                    "__meta_kubernetes_pod_container_name": container["name"],
                });
                for (name, value) in pod["metadata"]["labels"].as_object().into_iter().flatten() {
                    labels[pod_label(name)] = value.clone();
                }
                let target = format!("{address}:{}", port["containerPort"]);
                targets.push(json!({"targets": [target], "labels": labels}));
            }
        }
    }
    ensure!(targets.len() == 1, "not one agent: {targets:#?}");
    Ok(targets)
}

fn pod_label(name: &str) -> String {
    let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    format!("__meta_kubernetes_pod_label_{name}")
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
