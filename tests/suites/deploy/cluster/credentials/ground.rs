//! A cluster whose kubelet has the credential provider of AKS nodes, a metadata service on its node, and registries that
//! differ in what they grant.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use regprobe_harness::need;
use regprobe_harness::program::REGPROBE;
use regprobe_lab::fakes::acr::{Acr, Answer, Permissions, Rights, Role, Route};
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::fakes::entra::{KUBELET_IDENTITY, TENANT};
use regprobe_lab::fakes::metadata::{self, Metadata};
use regprobe_lab::image::Image;
use regprobe_lab::netns::Namespace;
use regprobe_lab::pki::Pki;
use regprobe_lab::servers::cluster::{
    self, CREDENTIAL_PROVIDER_FOLDER, Cluster, CredentialProvider, NAMESERVER, NodeFiles,
};
use regprobe_lab::servers::{azure_json, credential_provider};
use serde_json::{Map, Value, json};

use super::Shown;
use super::table::{
    ABAC, BUSY_IDENTITY, BY_BUSY_IDENTITY, BY_PROXY, FIREWALLED, GRANTED, Identity, NOT_AZURES,
    OF_PRINCIPAL, OF_UNKNOWN_PRINCIPAL, OF_WRONG_PRINCIPAL, OPEN, OPEN_TO_WRONG_PRINCIPAL, PRIVATE,
    Row, Secret, TAKEN_AWAY, UNMATCHED, WITHOUT_PROGRAM, WITHOUT_ROLE,
};
use crate::cluster::ground::namespaces;

const REGISTRIES: [&str; 16] = [
    PRIVATE,
    OPEN,
    GRANTED,
    WITHOUT_ROLE,
    FIREWALLED,
    ABAC,
    TAKEN_AWAY,
    OF_PRINCIPAL,
    OF_WRONG_PRINCIPAL,
    OPEN_TO_WRONG_PRINCIPAL,
    OF_UNKNOWN_PRINCIPAL,
    BY_BUSY_IDENTITY,
    BY_PROXY,
    WITHOUT_PROGRAM,
    NOT_AZURES,
    UNMATCHED,
];

const AZURE_JSON: &str = "/etc/kubernetes/azure.json";
const BUSY_AZURE_JSON: &str = "/etc/kubernetes/busy.json";
/// Nothing listens there.
const PROXY: (&str, &str) = ("HTTP_PROXY", "http://127.0.0.1:1");
/// The provider whose program is removed, which kubelet would not start without.
const REMOVED: &str = "acr-removed";
const PROVIDERS: [CredentialProvider<'_>; 4] = [
    CredentialProvider {
        name: "acr-credential-provider",
        images: &["*.azurecr.io", NOT_AZURES],
        settings: AZURE_JSON,
        environment: &[],
    },
    CredentialProvider {
        name: "acr-busy",
        images: &[BY_BUSY_IDENTITY],
        settings: BUSY_AZURE_JSON,
        environment: &[],
    },
    CredentialProvider {
        name: "acr-by-proxy",
        images: &[BY_PROXY],
        settings: AZURE_JSON,
        environment: &[PROXY],
    },
    CredentialProvider {
        name: REMOVED,
        images: &[WITHOUT_PROGRAM],
        settings: AZURE_JSON,
        environment: &[],
    },
];

pub(super) struct Ground {
    pub(super) cluster: Cluster,
    registries: BTreeMap<&'static str, Acr>,
    metadata: Metadata,
    _dns: Dns,
    _network: Namespace,
    _node: Namespace,
}

/// What the node's `azure.json` says.
pub(super) enum Settings {
    /// The kubelet's identity.
    Identity,
    /// Whichever identity the node has.
    UnnamedIdentity,
    /// A client id and a secret.
    Principal(&'static str, &'static str),
    Missing,
}

