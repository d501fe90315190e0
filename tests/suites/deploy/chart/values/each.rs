//! Every value of the chart, set to null, to something else than it should be, to something too long, and
//! to a list with each entry twice. Helm either renders objects that Kubernetes accepts, or refuses with a
//! sentence that names the value; never with an error of a template.

use std::fs;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use crate::chart::helm::{NAMESPACE, Objects, chart, helm};
use crate::chart::kubernetes;

/// How many times helm runs at the same time.
const AT_A_TIME: usize = 2;

pub(crate) fn null() -> Result<()> {
    check(|_, _| vec![Value::Null])
}

pub(crate) fn of_another_type() -> Result<()> {
    check(|_, default| {
        let others = [
            json!("wrong one"),
            json!(-7),
            json!([7]),
            json!({"wrong": 7}),
        ];
        let is_other = |other: &Value| kind(other) != kind(default);
        others.into_iter().filter(is_other).collect()
    })
}

pub(crate) fn too_long() -> Result<()> {
    check(|_, default| match default {
        Value::String(_) => vec![json!("a".repeat(300))],
        Value::Number(_) => vec![json!(99_999_999_999_u64)],
        _ => Vec::new(),
    })
}

pub(crate) fn twice() -> Result<()> {
    check(|path, default| match default {
        Value::Array(entries) => {
            let entries = match (&*entries.clone(), sample(path)) {
                ([], Some(sample)) => vec![sample],
                (entries, _) => entries.to_vec(),
            };
            vec![json!([&entries[..], &entries].concat())]
        }
        _ => Vec::new(),
    })
}

/// An entry of a list that is empty by default.
fn sample(path: &str) -> Option<Value> {
    Some(match path.rsplit('.').next()? {
        "imagePullSecrets" => json!({"name": "pull"}),
        "pullSecrets" => json!("pull"),
        "extraArgs" => json!("--history.limit=0"),
        "extraEnv" => json!({"name": "A", "value": "b"}),
        "extraVolumes" => json!({"name": "a", "emptyDir": {}}),
        "extraVolumeMounts" => json!({"name": "host-etc", "mountPath": "/a"}),
        "extraContainers" => json!({"name": "proxy", "image": "proxy:1"}),
        "extraManifests" => {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
        }
        "relabelings" | "metricRelabelings" => json!({"action": "labeldrop", "regex": "a"}),
        "from" => json!({"podSelector": {}}),
        "disabled" => json!("RegprobeThrottled"),
        _ => return None,
    })
}

/// Renders the chart for each value with each of the settings that `settings` gives for its path and default.
fn check(settings: impl Fn(&str, &Value) -> Vec<Value>) -> Result<()> {
    let defaults = fs::read_to_string(chart().join("values.yaml"))?;
    let defaults: Value = serde_yaml::from_str(&defaults)?;
    let mut values = Vec::new();
    collect("", &defaults, &mut values);
    let cases = values.iter().flat_map(|(path, default)| {
        let settings = settings(path, default).into_iter();
        settings.map(move |setting| (path.clone(), setting))
    });
    let cases: Vec<_> = cases.collect();
    ensure!(cases.len() >= 10, "only {} cases", cases.len());
    let (queue, wrong) = (Mutex::new(cases.into_iter()), Mutex::new(String::new()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().map(|mut queue| queue.next());
                    let Ok(Some((path, setting))) = next else {
                        break;
                    };
                    if let Err(error) = render(&path, &setting)
                        && let Ok(mut wrong) = wrong.lock()
                    {
                        *wrong += &format!("{path}: {setting}\n  {error:#}\n");
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap_or_default();
    ensure!(wrong.is_empty(), "\n{wrong}");
    Ok(())
}

/// Each value with its path; a map that is not empty is one, and so is each of its keys.
fn collect(path: &str, value: &Value, values: &mut Vec<(String, Value)>) {
    if !path.is_empty() {
        values.push((path.to_owned(), value.clone()));
    }
    for (key, below) in value.as_object().into_iter().flatten() {
        // Keys with a dot are not the chart's own.
        if !key.contains(['.', '/']) {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            collect(&path, below, values);
        }
    }
}

fn render(path: &str, setting: &Value) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [everything, one] = ["everything.yaml", "one.yaml"].map(|name| folder.path().join(name));
    let monitor = match path.starts_with("serviceMonitor") {
        true => "serviceMonitor",
        false => "podMonitor",
    };
    let on = json!({"enabled": true});
    let all = json!({
        monitor: on, "prometheusRule": on, "dashboards": on, "networkPolicy": on,
        "commonLabels": {"team": "a"}, "podLabels": {"team": "b"},
        "web": {"config": {"rate_limit": {"interval": "1s"}}},
    });
    fs::write(&everything, all.to_string())?;
    let nested = path.rsplit('.').fold(setting.clone(), |value, key| {
        Value::Object(Map::from_iter([(key.to_owned(), value)]))
    });
    fs::write(&one, nested.to_string())?;
    let [chart, everything, one] =
        [&chart(), &everything, &one].map(|path| path.display().to_string());
    let flags = [
        "--namespace",
        NAMESPACE,
        "--values",
        &everything,
        "--values",
        &one,
    ];
    let out = helm(&[&["template", "regprobe", &*chart][..], &flags].concat())?;
    if !out.status.success() {
        return is_a_sentence(path, &String::from_utf8_lossy(&out.stderr));
    }
    let text = String::from_utf8_lossy(&out.stdout);
    for object in &Objects::parse(&text)?.0 {
        kubernetes::check(object).with_context(|| object["kind"].to_string())?;
    }
    Ok(())
}

/// Whether the error names the value, and does not come from the language of the templates.
fn is_a_sentence(path: &str, said: &str) -> Result<()> {
    let (above, key) = path.rsplit_once('.').unwrap_or(("", path));
    let above = above.replace('.', "/");
    let slash = if above.is_empty() { "" } else { "/" };
    let names = [
        format!("'{slash}{above}/{key}"),
        format!("'{slash}{above}': missing property '{key}'"),
        format!(": {path}"),
    ];
    ensure!(
        names.iter().any(|name| said.contains(name)),
        "the value is not named: {said}"
    );
    for own in [
        "template: ",
        "nil pointer",
        "error calling",
        "YAML parse error",
    ] {
        ensure!(!said.contains(own), "an error of a template: {said}");
    }
    Ok(())
}

fn kind(value: &Value) -> std::mem::Discriminant<Value> {
    std::mem::discriminant(value)
}
