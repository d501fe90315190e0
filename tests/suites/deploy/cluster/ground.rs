//! A cluster, a registry behind private link with its public twin, and the chart.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::need;
use regprobe_lab::client::{self, Reply};
use regprobe_lab::fakes::acr::Acr;
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::image::Image;
use regprobe_lab::netns::Namespace;
use regprobe_lab::pki::Pki;
use regprobe_lab::servers::cluster::{self, Cluster, NAMESERVER, NODE_ADDRESS, NodeFiles, until};
use serde_json::Value;
use tempfile::TempDir;

use crate::release::dist::{IMAGE, VERSION, dist, expect_success};

pub(super) const REGISTRY: &str = "contoso.azurecr.io";
/// The release's name and namespace.
pub(super) const RELEASE: &str = "regprobe";
/// The other end of the node's cable, and where Prometheus listens.
pub(super) const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

const PRIVATE: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 240, 1, 4), Ipv4Addr::new(10, 240, 1, 5)];
const PUBLIC: [Ipv4Addr; 2] = [
    Ipv4Addr::new(203, 0, 113, 10),
    Ipv4Addr::new(203, 0, 113, 11),
];
/// Nobody is there.
const STALE: Ipv4Addr = Ipv4Addr::new(10, 240, 1, 99);

/// How long anything may take that a person would wait for.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);

/// The image that the agent is configured with, beside those that pods pull.
pub(super) const PROBED: &str = "probe/hello";

pub(super) struct Ground {
    pub(super) cluster: Cluster,
    pub(super) dns: Dns,
    pub(super) registry: Acr,
    pub(super) twin: Acr,
    pub(super) pki: Pki,
    folder: TempDir,
    pub(super) network: Namespace,
    _node: Namespace,
}

/// A node, and the network at the other end of its cable.
pub(super) fn namespaces() -> Result<[Namespace; 2]> {
    let [node, network] = ["node", "network"].map(Namespace::new);
    let (node, network) = (node?, network?);
    node.cable(
        &format!("{NODE_ADDRESS}/24"),
        &network,
        &format!("{ROUTER}/24"),
    )?;
    node.route("default", &ROUTER.to_string())?;
    Ok([node, network])
}

impl Ground {
    /// Everything but the chart. The registry has these images beside [`PROBED`].
    pub(super) fn new(images: &[&str]) -> Result<Self> {
        Self::with(images, Vec::new())
    }

    /// With more images, as they are.
    pub(super) fn with(images: &[&str], more: Vec<Image>) -> Result<Self> {
        let [node, network] = namespaces()?;
        for address in [[NAMESERVER, NAMESERVER], PRIVATE, PUBLIC].as_flattened() {
            // The second of a pair of equal ones is there already.
            let _ = network.address(&format!("{address}/32"));
        }
        let pki = Pki::new()?;
        let program = cluster::pause()?;
        let images = [PROBED].iter().chain(images);
        let images = images
            .map(|repository| Image::running(repository, "v1", &program))
            .chain(more.into_iter().map(Ok))
            .collect::<Result<Vec<_>>>()?;
        let dns = network.enter(|| Dns::start((NAMESERVER, 53)))?;
        let open = |[login, data]: [Ipv4Addr; 2]| {
            let mut acr = Acr::at(REGISTRY, (login, 443))
                .data("contoso.westeurope.data.azurecr.io", (data, 443))
                .tls(&pki)
                .anonymous_pull();
            for image in &images {
                acr = acr.image(image.clone());
            }
            network.enter(|| acr.start())
        };
        let (registry, twin) = (open(PRIVATE)?, open(PUBLIC)?);
        let files = NodeFiles {
            resolv_conf: &format!("nameserver {NAMESERVER}\n"),
            bundle: &pki.ca_pem(),
            credential_providers: None,
        };
        let programs = need::kubernetes();
        let ground = Self {
            cluster: Cluster::start(&node, &programs, &files)?,
            dns,
            registry,
            twin,
            pki,
            folder: tempfile::tempdir()?,
            network,
            _node: node,
        };
        ground.link();
        ground.cluster.apply(MONITORING)?;
        // As in a node image that contains the agent's: a node that cannot pull cannot pull the agent either.
        let archive = dist()?.file(&format!("regprobe-{VERSION}-image.tar"));
        let flags = ["--digests", "--all-platforms", "--base-name", IMAGE];
        ground.cluster.import(&archive, &flags)?;
        Ok(ground)
    }

    /// The registry's names lead to its private endpoint.
    pub(super) fn link(&self) {
        let names = self.dns.acr("contoso");
        names.login().linked([PRIVATE[0]]);
        names.data("westeurope").linked([PRIVATE[1]]);
    }

    /// The zone is not linked any more: the names lead to the public twin.
    pub(super) fn unlink(&self) {
        let names = self.dns.acr("contoso");
        names.login().unlinked([PUBLIC[0]]);
        names.data("westeurope").unlinked([PUBLIC[1]]);
    }