impl Ground {
    pub(super) fn new() -> Result<Self> {
        let [node, network] = namespaces()?;
        network.address(&format!("{NAMESERVER}/32"))?;
        node.address(&format!("{}/32", metadata::ADDRESS.ip()))?;
        let metadata = node.enter(|| Metadata::start(metadata::ADDRESS))?;
        let dns = network.enter(|| Dns::start((NAMESERVER, 53)))?;
        for zone in [
            "azurecr.io",
            "azurecr.cn",
            "azurecr.us",
            "azurecr.de",
            "contoso.example",
        ] {
            dns.zone(zone);
        }
        let pki = Pki::new()?;
        let program = cluster::pause()?;
        let mut registries = BTreeMap::new();
        for (number, host) in (10..).zip(REGISTRIES) {
            let address = Ipv4Addr::new(203, 0, 113, number);
            network.address(&format!("{address}/32"))?;
            dns.address(host, [address], 60);
            let image = Image::running("probe/hello", "v1", &program)?;
            let acr = Acr::at(host, (address, 443)).tls(&pki).image(image);
            registries.insert(host, network.enter(|| acr.start())?);
        }
        let rights = |role, permissions| Rights {
            role,
            permissions,
            ..Rights::default()
        };
        for host in [OPEN, OPEN_TO_WRONG_PRINCIPAL] {
            registries[host].allow_anonymous_pull(true);
        }
        registries[WITHOUT_ROLE].grant(rights(Role::Nothing, Permissions::ForRegistry));
        registries[ABAC].grant(rights(
            Role::OtherRepositories,
            Permissions::ForRepositories,
        ));
        registries[FIREWALLED].answer(
            Route::Exchange,
            Answer::Firewall(Ipv4Addr::LOCALHOST.into()),
        );
        let files = NodeFiles {
            resolv_conf: &format!("nameserver {NAMESERVER}\n"),
            bundle: &pki.ca_pem(),
            credential_providers: Some((&credential_provider(), &PROVIDERS)),
        };
        let ground = Self {
            cluster: Cluster::start(&node, &need::kubernetes(), &files)?,
            registries,
            metadata,
            _dns: dns,
            _network: network,
            _node: node,
        };
        ground.set(Settings::Identity)?;
        let busy = ground.cluster.file(BUSY_AZURE_JSON);
        fs::write(busy, azure_json(Some(BUSY_IDENTITY)))?;
        ground.metadata.throttle(BUSY_IDENTITY);
        let removed = format!("{CREDENTIAL_PROVIDER_FOLDER}/{REMOVED}");
        fs::remove_file(ground.cluster.file(&removed))?;
        Ok(ground)
    }

    /// From now on the node's scale set has these identities.
    pub(super) fn has_identities<const N: usize>(&self, client_ids: [&str; N]) -> Result<()> {
        self.metadata.identities(client_ids);
        Ok(())
    }

    pub(super) fn name_no_identity(&self) -> Result<()> {
        self.has_identities([KUBELET_IDENTITY, BUSY_IDENTITY])?;
        self.set(Settings::UnnamedIdentity)
    }

    pub(super) fn take_role_away(&self) -> Result<()> {
        self.registries[TAKEN_AWAY].grant(Rights {
            role: Role::Nothing,
            ..Rights::default()
        });
        Ok(())
    }

    pub(super) fn hang_metadata(&self) -> Result<()> {
        self.metadata.answer(Answer::HangBeforeHeaders);
        self.set(Settings::Identity)
    }

    pub(super) fn set(&self, settings: Settings) -> Result<()> {
        let file = self.cluster.file(AZURE_JSON);
        match settings {
            Settings::Identity => fs::write(file, azure_json(Some(KUBELET_IDENTITY)))?,
            Settings::UnnamedIdentity => fs::write(file, azure_json(None))?,
            Settings::Principal(id, secret) => {
                let text = json!({
                    "cloud": "AzurePublicCloud",
                    "tenantId": TENANT,
                    "aadClientId": id,
                    "aadClientSecret": secret,
                });
                fs::write(file, text.to_string())?;
            }
            Settings::Missing => fs::remove_file(file)?,
        }
        Ok(())
    }

