//! What a test needs from the machine: root, packages, and tools that `tests/run` installs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Uid;

use regprobe_lab::servers::credential_provider;

use crate::program::{left_behind, repository};

/// A requirement of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Network namespaces and low ports.
    Root,
    /// A Debian package, and the program from it that the test uses.
    Package(&'static str, &'static str),
    /// A release of containerd, which `tests/oracles/bring` brings.
    Oracle(&'static str),
    /// The credential provider of AKS nodes, which `tests/oracles/bring` builds.
    CredentialProvider,
    /// Go, which builds programs in `tests/oracles`.
    Go,
    /// A file in `tests/tools`, where `tests/run` installs packages from npm and PyPI.
    Tool(&'static str),
    /// Kubernetes and containerd, which `tests/cluster/build` builds.
    Kubernetes,
}

impl Need {
    pub const BIND: Self = Self::Package("bind9", "/usr/sbin/named");
    pub const BUILDAH: Self = Self::Package("buildah", "/usr/bin/buildah");
    pub const CONTAINERD: Self = Self::Package("containerd", "/usr/bin/containerd");
    pub const CURL: Self = Self::Package("curl", "/usr/bin/curl");
    pub const BASH: Self = Self::Package("bash", "/usr/bin/bash");
    pub const CNI: Self = Self::Package("containernetworking-plugins", "/usr/lib/cni/ptp");
    pub const DIG: Self = Self::Package("bind9-dnsutils", "/usr/bin/dig");
    pub const DNSMASQ: Self = Self::Package("dnsmasq-base", "/usr/sbin/dnsmasq");
    pub const DOCKER_REGISTRY: Self = Self::Package("docker-registry", "/usr/bin/docker-registry");
    pub const ETCD: Self = Self::Package("etcd-server", "/usr/bin/etcd");
    pub const FAKETIME: Self = Self::Package("faketime", "/usr/bin/faketime");
    pub const FISH: Self = Self::Package("fish", "/usr/bin/fish");
    pub const GROFF: Self = Self::Package("groff-base", "/usr/bin/groff");
    pub const IPROUTE: Self = Self::Package("iproute2", "/usr/sbin/ip");
    pub const IPTABLES: Self = Self::Package("iptables", "/usr/sbin/iptables-save");
    pub const NFTABLES: Self = Self::Package("nftables", "/usr/sbin/nft");
    pub const NGINX: Self = Self::Package("nginx-light", "/usr/sbin/nginx");
    pub const OPENSSL: Self = Self::Package("openssl", "/usr/bin/openssl");
    pub const RUNC: Self = Self::Package("runc", "/usr/sbin/runc");
    pub const SKOPEO: Self = Self::Package("skopeo", "/usr/bin/skopeo");
    pub const SQUID: Self = Self::Package("squid", "/usr/sbin/squid");
    pub const STRACE: Self = Self::Package("strace", "/usr/bin/strace");
    pub const SYSTEMD_ANALYZE: Self = Self::Package("systemd", "/usr/bin/systemd-analyze");
    pub const SYSTEMD_NSPAWN: Self = Self::Package("systemd-container", "/usr/bin/systemd-nspawn");
    pub const TCPDUMP: Self = Self::Package("tcpdump", "/usr/bin/tcpdump");
    pub const PROMETHEUS: Self = Self::Package("prometheus", "/usr/bin/prometheus");

    pub const ALERTMANAGER: Self = Self::Package(
        "prometheus-alertmanager",
        "/usr/bin/prometheus-alertmanager",
    );
    pub const ZSH: Self = Self::Package("zsh", "/usr/bin/zsh");
    pub const CHROMIUM: Self = Self::Package("chromium", "/usr/bin/chromium");
    pub const HELM: Self = Self::Tool("layer/helm/helm");
    pub const KUBECTL: Self = Self::Tool("layer/kubectl/kubectl");
    pub const AZURE_CLI: Self = Self::Tool("python/bin/az");
    /// `tests/run` leaves it beside what it installed.
    pub const PYTHON: Self = Self::Tool("python/requirements.txt");
    pub const SHELLCHECK: Self = Self::Tool("python/bin/shellcheck");
    /// npm installs it next to the sources of the dashboards.
    pub const DASHBOARD_SDK: Self =
        Self::Tool("../../deploy/grafana/src/node_modules/@grafana/grafana-foundation-sdk");

    /// For a `regprobe_lab::world::World`.
    pub const WORLD: [Self; 6] = [
        Self::Root,
        Self::BIND,
        Self::IPROUTE,
        Self::NFTABLES,
        Self::RUNC,
        Self::SQUID,
    ];
    /// For pages in a real browser.
    pub const BROWSER: [Self; 3] = [
        Self::CHROMIUM,
        Self::Tool("node_modules/playwright-core/package.json"),
        Self::Tool("node_modules/axe-core/axe.min.js"),
    ];

    pub(crate) fn is_met(self) -> bool {
        match self {
            Self::Root => Uid::effective().is_root(),
            Self::Package(_, program) => Path::new(program).exists(),
            Self::Oracle(release) => {
                oracle(release).exists() && repository("tests/oracles/crictl/bin/crictl").exists()
            }
            Self::CredentialProvider => credential_provider().exists(),
            Self::Go => Command::new("go").arg("version").output().is_ok(),
            Self::Tool(file) => tool(file).exists(),
            // The last that is built.
            Self::Kubernetes => kubernetes().join("kubernetes.stamp").exists(),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Package(package, program) => write!(f, "{program} of package {package}"),
            Self::Oracle(release) => write!(
                f,
                "containerd {release} and crictl: run tests/oracles/bring"
            ),
            Self::CredentialProvider => {
                f.write_str("acr-credential-provider: run tests/oracles/bring")
            }
            Self::Go => f.write_str("go on the PATH"),
            Self::Tool(file) => write!(f, "{file} in tests/tools"),
            Self::Kubernetes => f.write_str("what tests/cluster/build makes"),
        }
    }
}

fn oracle(release: &str) -> PathBuf {
    repository("tests/oracles/containerd")
        .join(release)
        .join("containerd")
}

/// The path of a file that `tests/run` has installed from npm or PyPI.
#[must_use]
pub fn tool(file: &str) -> PathBuf {
    repository("tests/tools").join(file)
}

/// The folder of Kubernetes' programs and containerd's, where `tests/run --cluster` builds them.
#[must_use]
pub fn kubernetes() -> PathBuf {
    left_behind("cluster")
}
