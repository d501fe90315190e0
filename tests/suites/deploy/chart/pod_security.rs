//! The restricted Pod Security Standard as a check of a pod's spec.
//!
//! Source of the controls: kubernetes.io/docs/concepts/security/pod-security-standards, baseline and
//! restricted, as of Kubernetes 1.34.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use regprobe_harness::output::json::items;
use serde_json::{Value, json};

/// The violations of the standard in a spec, by field.
pub(crate) fn violations(spec: &Value) -> BTreeSet<&'static str> {
    let containers = ["containers", "initContainers", "ephemeralContainers"];
    let containers = containers.iter().flat_map(|list| items(&spec[*list]));
    of_pod(spec)
        .into_iter()
        .chain(containers.flat_map(|container| of_container(spec, container)))
        .filter_map(|(field, forbidden)| forbidden.then_some(field))
        .collect()
}

/// Fields of the pod only.
fn of_pod(spec: &Value) -> [(&'static str, bool); 10] {
    let context = &spec["securityContext"];
    let volumes = || items(&spec["volumes"]);
    [
        ("hostNetwork", spec["hostNetwork"] == true),
        ("hostPID", spec["hostPID"] == true),
        ("hostIPC", spec["hostIPC"] == true),
        (
            "hostPath",
            volumes().any(|volume| volume.get("hostPath").is_some()),
        ),
        ("volumes", !volumes().all(is_allowed_volume)),
        ("sysctls", items(&context["sysctls"]).next().is_some()),
        (
            "pod hostProcess",
            context["windowsOptions"]["hostProcess"] == true,
        ),
        (
            "pod appArmorProfile",
            context["appArmorProfile"]["type"] == "Unconfined",
        ),
        (
            "pod seLinuxOptions",
            is_custom_selinux(&context["seLinuxOptions"]),
        ),
        ("pod runAsUser", context["runAsUser"] == 0),
    ]
}

/// Fields of each container, or of the pod for its containers.
fn of_container(spec: &Value, container: &Value) -> [(&'static str, bool); 13] {
    let own = &container["securityContext"];
    let said = |setting: &str| match &own[setting] {
        Value::Null => spec["securityContext"][setting].clone(),
        own => own.clone(),
    };
    let seccomp = said("seccompProfile");
    let mut ports = items(&container["ports"]);
    let capabilities = |list: &str| items(&own["capabilities"][list]);
    [
        // With the host's network each port of a container is a host port, even without the field.
        (
            "hostPort",
            ports.any(|port| {
                let host_port = port["hostPort"].as_u64().unwrap_or_default();
                spec["hostNetwork"] == true || host_port != 0
            }),
        ),
        ("probe host", names_a_host(container)),
        ("privileged", own["privileged"] == true),
        ("hostProcess", own["windowsOptions"]["hostProcess"] == true),
        (
            "appArmorProfile",
            own["appArmorProfile"]["type"] == "Unconfined",
        ),
        ("seLinuxOptions", is_custom_selinux(&own["seLinuxOptions"])),
        (
            "procMount",
            !own["procMount"].is_null() && own["procMount"] != "Default",
        ),
        (
            "seccompProfile",
            seccomp["type"] != "RuntimeDefault" && seccomp["type"] != "Localhost",
        ),
        (
            "allowPrivilegeEscalation",
            own["allowPrivilegeEscalation"] != false,
        ),
        ("runAsNonRoot", said("runAsNonRoot") != true),
        ("runAsUser", own["runAsUser"] == 0),
        (
            "capabilities.drop",
            !capabilities("drop").any(|name| name == "ALL"),
        ),
        (
            "capabilities.add",
            capabilities("add").any(|name| name != "NET_BIND_SERVICE"),
        ),
    ]
}

fn is_allowed_volume(volume: &Value) -> bool {
    const KINDS: [&str; 8] = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let mut fields = volume
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.keys());
    // hostPath is a control with its own check.
    fields.all(|field| KINDS.contains(&&**field) || field == "name" || field == "hostPath")
}

fn names_a_host(container: &Value) -> bool {
    let handlers = [
        &container["livenessProbe"],
        &container["readinessProbe"],
        &container["startupProbe"],
        &container["lifecycle"]["postStart"],
        &container["lifecycle"]["preStop"],
    ];
    let actions = handlers
        .iter()
        .flat_map(|handler| [&handler["httpGet"], &handler["tcpSocket"]]);
    let mut hosts = actions.filter_map(|action| action["host"].as_str());
    hosts.any(|host| !host.is_empty())
}

fn is_custom_selinux(options: &Value) -> bool {
    const TYPES: [&str; 5] = [
        "",
        "container_t",
        "container_init_t",
        "container_kvm_t",
        "container_engine_t",
    ];
    let text = |field: &str| options[field].as_str().unwrap_or_default();
    !TYPES.contains(&text("type")) || !text("user").is_empty() || !text("role").is_empty()
}

/// Each control of the standard, tested by a change that it forbids.
pub(crate) fn forbidden_is_found() -> Result<()> {
    let good = json!({
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{
            "name": "a", "ports": [{"containerPort": 1}],
            "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
            },
        }],
        "volumes": [{"name": "a", "configMap": {"name": "a"}}],
    });
    ensure!(violations(&good).is_empty());
    let own = "/containers/0/securityContext";
    for (path, value, expected) in [
        (
            "/hostNetwork",
            json!(true),
            &["hostNetwork", "hostPort"][..],
        ),
        ("/hostPID", json!(true), &["hostPID"]),
        ("/hostIPC", json!(true), &["hostIPC"]),
        (
            "/volumes/0",
            json!({"name": "a", "hostPath": {"path": "/"}}),
            &["hostPath"],
        ),
        ("/volumes/0", json!({"name": "a", "nfs": {}}), &["volumes"]),
        (
            "/securityContext/sysctls",
            json!([{"name": "kernel.x"}]),
            &["sysctls"],
        ),
        (
            "/securityContext/windowsOptions",
            json!({"hostProcess": true}),
            &["pod hostProcess"],
        ),
        (
            "/securityContext/appArmorProfile",
            json!({"type": "Unconfined"}),
            &["pod appArmorProfile"],
        ),
        (
            "/securityContext/seLinuxOptions",
            json!({"type": "spc_t"}),
            &["pod seLinuxOptions"],
        ),
        ("/securityContext/runAsUser", json!(0), &["pod runAsUser"]),
        (
            "/securityContext/runAsNonRoot",
            json!(false),
            &["runAsNonRoot"],
        ),
        (
            "/securityContext/seccompProfile",
            json!({"type": "Unconfined"}),
            &["seccompProfile"],
        ),
        (
            "/securityContext/seccompProfile",
            Value::Null,
            &["seccompProfile"],
        ),
        ("/containers/0/ports/0/hostPort", json!(1), &["hostPort"]),
        (
            "/containers/0/livenessProbe",
            json!({"httpGet": {"host": "192.0.2.1"}}),
            &["probe host"],
        ),
        (&format!("{own}/privileged"), json!(true), &["privileged"]),
        (
            &format!("{own}/windowsOptions"),
            json!({"hostProcess": true}),
            &["hostProcess"],
        ),
        (
            &format!("{own}/appArmorProfile"),
            json!({"type": "Unconfined"}),
            &["appArmorProfile"],
        ),
        (
            &format!("{own}/seLinuxOptions"),
            json!({"user": "system_u"}),
            &["seLinuxOptions"],
        ),
        (
            &format!("{own}/procMount"),
            json!("Unmasked"),
            &["procMount"],
        ),
        (
            &format!("{own}/seccompProfile"),
            json!({"type": "Unconfined"}),
            &["seccompProfile"],
        ),
        (
            &format!("{own}/allowPrivilegeEscalation"),
            Value::Null,
            &["allowPrivilegeEscalation"],
        ),
        (
            &format!("{own}/runAsNonRoot"),
            json!(false),
            &["runAsNonRoot"],
        ),
        (&format!("{own}/runAsUser"), json!(0), &["runAsUser"]),
        (
            &format!("{own}/capabilities"),
            json!({"drop": ["NET_RAW"]}),
            &["capabilities.drop"],
        ),
        (
            &format!("{own}/capabilities/add"),
            json!(["NET_ADMIN"]),
            &["capabilities.add"],
        ),
        (
            "/initContainers",
            json!([{"securityContext": {"privileged": true}}]),
            &[
                "allowPrivilegeEscalation",
                "capabilities.drop",
                "privileged",
            ],
        ),
    ] {
        let mut spec = good.clone();
        let (parent, key) = path.rsplit_once('/').context("a path has a key")?;
        let parent = spec.pointer_mut(parent).context("the parent is there")?;
        match key.parse::<usize>() {
            Ok(index) => parent[index] = value,
            Err(_) => parent[key] = value,
        }
        let violations: Vec<_> = violations(&spec).into_iter().collect();
        ensure!(violations == expected, "{path}: {violations:?}");
    }
    Ok(())
}
