//! `kubectl regprobe why POD` for real pods that cannot pull: it prints the cause that the lab laid in.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use regprobe_harness::program::REGPROBE;
use regprobe_lab::fakes::acr::{Answer, Route};
use regprobe_lab::image::Image;
use regprobe_lab::pki::Pki;
use regprobe_lab::servers::cluster::{NODE, until};
use serde_json::{Value, json};

use super::ground::{Ground, PATIENCE, REGISTRY, ROUTER};
use super::story::VALUES;

/// A host behind the private endpoint's network that listens to nothing.
const CLOSED: Ipv4Addr = Ipv4Addr::new(10, 240, 1, 2);
/// No node can run it.
const FOREIGN: &str = "probe/foreign";

/// What is wrong, and what `why` says.
struct Case {
    pod: &'static str,
    lies: &'static str,
    lay: fn(&Ground) -> Result<()>,
    /// What the pod has beside one container with its own image.
    spec: fn(&mut Value),
    condition: &'static str,
    /// The runbook and who names the cause, if it is a fault of a pull.
    cause: Option<(&'static str, &'static str)>,
    /// Words of the sentence or of a note.
    words: &'static str,
}

const AS_USUAL: fn(&Ground) -> Result<()> = |_| Ok(());
const PLAIN: fn(&mut Value) = |_| ();

