//! What operators install: the chart as the real helm renders it, the same for kustomize, and the agent
//! as its pods start it.

mod files;
mod helm;
mod image;
mod kubernetes;
mod kustomize;
pub(crate) mod monitor;
mod node;
mod parent;
mod pod;
mod pod_security;
mod readme;
mod rendered_twice;
mod secured;
mod values;

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::need::Need;
use regprobe_harness::suite::{Suite, test};

use self::helm::{Objects, ci_files};
use self::image::Image;

/// For hundreds of runs of helm, beside other tests.
const HUNDREDS: Duration = Duration::from_secs(600);

pub(crate) fn suite() -> Suite {
    let chart = [
        test("helm lint reports nothing", values::lint),
        test("every configuration is valid", values::configs_are_good),
        test(
            "wrong values are rejected",
            values::refused::wrong_values_are_refused,
        ),
        test(
            "what the agent refuses, Helm or the Job refuses in its words",
            values::agreed::refused_alike,
        ),
        test("null for every value", values::each::null).within(HUNDREDS),
        test(
            "another type for every value",
            values::each::of_another_type,
        )
        .within(HUNDREDS),
        test("too much for every value", values::each::too_long).within(HUNDREDS),
        test("every list twice", values::each::twice).within(HUNDREDS),
        test("the README lists the values", readme::lists_the_values),
        test(
            "the schema knows the configuration",
            values::the_schema_knows_the_configuration,
        ),
        test("valid configurations pass", values::good_configs_pass),
        test(
            "only a change of metrics restarts pods",
            values::only_metrics_restart,
        ),
        test("values have an effect", values::values_are_heard),
        test("narrower labels win", values::narrower_labels_win),
        test(
            "a parent chart switches it and shares its values",
            parent::switches_and_shares,
        ),
        test(
            "releases share the budget",
            values::releases_share_the_budget,
        ),
        test("any name is a text", values::any_name_is_a_text),
        test("alerts can be changed", values::alerts_can_be_changed),
        test(
            "the notes say what is missing",
            values::notes_tell_what_is_missing,
        ),
        test("the package is complete", files::package),
        test("Kubernetes accepts every object", objects_are_valid),
        test(
            "the chart has the repository's rules and dashboards",
            files::are_those_of_the_repository,
        ),
        test(
            "pods are restricted except for the host's network and files",
            restricted,
        ),
        test("the image matches the chart", image_is_the_chart_s),
        test(
            "kustomize has the chart's defaults",
            kustomize::base_is_the_chart,
        ),
    ];
    let chart = chart.map(|test| test.needs([Need::HELM]));
    let kustomize = [
        test("kustomize builds", kustomize::builds).needs([Need::KUBECTL]),
        test(
            "Argo CD, Flux and kustomize get the same bytes twice",
            rendered_twice::same_bytes,
        )
        .needs([Need::HELM, Need::KUBECTL]),
    ];
    let pods = [
        test("a pod on Ubuntu pulls and follows its node", node::ubuntu),
        test(
            "a pod on Azure Linux pulls through a mirror",
            node::azure_linux,
        ),
        test("a pod sees less of the node with lean values", node::lean),
        test("a pod on an IPv6 node", node::ipv6),
        test(
            "a pod starts although its configuration is broken",
            node::broken_by_hand,
        ),
        test("a pod has as many series as documented", node::series),
    ];
    let pods = pods.map(|test| test.needs([Need::HELM, Need::Root, Need::IPROUTE]));
    let monitors = [
        test(
            "a PodMonitor keeps the labels of its targets",
            monitor::of_pods,
        ),
        test(
            "a ServiceMonitor keeps the labels of its targets",
            monitor::of_service,
        ),
    ];
    let monitors =
        monitors.map(|test| test.needs([Need::HELM, Need::Root, Need::IPROUTE, Need::PROMETHEUS]));
    let secured = test(
        "a secured pod is healthy, and requires the password",
        secured::by_tls_and_password,
    );
    let secured = secured.needs([Need::HELM, Need::Root, Need::IPROUTE, Need::CURL]);
    let security = test(
        "violations of the pod security standard are found",
        pod_security::forbidden_is_found,
    );
    Suite::of(
        chart
            .into_iter()
            .chain(kustomize)
            .chain(pods)
            .chain(monitors)
            .chain([secured, security]),
    )
}

fn objects_are_valid() -> Result<()> {
    let mut kinds = BTreeSet::new();
    for values in ci_files()? {
        for object in Objects::of_file(&values)?.0 {
            kubernetes::check(&object).with_context(|| values.display().to_string())?;
            ensure!(object["metadata"]["labels"]["app.kubernetes.io/name"] == "regprobe");
            kinds.insert(object["kind"].as_str().unwrap_or_default().to_owned());
        }
    }
    // Every template is rendered. Some are named after what they are for and not after their kind.
    let templates = fs::read_dir(helm::chart().join("templates"))?;
    let templates = templates.filter_map(|file| file.ok()?.file_name().into_string().ok());
    let seen: BTreeSet<_> = kinds
        .iter()
        .map(|kind| format!("{}.yaml", kind.to_lowercase()))
        .collect();
    let all: BTreeSet<_> = templates
        .filter(|name| name.ends_with(".yaml"))
        .map(|name| match &*name {
            "dashboards.yaml" => "configmap.yaml".to_owned(),
            "configcheck.yaml" => "job.yaml".to_owned(),
            "extramanifests.yaml" => "networkpolicy.yaml".to_owned(),
            _ => name,
        })
        .collect();
    ensure!(seen == all, "kinds {seen:?}, templates {all:?}");
    Ok(())
}

fn restricted() -> Result<()> {
    for values in ci_files()? {
        let objects = Objects::of_file(&values)?;
        // The agent needs the node's network and files.
        let mut exceptions = BTreeSet::from(["hostNetwork", "hostPort", "hostPath"]);
        // Kubelet must ask the address that the agent listens on.
        if values.ends_with("behind-a-proxy-values.yaml") {
            exceptions.insert("probe host");
        }
        let violations = pod_security::violations(objects.pod()?);
        ensure!(
            violations == exceptions,
            "{}: {violations:?}",
            values.display()
        );
        let writes = values.ends_with("kubernetes-values.yaml");
        ensure!(objects.pod()?["automountServiceAccountToken"] == writes);
        let resources = &objects.pod()?["containers"][0]["resources"];
        ensure!(resources["limits"].get("cpu").is_none(), "{resources}");
    }
    Ok(())
}

fn image_is_the_chart_s() -> Result<()> {
    let image = Image::of_dockerfile()?;
    let objects = Objects::rendered(&[])?;
    let pod = objects.pod()?;
    let container = &pod["containers"][0];
    let user = &pod["securityContext"];
    ensure!(image.user == format!("{}:{}", user["runAsUser"], user["runAsGroup"]));
    ensure!(image.port == container["ports"][0]["containerPort"].to_string());
    // The pod also passes the arguments of the image.
    ensure!(container.get("command").is_none());
    for argument in &image.arguments {
        let mut arguments = container["args"].as_array().into_iter().flatten();
        ensure!(
            arguments.any(|other| other == argument),
            "{argument} is not in {container}"
        );
    }
    ensure!(container["image"] == format!("regprobe:{}", env!("CARGO_PKG_VERSION")));
    Ok(())
}