    /// The private endpoint has moved, and the record of the login server has not.
    pub(super) fn leave_stale_record(&self) {
        self.dns.acr("contoso").login().linked([STALE]);
    }

    /// Helm with the user's rights in the cluster.
    pub(super) fn helm(&self, arguments: &[&str]) -> Result<String> {
        let helm = need::tool("layer/helm/helm");
        let mut helm = self
            .cluster
            .command(&helm.canonicalize()?.to_string_lossy());
        expect_success(&helm.args(arguments).output()?)
    }

    /// Installs or upgrades the release with the packaged chart, and returns once its agents are ready.
    pub(super) fn upgrade(&self, values: &str) -> Result<String> {
        self.upgrade_with(values, &["--wait", "--timeout=3m"])
    }

    /// Also takes back what was changed by hand.
    pub(super) fn upgrade_by_force(&self, values: &str) -> Result<String> {
        self.upgrade_with(values, &["--wait", "--timeout=3m", "--force-conflicts"])
    }

    /// Returns as soon as the objects are there.
    pub(super) fn upgrade_without_waiting(&self, values: &str) -> Result<String> {
        self.upgrade_with(values, &[])
    }

    fn upgrade_with(&self, values: &str, flags: &[&str]) -> Result<String> {
        let chart = dist()?.file(&format!("regprobe-{VERSION}.tgz"));
        let file = self.values(values)?;
        let upgrade = [
            "upgrade",
            RELEASE,
            &chart.to_string_lossy(),
            "--install",
            "--create-namespace",
            "--namespace",
            RELEASE,
            "--values",
            &file.to_string_lossy(),
        ];
        self.helm(&[&upgrade, flags].concat())
    }

    fn values(&self, text: &str) -> Result<PathBuf> {
        let file = self.folder.path().join("values.yaml");
        std::fs::write(&file, text)?;
        Ok(file)
    }

    /// The log of the agents, and of everything else, for a test that failed.
    pub(super) fn logs(&self) -> String {
        let logs = [
            "logs",
            "--namespace",
            RELEASE,
            "daemonset/regprobe",
            "--tail=30",
        ];
        let mut text = String::new();
        let agents = self.cluster.kubectl(logs);
        let _ = writeln!(
            text,
            "{}",
            agents.unwrap_or_else(|error| format!("{error:#}"))
        );
        text + &self.cluster.logs()
    }

    /// The only pod of the agents.
    pub(super) fn agent(&self) -> Result<Value> {
        let label = "app.kubernetes.io/name=regprobe";
        let pods = format!("pods --namespace={RELEASE} --selector={label}");
        let mut pods = self.cluster.get(&pods)?;
        let pods = pods["items"].as_array_mut().context("no list")?;
        ensure!(pods.len() == 1, "{} agents", pods.len());
        Ok(pods.remove(0))
    }

    /// The agent's status document, as people get it through the API server.
    pub(super) fn status(&self) -> Result<Value> {
        let agent = self.agent()?;
        let name = agent["metadata"]["name"].as_str().context("no name")?;
        let path = format!("/api/v1/namespaces/{RELEASE}/pods/{name}:9118/proxy/api/v1/status");
        let status = self.cluster.kubectl(["get", "--raw", &path])?;
        Ok(serde_json::from_str(&status)?)
    }

    /// The agent's answer on the node's address, without the API server.
    pub(super) fn ask_agent(&self, path: &str) -> Result<Reply> {
        let agent = (NODE_ADDRESS, 9118).into();
        self.network.enter(|| client::get(agent, path).send())
    }

    /// Runs an image of the registry in a pod of this name; it only waits.
    pub(super) fn start_pod(&self, name: &str) -> Result<()> {
        let pod = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n\
             spec:\n  terminationGracePeriodSeconds: 1\n  automountServiceAccountToken: false\n  \
             containers: [{{name: main, image: \"{REGISTRY}/probe/{name}:v1\"}}]\n"
        );
        // A new cluster takes no pods until a controller has made their service account.
        until("the API server takes the pod", PATIENCE, || {
            self.cluster.apply(&pod)
        })
    }

    /// What `kubectl describe pod` shows about the failed pull.
    pub(super) fn failed_pull(&self, pod: &str) -> Result<String> {
        let described = self.cluster.kubectl(["describe", "pod", pod])?;
        let mut lines = described.lines();
        let line = lines.find(|line| line.contains("Failed to pull image"));
        let line = line.with_context(|| format!("no failed pull in\n{described}"))?;
        Ok(line.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    pub(super) fn expect_running(&self, pod: &str) -> Result<()> {
        let phase = self.cluster.get(&format!("pod {pod}"))?["status"]["phase"].take();
        ensure!(phase == "Running", "{pod} is {phase}");
        Ok(())
    }
}

/// What Prometheus Operator brings; the chart's objects are stored as they are.
const MONITORING: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: podmonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: PodMonitor, plural: podmonitors}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: prometheusrules.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: PrometheusRule, plural: prometheusrules}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"#;