const CASES: [Case; 18] = [
    Case {
        pod: "no-such-host",
        lies: "the registry's name has a typo",
        lay: AS_USUAL,
        spec: |pod| pod["spec"]["containers"][0]["image"] = json!("contosoo.azurecr.io/probe/a:v1"),
        condition: "cannot_pull",
        cause: Some(("NameNotFound", "kubelet")),
        words: "does not watch contosoo.azurecr.io",
    },
    Case {
        pod: "record-missing",
        lies: "the data record is deleted from the private zone",
        lay: |ground| {
            ground
                .dns
                .acr("contoso")
                .data("westeurope")
                .record_missing();
            Ok(())
        },
        spec: PLAIN,
        condition: "cannot_pull",
        cause: Some(("PrivateLinkRecordMissing", "agent")),
        words: "has no record in its private zone",
    },
    Case {
        pod: "zone-unlinked",
        lies: "the private zone is unlinked, and the public firewall refuses",
        lay: |ground| {
            let refuses = Answer::Firewall(ROUTER.into());
            ground.twin.answer(Route::Token, refuses);
            ground.unlink();
            Ok(())
        },
        spec: PLAIN,
        condition: "cannot_pull",
        cause: Some(("PrivateLinkZoneNotLinked", "agent")),
        words: "does not see the private zone",
    },
    Case {
        pod: "stale-address",
        lies: "the private endpoint moved, its record did not",
        lay: |ground| {
            ground.leave_stale_record();
            Ok(())
        },
        spec: PLAIN,
        condition: "cannot_pull",
        cause: Some(("PrivateEndpointTimeout", "agent")),
        words: "nothing answers at 10.240.1.99",
    },
    Case {
        pod: "refused",
        lies: "the record leads to a host that does not listen",
        lay: |ground| {
            ground.dns.acr("contoso").login().linked([CLOSED]);
            Ok(())
        },
        spec: PLAIN,
        condition: "cannot_pull",
        cause: Some(("ConnectionRefused", "agent")),
        words: "refuses connections",
    },
    Case {
        pod: "firewall",
        lies: "the registry's firewall refuses this node",
        lay: |ground| {
            for route in [Route::Ping, Route::Token, Route::Manifest] {
                ground
                    .registry
                    .answer(route, Answer::Firewall(ROUTER.into()));
            }
            Ok(())
        },
        spec: PLAIN,
        condition: "cannot_pull",
        cause: Some(("RegistryFirewall", "agent")),
        words: "turns away this node",
    },
    Case {
        pod: "intercepted",
        lies: "a proxy's authority signed the certificate",
        lay: |ground| {
            let corporate = Pki::named("Corporate proxy")?;
            let identity = corporate.leaf([REGISTRY]).issue()?;
            ground.registry.present(REGISTRY, &identity).map(drop)
        },
        spec: PLAIN,
        condition: "cannot_pull",
        cause: Some(("TlsIntercepted", "agent")),
        words: "not from an authority that this node trusts",
    },
    Case {
        pod: "expired",
        lies: "the registry's certificate has expired",
        lay: |ground| {
            let identity = ground.pki.leaf([REGISTRY]).expired().issue()?;
            ground.registry.present(REGISTRY, &identity).map(drop)
        },
        spec: PLAIN,
        condition: "cannot_pull",
        cause: Some(("CertificateExpired", "agent")),
        words: "expired",
    },
    Case {
        pod: "fails",
        lies: "the registry fails",
        lay: |ground| {
            ground.registry.answer(Route::Manifest, Answer::Status(500));
            Ok(())
        },
        spec: PLAIN,
        condition: "cannot_pull",
        cause: Some(("RegistryError", "agent")),
        words: "500",
    },
    Case {
        pod: "anonymous",
        lies: "anonymous pulls are off, and the pod brings nothing",
        lay: |ground| {
            ground.registry.allow_anonymous_pull(false);
            Ok(())
        },
        spec: PLAIN,
        condition: "cannot_pull",
        cause: Some(("CredentialsRequired", "agent")),
        words: "names no pull secret",
    },
    Case {
        pod: "wrong-secret",
        lies: "anonymous pulls are off, and the pull secret is wrong",
        lay: |ground| {
            ground.registry.allow_anonymous_pull(false);
            let entry = json!({"auths": {REGISTRY: {"username": "reader", "password": "old"}}});
            secret(ground, "wrong", &entry)
        },
        spec: |pod| pod["spec"]["imagePullSecrets"] = json!([{"name": "wrong"}]),
        condition: "cannot_pull",
        cause: Some(("unauthorized", "kubelet")),
        words: "rejects the credentials of the pod's pull secret",
    },
    Case {
        pod: "absent-secret",
        lies: "anonymous pulls are off, and the pull secret does not exist",
        lay: |ground| {
            ground.registry.allow_anonymous_pull(false);
            Ok(())
        },
        spec: |pod| pod["spec"]["imagePullSecrets"] = json!([{"name": "absent"}]),
        condition: "cannot_pull",
        cause: Some(("CredentialsRequired", "agent")),
        words: "cannot get pull secrets of the pod: absent.",
    },
    Case {
        pod: "malformed-secret",
        lies: "the pull secret is malformed",
        lay: |ground| {
            let entry = json!({"auths": {REGISTRY: {"auth": "not base64"}}});
            secret(ground, "malformed", &entry)
        },
        spec: |pod| pod["spec"]["imagePullSecrets"] = json!([{"name": "malformed"}]),
        condition: "cannot_pull",
        cause: Some(("PullSecretInvalid", "kubelet")),
        words: "pull secret of the pod is malformed",
    },
    Case {
        pod: "absent",
        lies: "the registry has no such tag",
        lay: AS_USUAL,
        spec: |pod| {
            pod["spec"]["containers"][0]["image"] = json!(format!("{REGISTRY}/probe/hello:absent"));
        },
        condition: "cannot_pull",
        cause: Some(("ImageNotFound", "kubelet")),
        words: "has no such image",
    },
    Case {
        pod: "foreign",
        lies: "the image is for another platform",
        lay: AS_USUAL,
        spec: PLAIN,
        condition: "cannot_pull",
        cause: Some(("PlatformMismatch", "kubelet")),
        words: "no version for the node's platform, linux/amd64",
    },
    Case {
        pod: "does-not-start",
        lies: "the image is there, its command is not",
        lay: AS_USUAL,
        spec: |pod| pod["spec"]["containers"][0]["command"] = json!(["/absent"]),
        condition: "no_pull_fault",
        cause: None,
        words: "the image of container main is there",
    },
    Case {
        pod: "no-volume",
        lies: "a volume cannot be mounted",
        lay: AS_USUAL,
        spec: |pod| {
            pod["spec"]["volumes"] = json!([{"name": "a", "secret": {"secretName": "absent"}}]);
            let mount = json!([{"name": "a", "mountPath": "/a"}]);
            pod["spec"]["containers"][0]["volumeMounts"] = mount;
        },
        condition: "no_pull_fault",
        cause: None,
        words: "waits for a volume",
    },
    Case {
        pod: "no-node",
        lies: "no node has what the pod selects",
        lay: AS_USUAL,
        spec: |pod| pod["spec"]["nodeSelector"] = json!({"absent": "true"}),
        condition: "not_scheduled",
        cause: None,
        words: "didn't match Pod's node affinity/selector",
    },
];

pub(super) fn names_the_cause() -> Result<()> {
    let images = CASES.map(|case| format!("probe/{}", case.pod));
    let mut images: Vec<_> = images.iter().map(String::as_str).collect();
    images.retain(|image| !["probe/absent", FOREIGN].contains(image));
    let foreign = Image::new(FOREIGN, "v1", &["linux/arm64"])?;
    let ground = Ground::with(&images, vec![foreign])?;
    ground.network.address(&format!("{CLOSED}/32"))?;
    told(&ground).with_context(|| ground.logs())
}

fn told(ground: &Ground) -> Result<()> {
    ground.upgrade(VALUES)?;
    let folder = tempfile::tempdir()?;
    let plugin = folder.path().join("kubectl-regprobe");
    symlink(&*REGPROBE, &plugin)?;
    asks_nodes(ground, &plugin)?;
    for case in &CASES {
        let answer = case.answer(ground, &plugin);
        let (said, text) = answer.with_context(|| case.lies.to_owned())?;
        println!("{}\n  kubelet  {said}", case.lies);
        text.lines().for_each(|line| println!("  why      {line}"));
        println!();
    }
    Ok(())
}

