//! The chart's values: the files in `ci/` are valid, and wrong values are rejected before anything reaches
//! a cluster.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use regprobe_harness::program::REGPROBE;
use regprobe_harness::program::repository;
use serde_json::Value;

use super::helm::{NAMESPACE, Objects, chart, ci_files, expect_success, helm, manifests};

pub(crate) fn lint() -> Result<()> {
    let chart = chart().display().to_string();
    for values in ci_files()? {
        let values = values.display().to_string();
        let said = expect_success(&helm(&["lint", "--strict", &chart, "--values", &values])?)
            .with_context(|| format!("with {values}"))?;
        ensure!(!said.contains("WARNING"), "{said}");
    }
    Ok(())
}

/// What the agent makes of the configuration of each, and of the values that the README shows.
pub(crate) fn configs_are_good() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("config.yaml");
    let readme = fs::read_to_string(repository("README.md"))?;
    let mut blocks = readme
        .split("```")
        .filter_map(|block| block.strip_prefix("yaml\n"));
    let shown = blocks.find(|block| block.starts_with("# my-values.yaml\n"));
    let of_readme = folder.path().join("my-values.yaml");
    fs::write(&of_readme, shown.context("the README shows no values")?)?;
    for values in ci_files()?.into_iter().chain([of_readme]) {
        let config = Objects::of_file(&values)?.config()?.to_owned();
        fs::write(&file, &config)?;
        let out = Command::new(&*REGPROBE)
            .args(["run", "--config.check"])
            .arg(format!("--config.file={}", file.display()))
            .stdin(Stdio::null())
            .output()?;
        expect_success(&out).with_context(|| format!("{}:\n{config}", values.display()))?;
    }
    Ok(())
}

