//! The chart's values: the files in `ci/` are valid, and wrong values are rejected before anything reaches
//! a cluster.

pub(crate) mod agreed;
pub(crate) mod each;
pub(crate) mod refused;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use regprobe_harness::program::REGPROBE;
use regprobe_harness::program::repository;
use serde_json::Value;

use super::helm::{NAMESPACE, Objects, chart, ci_files, expect_success, helm, manifests};
use super::kubernetes;

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

/// The schema has exactly the keys of the agent's configuration.
pub(crate) fn the_schema_knows_the_configuration() -> Result<()> {
    let schema: Value = serde_json::from_slice(&fs::read(chart().join("values.schema.json"))?)?;
    let mut of_schema = BTreeSet::new();
    keys_of_schema(&schema, &schema["properties"]["config"], "", &mut of_schema);
    // Together they have every key: another test checks that.
    let mut of_agent = BTreeSet::new();
    for file in ["everything.yaml", "bearer.yaml"] {
        let text = fs::read_to_string(repository("tests/config/good").join(file))?;
        let values: Value = serde_yaml::from_str(&text)?;
        keys_of_value(&values, "", &mut of_agent);
    }
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
            "namespaceOverride=monitoring",
            "namespace: \"monitoring\"\n",
        ),
        (
            "global.imageRegistry=r.example",
            "image: r.example/regprobe:0.1.0\n",
        ),
        (
            "global.imagePullSecrets={pull}",
            "imagePullSecrets:\n        - name: pull\n",
        ),
        (
            "existingConfigMap=own",
            "configMap:\n            name: \"own\"\n",
        ),
        (
            "web.address=127.0.0.1",
            "--web.listen-address=127.0.0.1:9118\n",
        ),
        (
            "web.address=127.0.0.1",
            "port: metrics\n              host: \"127.0.0.1\"\n",
        ),
        ("hostMountPropagation=None", "mountPropagation: None\n"),
        (
            "dnsConfig.nameservers={10.0.0.10}",
            "dnsConfig:\n        nameservers:\n        - 10.0.0.10\n",
        ),
        ("extraContainers[0].name=proxy", "- name: proxy\n"),
        ("config.fleet.service=x.y.svc.z", "service: x.y.svc.z\n"),
        ("config.node.root=/node", "root: /node\n"),
        ("nameOverride=agent", "name: \"regprobe-agent\"\n"),
        ("hostNetwork=false", "fieldPath: status.podIP\n"),
        (
            "proxy.httpsProxy=http://192.0.2.1:3128",
            "name: \"HTTPS_PROXY\"\n              value: \"http://192.0.2.1:3128\"\n",
        ),
        ("web.enableLifecycle=true", "- --web.enable-lifecycle\n"),
        ("web.existingSecret=own", "secretName: \"own\"\n"),
        ("web.scheme=HTTPS", "scheme: HTTPS\n"),
        (
            "pullSecrets={own}",
            "mountPath: /etc/regprobe-secrets/own\n              readOnly: true\n",
        ),
        ("pullSecrets={own}", "secretName: \"own\"\n"),
        (
            "serviceAccount.name=other",
            "serviceAccountName: \"other\"\n",
        ),
    ] {
        let rendered = manifests(&["--set", flag])?;
        ensure!(
            rendered.contains(expected),
            "{flag}: no {expected} in {rendered}"
        );
    }
    Ok(())
}

/// Each key of a label appears once, and the narrower value wins.
pub(crate) fn narrower_labels_win() -> Result<()> {
    let objects = Objects::rendered(&[
        "--set=commonLabels.team=a,commonLabels.release=a",
        "--set=podLabels.team=b",
        "--set=podMonitor.enabled=true,podMonitor.labels.release=b",
    ])?;
    let template = &objects.only("DaemonSet")?["spec"]["template"]["metadata"]["labels"];
    let monitor = &objects.only("PodMonitor")?["metadata"]["labels"];
    let service = &objects.only("Service")?["metadata"]["labels"];
    ensure!(
        template["team"] == "b" && template["release"] == "a",
        "{template}"
    );
    ensure!(
        monitor["team"] == "a" && monitor["release"] == "b",
        "{monitor}"
    );
    ensure!(
        service["team"] == "a" && service["release"] == "a",
        "{service}"
    );
    Ok(())
}

