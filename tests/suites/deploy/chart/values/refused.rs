//! Wrong values, and what helm says about them.

use std::fs;

use anyhow::{Result, ensure};

use crate::chart::helm::{chart, helm};

/// The values, and helm's error.
const WRONG: &[(&str, &str)] = &[
    (
        "commonLabels: {app.kubernetes.io/name: obs}",
        "commonLabels: app.kubernetes.io/name finds the agents' pods and cannot be changed here",
    ),
    (
        "commonLabels: {team: 'a b'}",
        "'/commonLabels/team': 'a b' does not match pattern",
    ),
    (
        "dnsPolicy: None",
        "dnsConfig: the dnsPolicy None requires nameservers here",
    ),
    (
        "extraArgs: [--log.level=debug]",
        "extraArgs: the chart sets --log.level itself; use log.level",
    ),
    (
        "extraArgs: ['--web.listen-address=127.0.0.1:9119']",
        "extraArgs: the chart sets --web.listen-address itself; use web.address and web.port",
    ),
    (
        "extraVolumes: [{name: config, emptyDir: {}}]",
        "extraVolumes: the chart has its own config; choose another name",
    ),
    (
        "extraEnv: [{name: NODE_NAME, value: a}]",
        "extraEnv: the chart has its own NODE_NAME; choose another name",
    ),
    (
        "extraContainers: [{name: regprobe}]",
        "extraContainers: the chart has its own regprobe; choose another name",
    ),
    (
        "prometheusRule: {disabled: [RegprobeDown]}",
        "prometheusRule: there is no alert RegprobeDown; there are RegprobePrivateLinkDrift,",
    ),
    (
        "hostMountPropagation: Bidirectional",
        "'/hostMountPropagation': value must be one of 'None', 'HostToContainer'",
    ),
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
        "config: {registries: [{server: 'oci://contoso.azurecr.io'}]}",
        "'/config/registries/0/server': 'oci://contoso.azurecr.io' does not match pattern",
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