/// The values, and helm's error.
const WRONG: &[(&str, &str)] = &[
    (
        "config: {registries: []}",
        "'/config/registries': minItems: got 0, want 1",
    ),
    (
        "config: {registries: [contoso.azurecr.io]}",
        "'/config/registries/0': got string, want object",
    ),
    (
        "config: {registries: [{name: contoso}]}",
        "'/config/registries/0': missing property 'server'",
    ),
    (
        "config: {registries: [{server: 'https://contoso.azurecr.io'}]}",
        "'/config/registries/0/server': 'https://contoso.azurecr.io' does not match pattern",
    ),
    (
        "config: {registries: [{server: contoso.azurecr.io/app}]}",
        "'/config/registries/0/server': 'contoso.azurecr.io/app' does not match pattern",
    ),
    (
        "config: {registries: [{server: a.example, region: westeurope}]}",
        "'/config/registries/0': additional properties 'region' not allowed",
    ),
    (
        "config: {registries: [{server: a.azurecr.io, regions: [West Europe]}]}",
        "'/config/registries/0/regions/0': 'West Europe' does not match pattern",
    ),
    (
        "config: {registries: [{server: a.example, private: yes please}]}",
        "'/config/registries/0/private': got string, want boolean or array",
    ),
    (
        "config: {registries: [{server: a.example, private: []}]}",
        "'/config/registries/0/private': minItems: got 0, want 1",
    ),
    (
        "config: {registries: [{server: a.example, private: [intranet]}]}",
        "'/config/registries/0/private/0': 'intranet' does not match pattern",
    ),
    (
        "config: {registries: [{server: a.example, images: [hello]}]}",
        "'/config/registries/0/images/0': 'hello' does not match pattern",
    ),
    (
        "config: {nameservers: [{name: azure}]}",
        "'/config/nameservers/0': missing property 'address'",
    ),
    (
        "config: {nameservers: [{address: dns.contoso.com}]}",
        "'/config/nameservers/0/address': 'dns.contoso.com' does not match pattern",
    ),
    (
        "config: {node: {resolv_conf: etc/resolv.conf}}",
        "'/config/node/resolv_conf': 'etc/resolv.conf' does not match pattern",
    ),
    (
        "config: {node: {proxy: auto}}",
        "'/config/node/proxy': value must be one of 'env', 'none'",
    ),
    (
        "config: {schedule: {timeout: 10}}",
        "'/config/schedule/timeout': got number, want string",
    ),
    (
        "config: {schedule: {interval: 10s}}",
        "'/config/schedule': additional properties 'interval' not allowed",
    ),
    (
        "config: {schedule: {network_interval: 15 s}}",
        "'/config/schedule/network_interval': '15 s' does not match pattern",
    ),
    (
        "config: {fleet: {size: 0}}",
        "'/config/fleet/size': minimum: got 0, want 1",
    ),
    (
        "config: {fleet: {nameserver: kube-dns}}",
        "'/config/fleet/nameserver': 'kube-dns' does not match pattern",
    ),
    (
        "config: {fleet: {requests_per_minute: 0}}",
        "'/config/fleet/requests_per_minute': minimum: got 0, want 1",
    ),
    (
        "config: {tls: {ca_file: ca.crt}}",
        "'/config/tls/ca_file': 'ca.crt' does not match pattern",
    ),
    (
        "config: {metrics: {buckets: [0]}}",
        "'/config/metrics/buckets/0': exclusiveMinimum: got 0, want 0",
    ),
    (
        "config: {metrics: {histograms: 'no'}}",
        "'/config/metrics/histograms': got string, want boolean",
    ),
    (
        "config: {registry: []}",
        "'/config': additional properties 'registry' not allowed",
    ),
    (
        "image: {registry: 'https://myregistry.azurecr.io'}",
        "'/image/registry': 'https://myregistry.azurecr.io' does not match pattern",
    ),
    (
        "image: {registry: myregistry.azurecr.io/}",
        "'/image/registry': 'myregistry.azurecr.io/' does not match pattern",
    ),
    (
        "image: {repository: ''}",
        "'/image/repository': '' does not match pattern",
    ),
    ("image: {tag: 0.1}", "'/image/tag': got number, want string"),
    (
        "image: {digest: 0123abcd}",
        "'/image/digest': '0123abcd' does not match pattern",
    ),
    (
        "image: {pullPolicy: Sometimes}",
        "'/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
    ),
    (
        "image: {name: regprobe}",
        "'/image': additional properties 'name' not allowed",
    ),
    (
        "imagePullSecrets: [pull-secret]",
        "'/imagePullSecrets/0': got string, want object",
    ),
    (
        "nodeselector: {}",
        "additional properties 'nodeselector' not allowed",
    ),
    (
        "hostDirectories: [etc]",
        "'/hostDirectories/0': 'etc' does not match pattern",
    ),
    (
        "hostDirectories: [/]",
        "'/hostDirectories/0': '/' does not match pattern",
    ),
    (
        "hostDirectories: [/etc/a-b, /etc/a_b]",
        "hostDirectories: /etc/a-b and /etc/a_b would both be the volume host-etc-a-b",
    ),
    (
        "web: {port: 99999}",
        "'/web/port': maximum: got 99,999, want 65,535",
    ),
    (
        "web: {scheme: https}",
        "'/web/scheme': value must be one of 'HTTP', 'HTTPS'",
    ),
    (
        "web: {config: {rate_limit: {interval: 1s}}, existingSecret: web}",
        "web.config and web.existingSecret: set only one of them",
    ),
    (
        "web: {config: {tls_server_config: {cert_file: a, key_file: b}}}",
        "web.scheme: must be HTTPS if web.config has tls_server_config",
    ),
    (
        "log: {level: trace}",
        "'/log/level': value must be one of 'error', 'warn', 'info', 'debug'",
    ),
    (
        "extraArgs: [log.level=debug]",
        "'/extraArgs/0': 'log.level=debug' does not match pattern",
    ),
    (
        "hostNetwork: 'true'",
        "'/hostNetwork': got string, want boolean",
    ),
    (
        "dnsPolicy: default",
        "'/dnsPolicy': value must be one of 'Default', 'ClusterFirst'",
    ),
    (
        "tolerations: {operator: Exists}",
        "'/tolerations': got object, want array",
    ),
    (
        "updateStrategy: {type: Recreate}",
        "'/updateStrategy/type': value must be one of 'RollingUpdate', 'OnDelete'",
    ),
    (
        "terminationGracePeriodSeconds: 1",
        "'/terminationGracePeriodSeconds': minimum: got 1, want 6",
    ),
    (
        "podAnnotations: {scrape: true}",
        "'/podAnnotations/scrape': got boolean, want string",
    ),
    (
        "livenessProbe: {path: /}",
        "'/livenessProbe': additional properties 'path' not allowed",
    ),
    (
        "podMonitor: {apiVersion: v1}",
        "'/podMonitor/apiVersion': value must be one of 'monitoring.coreos.com/v1', 'azmonitoring.coreos.com/v1'",
    ),
    (
        "podMonitor: {interval: 30}",
        "'/podMonitor/interval': got number, want string",
    ),
    (
        "podMonitor: {enabled: true}\nserviceMonitor: {enabled: true}",
        "podMonitor and serviceMonitor: enable only one of them, or every agent is scraped twice",
    ),
    (
        "dashboards: {labels: {grafana_dashboard: 1}}",
        "'/dashboards/labels/grafana_dashboard': got number, want string",
    ),
    (
        "networkPolicy: {from: {}}",
        "'/networkPolicy/from': got object, want array",
    ),
];