/// The Service of each release has the agents of all, so that they share the budget; monitors and DaemonSets keep
/// to their own.
pub(crate) fn releases_share_the_budget() -> Result<()> {
    let objects = Objects::rendered(&["--set=serviceMonitor.enabled=true"])?;
    let selector = &objects.only("Service")?["spec"]["selector"];
    ensure!(*selector == serde_json::json!({"app.kubernetes.io/name": "regprobe"}));
    let job = &objects.only("Job")?["spec"]["template"]["metadata"]["labels"];
    ensure!(
        job["app.kubernetes.io/name"] != "regprobe",
        "the Job's pod counts as an agent"
    );
    let own = &objects.only("DaemonSet")?["spec"]["selector"]["matchLabels"];
    ensure!(own["app.kubernetes.io/instance"] == "regprobe", "{own}");
    let endpoint = &objects.only("ServiceMonitor")?["spec"]["endpoints"][0];
    let keep = serde_json::json!({
        "action": "keep",
        "regex": "regprobe",
        "sourceLabels": ["__meta_kubernetes_pod_label_app_kubernetes_io_instance"],
    });
    let relabelings = endpoint["relabelings"].as_array();
    ensure!(
        relabelings.into_iter().flatten().any(|rule| *rule == keep),
        "{endpoint}"
    );
    Ok(())
}

/// Names that YAML would read as something else than a text.
pub(crate) fn any_name_is_a_text() -> Result<()> {
    let chart = chart().display().to_string();
    for name in ["12", "1e3", "true", "null"] {
        let fullname = format!("--set-string=fullnameOverride={name}");
        let command = ["template", name, &chart, "--namespace", name, &fullname];
        let objects = Objects::parse(&expect_success(&helm(&command)?)?)?;
        for object in &objects.0 {
            kubernetes::check(object)?;
        }
        ensure!(objects.only("DaemonSet")?["metadata"]["name"] == *name);
    }
    Ok(())
}

/// Alerts can be left out, wait for longer, and link to other pages.
pub(crate) fn alerts_can_be_changed() -> Result<()> {
    let objects = Objects::rendered(&[
        "--set=prometheusRule.enabled=true,prometheusRule.disabled={RegprobeThrottled}",
        "--set=prometheusRule.for.RegprobeAgentDown=45m",
        "--set=prometheusRule.runbookBase=http://runbooks.contoso.com/runbooks/",
    ])?;
    let groups = objects.only("PrometheusRule")?["spec"]["groups"].as_array();
    let rules = groups.into_iter().flatten();
    let rules = rules.flat_map(|group| group["rules"].as_array().into_iter().flatten());
    let alerts: Vec<_> = rules.filter(|rule| rule["alert"].is_string()).collect();
    ensure!(
        alerts.len() > 10
            && alerts
                .iter()
                .all(|rule| rule["alert"] != "RegprobeThrottled")
    );
    for rule in alerts {
        ensure!(
            (rule["alert"] == "RegprobeAgentDown") == (rule["for"] == "45m"),
            "{rule}"
        );
        let page = rule["annotations"]["runbook_url"]
            .as_str()
            .unwrap_or_default();
        ensure!(
            page.starts_with("http://runbooks.contoso.com/runbooks/"),
            "{page}"
        );
        ensure!(page.ends_with(".md") && !page.contains("github"), "{page}");
    }
    // An agent has a page for each name.
    let agent = "--set=prometheusRule.runbookBase=http://192.0.2.1:9118/runbook";
    let rendered = manifests(&["--set=prometheusRule.enabled=true", agent])?;
    for page in ["RegprobeAgentDown", "{{ $labels.code }}"] {
        let url = format!("runbook_url: http://192.0.2.1:9118/runbook/{page}\n");
        ensure!(rendered.contains(&url), "no {url}");
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
    for (flag, expected) in [
        (
            "image.registry=mcr.microsoft.com",
            "The agent's own image comes from mcr.microsoft.com, which it watches",
        ),
        (
            "dnsPolicy=Default",
            "The agents cannot count each other, because with dnsPolicy Default",
        ),
        (
            "dnsPolicy=ClusterFirst",
            "The agents cannot count each other, because with dnsPolicy ClusterFirst",
        ),
        (
            "existingConfigMap=own",
            "the registries of the ConfigMap own",
        ),
        (
            "config.kubernetes.node_condition=true",
            "ContainerRegistryReachable. It stays on the nodes after `helm uninstall`",
        ),
        (
            "web.address=127.0.0.1",
            "curl http://127.0.0.1:9118/metrics",
        ),
    ] {
        let said = notes(&["--set", flag])?;
        ensure!(said.contains(expected), "{flag}: {said}");
        let usual = notes(&[])?;
        ensure!(!usual.contains(expected), "without {flag}: {usual}");
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