/// `check` on nodes, and their bundles.
fn asks_nodes(ground: &Ground, plugin: &Path) -> Result<()> {
    let folder = plugin.parent().context("no folder")?.join("ticket");
    let out = format!("--out={}", folder.display());
    let here = format!("--node={NODE}");
    for (arguments, status, words) in [
        (vec!["check", "contoso", &here], 0, "1 registry: 1 ok"),
        (vec!["check", "--all"], 0, "All 1 node can pull."),
        (
            vec!["check", "contosoo.azurecr.io", "--all"],
            1,
            "1 of 1 node cannot pull from contosoo.azurecr.io: NameNotFound",
        ),
        (
            vec!["check", "contoso", &here, "--node=node2"],
            2,
            "node2  NO ANSWER  no agent runs there",
        ),
        (
            vec!["check", "contoso", "--node=node2"],
            2,
            "no agent runs on node2",
        ),
        (vec!["bundle", &here, &out], 0, "node1.json"),
    ] {
        let mut command = ground.cluster.command(&plugin.to_string_lossy());
        let ended = command.args(&arguments).output()?;
        let said = String::from_utf8(ended.stdout)? + &String::from_utf8(ended.stderr)?;
        println!("$ kubectl regprobe {}\n{said}", arguments.join(" "));
        ensure!(
            said.contains(words) && ended.status.code() == Some(status),
            "{words}, {:?}",
            ended.status
        );
    }
    let bundle = fs::read(folder.join("node1.json"))?;
    let bundle: Value = serde_json::from_slice(&bundle)?;
    ensure!(
        bundle["schema"] == "regprobe/v1" && bundle["node"] == NODE,
        "{bundle:#}"
    );
    let log = fs::read_to_string(folder.join("node1.log"))?;
    ensure!(log.contains("starting regprobe"), "{log}");
    Ok(())
}

impl Case {
    /// What the kubelet says, and what `why` prints.
    fn answer(&self, ground: &Ground, plugin: &Path) -> Result<(String, String)> {
        (self.lay)(ground)?;
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": self.pod},
            "spec": {
                "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": false,
                "containers": [{"name": "main", "image": format!("{REGISTRY}/probe/{}:v1", self.pod)}],
            },
        });
        (self.spec)(&mut pod);
        until("the API server takes the pod", PATIENCE, || {
            ground.cluster.apply(&pod.to_string())
        })?;
        let why = |output: &str| {
            let mut command = ground.cluster.command(&plugin.to_string_lossy());
            let out = command.args(["why", self.pod, output]).output()?;
            let said = String::from_utf8(out.stdout)? + &String::from_utf8(out.stderr)?;
            anyhow::Ok((said, out.status.code()))
        };
        let document = until("why names the cause", PATIENCE, || {
            let (said, status) = why("--output=json")?;
            let document: Value = serde_json::from_str(&said).with_context(|| said.clone())?;
            self.expect(&document, status)
                .with_context(|| format!("{document:#}"))?;
            Ok(document)
        })?;
        let (text, _) = why("--output=text")?;
        let said = document["images"][0]["said"].as_str().unwrap_or("nothing");
        ground
            .cluster
            .kubectl(["delete", "pod", self.pod, "--wait=false"])?;
        ground.registry.fix().allow_anonymous_pull(true);
        let usual = ground.pki.leaf([REGISTRY]).issue()?;
        ground.registry.present(REGISTRY, &usual)?;
        ground.twin.fix();
        ground.link();
        until("the agent sees nothing wrong", PATIENCE, || {
            let registry = ground.status()?["registries"][0].take();
            ensure!(registry["verdict"] == "ok", "{registry:#}");
            Ok(())
        })?;
        Ok((said.to_owned(), text))
    }

    fn expect(&self, document: &Value, status: Option<i32>) -> Result<()> {
        let image = &document["images"][0];
        let cause = self
            .cause
            .map_or_else(|| json!([null, null]), |pair| json!(pair));
        ensure!(document["condition"] == self.condition);
        ensure!(json!([image["runbook"], image["according_to"]]) == cause);
        ensure!(
            self.cause.is_none() || image["said"].is_string(),
            "no words of the kubelet yet"
        );
        let said = format!("{}{}", document["sentence"], document["notes"]);
        ensure!(said.contains(self.words), "{}", self.words);
        let expected = match self.condition {
            "cannot_pull" => 1,
            "no_pull_fault" => 0,
            _ => 2,
        };
        ensure!(status == Some(expected), "{status:?}");
        Ok(())
    }
}

fn secret(ground: &Ground, name: &str, content: &Value) -> Result<()> {
    let content = BASE64_STANDARD.encode(content.to_string());
    ground.cluster.apply(&format!(
        "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/dockerconfigjson\nmetadata: {{name: {name}}}\n\
         data: {{.dockerconfigjson: {content}}}\n"
    ))
}