    /// Makes a row's secrets and its pod.
    pub(super) fn start(&self, row: &Row) -> Result<()> {
        let name = |number: usize| format!("{}-{number}", row.name);
        let secrets = row.secrets.iter().enumerate();
        let named: Vec<_> = secrets
            .clone()
            .map(|(number, _)| json!({"name": name(number)}))
            .collect();
        let mut items: Vec<_> = secrets
            .filter_map(|(number, secret)| secret.object(&name(number), row.registry))
            .collect();
        items.push(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": row.name},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "automountServiceAccountToken": false,
                "imagePullSecrets": named,
                "containers": [{
                    "name": "main",
                    "image": format!("{}/probe/hello:v1", row.registry),
                    // Else the node would not ask for an image that it has.
                    "imagePullPolicy": "Always",
                }],
            },
        }));
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        // A new cluster takes no pods until a controller has made their service account.
        cluster::until("the API server takes the pod", super::PATIENCE, || {
            self.cluster.apply(&list.to_string())
        })
    }

    pub(super) fn shown(&self, pod: &str) -> Result<Shown> {
        let status = self.cluster.get(&format!("pod {pod}"))?["status"].take();
        let state = &status["containerStatuses"][0]["state"];
        let waiting =
            ["reason", "message"].map(|part| state["waiting"][part].as_str().unwrap_or_default());
        let events = self.cluster.get(&format!(
            "events --field-selector=involvedObject.name={pod}"
        ))?;
        let events = events["items"].as_array().into_iter().flatten();
        Ok(Shown {
            is_running: state["running"].is_object(),
            waiting: waiting.join(": "),
            events: events
                .filter_map(|event| event["reason"].as_str().map(str::to_owned))
                .collect(),
        })
    }

    /// What the agent says on the node with the row's identity and its only secret.
    pub(super) fn check(&self, row: &Row) -> Result<Value> {
        let mut credentials = Map::new();
        match row.identity {
            Identity::None => {}
            Identity::Unnamed => drop(credentials.insert("managed_identity".to_owned(), json!({}))),
            Identity::Named(client_id) => {
                let identity = json!({"client_id": client_id});
                credentials.insert("managed_identity".to_owned(), identity);
            }
        }
        match row.secrets {
            [] => {}
            [secret @ (Secret::Config(_) | Secret::Of(_))] => {
                let path = "/var/tmp/dockerconfig.json";
                let text = secret.config(row.registry).context("no configuration")?;
                fs::write(self.cluster.file(path), text)?;
                credentials.insert("docker_config".to_owned(), json!(path));
            }
            _ => anyhow::bail!("the agent takes one secret"),
        }
        let config = "/var/tmp/regprobe.yaml";
        let registry = json!({
            "server": row.registry,
            "images": ["probe/hello:v1"],
            "credentials": credentials,
        });
        // JSON is YAML.
        fs::write(
            self.cluster.file(config),
            json!({"registries": [registry]}).to_string(),
        )?;
        let mut check = self.cluster.command(&REGPROBE.to_string_lossy());
        if row.registry == BY_PROXY {
            check.env(PROXY.0, PROXY.1);
        }
        let out = check
            .args(["check", "--output=json", &format!("--config.file={config}")])
            .output()?;
        serde_json::from_slice(&out.stdout)
            .with_context(|| String::from_utf8_lossy(&out.stderr).into_owned())
    }

    /// Ends the pods of the phase before, which try again otherwise.
    pub(super) fn clear(&self) -> Result<()> {
        self.cluster
            .kubectl(["delete", "pods,secrets,events", "--all", "--now"])
            .map(drop)
    }
}

impl Secret {
    fn config(&self, registry: &str) -> Option<String> {
        match self {
            Self::Of(pair) => {
                let (user, password) = pair.split_once(':')?;
                let entry = json!({"username": user, "password": password});
                Some(json!({"auths": {registry: entry}}).to_string())
            }
            Self::Config(text) => Some(text.replace("REGISTRY", registry)),
            Self::Dockercfg | Self::Opaque | Self::Missing => None,
        }
    }

    fn object(&self, name: &str, registry: &str) -> Option<Value> {
        let entry = json!({registry: {"username": "reader", "password": "secret"}});
        let (kind, key, text) = match self {
            Self::Missing => return None,
            Self::Dockercfg => ("kubernetes.io/dockercfg", ".dockercfg", entry.to_string()),
            Self::Opaque => (
                "Opaque",
                ".dockerconfigjson",
                json!({"auths": entry}).to_string(),
            ),
            Self::Of(_) | Self::Config(_) => (
                "kubernetes.io/dockerconfigjson",
                ".dockerconfigjson",
                self.config(registry)?,
            ),
        };
        Some(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "type": kind,
            "stringData": {key: text},
        }))
    }
}
