//! The node's own programs, kubelet and containerd, and their settings.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::credentials::{FOLDER, kubeconfig};
use super::machine::Machine;
use super::program::Program;
use super::{CredentialProvider, NAMESERVER, NODE, NODE_ADDRESS, PODS, expect_success};
use crate::image::Image;

/// The image of the container that keeps a pod's namespaces.
const SANDBOX: &str = "localhost/pause:v1";
/// It does what that container does: nothing.
const PAUSE: &str = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n";

/// Where kubelet says that it runs.
pub(super) const KUBELET_HEALTH: &str = "http://127.0.0.1:10248/healthz";

pub(super) fn start_containerd(machine: &Machine) -> Result<Program> {
    // The native snapshotter works on every file system, and the score needs a privilege that machines of
    // containers lack.
    let config = format!(
        "version = 3\n\
         [plugins.'io.containerd.cri.v1.images']\n\
         snapshotter = 'native'\n\
         [[plugins.'io.containerd.transfer.v1.local'.unpack_config]]\n\
         platform = 'linux/amd64'\n\
         snapshotter = 'native'\n\
         [plugins.'io.containerd.cri.v1.images'.pinned_images]\n\
         sandbox = '{SANDBOX}'\n\
         [plugins.'io.containerd.cri.v1.images'.registry]\n\
         config_path = '/etc/containerd/certs.d'\n\
         [plugins.'io.containerd.cri.v1.runtime']\n\
         restrict_oom_score_adj = true\n\
         [plugins.'io.containerd.cri.v1.runtime'.cni]\n\
         bin_dirs = ['/usr/lib/cni']\n"
    );
    machine.write("/etc/containerd/config.toml", config)?;
    let network = format!(
        r#"{{"cniVersion": "1.0.0", "name": "lab", "plugins": [{{"type": "ptp", "ipam":
            {{"type": "host-local", "subnet": "{PODS}", "routes": [{{"dst": "0.0.0.0/0"}}]}}}}]}}"#
    );
    machine.write("/etc/cni/net.d/10-lab.conflist", network)?;
    Program::start(machine, "containerd", machine.command("containerd"))
}

/// Below this much free memory, kubelet evicts pods.
pub(super) fn start_kubelet(machine: &Machine, memory: &str) -> Result<Program> {
    let config = format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1\n\
         kind: KubeletConfiguration\n\
         authentication: {{anonymous: {{enabled: false}}, x509: {{clientCAFile: {FOLDER}/ca.crt}}}}\n\
         authorization: {{mode: Webhook}}\n\
         tlsCertFile: {FOLDER}/kubelet.crt\n\
         tlsPrivateKeyFile: {FOLDER}/kubelet.key\n\
         containerRuntimeEndpoint: unix:///run/containerd/containerd.sock\n\
         clusterDomain: cluster.local\n\
         clusterDNS: [{NAMESERVER}]\n\
         cgroupDriver: cgroupfs\n\
         cgroupRoot: {}\n\
         enforceNodeAllocatable: []\n\
         failSwapOn: false\n\
         # Whether the machine's disk is nearly full is not what is tested.\n\
         evictionHard: {{nodefs.available: 1Mi, memory.available: \"{memory}\"}}\n\
         imageGCHighThresholdPercent: 100\n\
         # As often as a test looks.\n\
         syncFrequency: 1s\n",
        machine.cgroup()
    );
    machine.write("/etc/kubernetes/kubelet-config.yaml", config)?;
    let mut kubelet = machine.command("kubelet");
    if machine.file(CREDENTIAL_PROVIDERS).exists() {
        kubelet
            .arg(format!(
                "--image-credential-provider-config={CREDENTIAL_PROVIDERS}"
            ))
            .arg(format!(
                "--image-credential-provider-bin-dir={CREDENTIAL_PROVIDER_FOLDER}"
            ));
    }
    kubelet
        .arg(format!("--config={FOLDER}/kubelet-config.yaml"))
        .arg(format!("--kubeconfig={}", kubeconfig("system:node:node1")))
        .arg(format!("--hostname-override={NODE}"))
        .arg(format!("--node-ip={NODE_ADDRESS}"));
    Program::start(machine, "kubelet", kubelet)
}

/// Where nodes of AKS have them.
const CREDENTIAL_PROVIDERS: &str = "/var/lib/kubelet/credential-provider-config.yaml";
/// Where nodes of AKS have the programs.
pub const CREDENTIAL_PROVIDER_FOLDER: &str = "/var/lib/kubelet/credential-provider";

/// Has kubelet ask copies of a program, each with settings like those of AKS.
pub(super) fn bring_credential_providers(
    machine: &Machine,
    program: &Path,
    providers: &[CredentialProvider<'_>],
) -> Result<()> {
    fs::create_dir_all(machine.file(CREDENTIAL_PROVIDER_FOLDER))?;
    let mut entries = Vec::new();
    for provider in providers {
        let CredentialProvider {
            name,
            images,
            settings,
            environment,
        } = provider;
        let variables = environment.iter();
        let variables: Vec<_> = variables
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        entries.push(json!({
            "name": name,
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
            "defaultCacheDuration": "10m",
            "matchImages": images,
            "args": [settings],
            "env": variables,
        }));
        let file = machine.file(&format!("{CREDENTIAL_PROVIDER_FOLDER}/{name}"));
        fs::copy(program, &file).with_context(|| format!("failed to bring {name}"))?;
    }
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1",
        "kind": "CredentialProviderConfig",
        "providers": entries,
    });
    // JSON is YAML.
    machine.write(CREDENTIAL_PROVIDERS, config.to_string())
}

/// Brings the sandbox's image, which no registry of a test has.
pub(super) fn bring_sandbox(machine: &Machine) -> Result<()> {
    let image = Image::running("pause", "v1", &pause()?)?;
    machine.write("/var/tmp/pause.tar", image.archive(SANDBOX)?)?;
    import(machine, "/var/tmp/pause.tar", &[])
}

/// Brings an image from an archive among the machine's files.
pub(super) fn import(machine: &Machine, archive: &str, flags: &[&str]) -> Result<()> {
    let import = [
        "--namespace=k8s.io",
        "images",
        "import",
        "--local",
        "--snapshotter=native",
    ];
    expect_success(machine.command("ctr").args(import).args(flags).arg(archive)).map(drop)
}

/// A program that needs no file beside it and only waits.
pub fn pause() -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let [source, program] = ["pause.c", "pause"].map(|name| folder.path().join(name));
    fs::write(&source, PAUSE)?;
    let compiled = Command::new("cc")
        .args(["-static", "-s", "-Os", "-o"])
        .args([&program, &source])
        .output()?;
    ensure!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    Ok(fs::read(program)?)
}