pub(crate) fn wrong_values_are_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("values.yaml");
    let [chart, values] = [&chart(), &file].map(|path| path.display().to_string());
    let mut wrong = String::new();
    for (text, complaint) in WRONG {
        fs::write(&file, text)?;
        let out = helm(&["template", "regprobe", &chart, "--values", &values])?;
        let complaints = String::from_utf8_lossy(&out.stderr);
        if out.status.success() || !complaints.contains(complaint) {
            wrong += &format!("{text}\n  expected: {complaint}\n  got: {complaints}\n");
        }
    }
    ensure!(wrong.is_empty(), "\n{wrong}");
    Ok(())
}

/// The schema has exactly the keys of the agent's configuration.
pub(crate) fn the_schema_knows_the_configuration() -> Result<()> {
    let schema: Value = serde_json::from_slice(&fs::read(chart().join("values.schema.json"))?)?;
    let mut of_schema = BTreeSet::new();
    keys_of_schema(&schema, &schema["properties"]["config"], "", &mut of_schema);
    // It has every key: another test checks that.
    let everything = repository("tests/config/good/everything.yaml");
    let everything: Value = serde_yaml::from_str(&fs::read_to_string(everything)?)?;
    let mut of_agent = BTreeSet::new();
    keys_of_value(&everything, "", &mut of_agent);
    ensure!(
        of_schema == of_agent,
        "in one only: {:?}",
        of_schema.symmetric_difference(&of_agent)
    );
    Ok(())
}

/// The chart accepts every configuration that the agent accepts, and passes it on unchanged.
pub(crate) fn good_configs_pass() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let values = folder.path().join("values.yaml");
    for file in fs::read_dir(repository("tests/config/good"))? {
        let file = file?.path();
        let mut config: Value = serde_yaml::from_str(&fs::read_to_string(&file)?)?;
        // For helm, null removes a key.
        drop_nulls(&mut config);
        fs::write(
            &values,
            serde_json::to_vec(&serde_json::json!({"config": config}))?,
        )?;
        let rendered: Value = serde_yaml::from_str(Objects::of_file(&values)?.config()?)?;
        for (section, told) in config.as_object().context("a config is a mapping")? {
            let both = merged(told, &rendered[section]);
            ensure!(
                both == rendered[section],
                "{}: {section}: {rendered}",
                file.display()
            );
        }
    }
    Ok(())
}

/// A new configuration only restarts pods if the agent cannot reload it.
pub(crate) fn only_metrics_restart() -> Result<()> {
    let pods = |flags: &[&str]| {
        let objects = Objects::rendered(flags)?;
        Ok::<_, anyhow::Error>(objects.only("DaemonSet")?["spec"]["template"].clone())
    };
    let before = pods(&[])?;
    let registry = "config.registries[0].server=contoso.azurecr.io";
    ensure!(pods(&["--set", registry, "--set", "config.schedule.timeout=5s"])? == before);
    ensure!(pods(&["--set", "config.metrics.histograms=false"])? != before);
    Ok(())
}

/// Important values that no file in `ci/` sets.
pub(crate) fn values_are_heard() -> Result<()> {
    for (flag, expected) in [
        ("image.tag=v9", "image: regprobe:v9\n"),
        (
            "clusterDomain=cluster.example",
            "service: regprobe.kube-system.svc.cluster.example\n",
        ),
        ("config.fleet.service=x.y.svc.z", "service: x.y.svc.z\n"),
        ("config.node.root=/node", "root: /node\n"),
        ("nameOverride=agent", "name: regprobe-agent\n"),
        ("hostNetwork=false", "fieldPath: status.podIP\n"),
        (
            "proxy.httpsProxy=http://192.0.2.1:3128",
            "name: HTTPS_PROXY\n              value: \"http://192.0.2.1:3128\"\n",
        ),
        ("web.enableLifecycle=true", "- --web.enable-lifecycle\n"),
        ("web.existingSecret=own", "secretName: own\n"),
        ("web.scheme=HTTPS", "scheme: HTTPS\n"),
        ("serviceAccount.name=other", "serviceAccountName: other\n"),
    ] {
        let rendered = manifests(&["--set", flag])?;
        ensure!(
            rendered.contains(expected),
            "{flag}: no {expected} in {rendered}"
        );
    }
    Ok(())
}

/// The notes after an installation depend on the values.
pub(crate) fn notes_tell_what_is_missing() -> Result<()> {
    let chart = chart().display().to_string();
    let notes = |flags: &[&str]| {
        let install = ["install", "regprobe", &chart, "--namespace", NAMESPACE];
        let dry = ["--dry-run=client"];
        expect_success(&helm(&[&install, &dry[..], flags].concat())?)
    };
    const RULES: &str = "The fleet dashboard requires recording rules";
    let page =
        format!("http://127.0.0.1:8001/api/v1/namespaces/{NAMESPACE}/pods/<pod>:19118/proxy/\n");
    let dashboards = ["--set=dashboards.enabled=true", "--set=web.port=19118"];
    let said = notes(&dashboards)?;
    ensure!(said.contains(RULES) && said.contains(&page), "{said}");
    let with_rules = [&dashboards[..], &["--set=prometheusRule.enabled=true"]].concat();
    for flags in [&[][..], &with_rules] {
        let said = notes(flags)?;
        ensure!(!said.contains(RULES), "{said}");
    }
    Ok(())
}

fn keys_of_schema(whole: &Value, at: &Value, path: &str, keys: &mut BTreeSet<String>) {
    if let Some(definition) = at["$ref"].as_str() {
        let definition = whole.pointer(definition.trim_start_matches('#'));
        return keys_of_schema(whole, definition.unwrap_or(&Value::Null), path, keys);
    }
    for (key, below) in at["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}/{key}");
        keys_of_schema(whole, below, &path, keys);
        keys.insert(path);
    }
    if at.get("items").is_some() {
        keys_of_schema(whole, &at["items"], path, keys);
    }
}

fn keys_of_value(at: &Value, path: &str, keys: &mut BTreeSet<String>) {
    for (key, below) in at.as_object().into_iter().flatten() {
        let path = format!("{path}/{key}");
        keys_of_value(below, &path, keys);
        keys.insert(path);
    }
    for below in at.as_array().into_iter().flatten() {
        keys_of_value(below, path, keys);
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// `over`, completed with the values of `under`.
fn merged(over: &Value, under: &Value) -> Value {
    match (over, under) {
        (Value::Object(over), Value::Object(under)) => {
            let mut both = under.clone();
            for (key, value) in over {
                let under = both.get(key).cloned().unwrap_or(Value::Null);
                both.insert(key.clone(), merged(value, &under));
            }
            Value::Object(both)
        }
        // The chart fills these in if they are empty.
        (Value::String(text), under) if text.is_empty() => under.clone(),
        (over, _) => over.clone(),
    }
}
