//! The node in the status document: the settings that decide how it resolves names and reaches registries.
//! They are read again for each document, and contain no credentials.

use std::fs;

use regprobe_probes::{Nameserver, ResolvConf};
use serde::Serialize;

use crate::plan::NodeSource;

const OS_RELEASE: &str = "/etc/os-release";
/// A container has the kernel of its node.
const KERNEL: &str = "/proc/sys/kernel/osrelease";

/// What the node's files and this process's environment say now.
#[derive(Debug, Serialize)]
pub(crate) struct NodeSettings {
    /// The name of the operating system; absent if its file is not readable.
    #[serde(skip_serializing_if = "Option::is_none")]
    os: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<String>,
    nameservers: Vec<NameserverStatus>,
    resolver: ResolverStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    https_proxy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_proxy: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    no_proxy: Vec<String>,
}

impl NodeSettings {
    /// `None` if the node's files cannot be read. Then there are no rounds either.
    pub(crate) fn of(source: &NodeSource) -> Option<Self> {
        let node = source.read().ok()?;
        let kernel = fs::read_to_string(KERNEL).ok();
        Some(Self {
            os: source.text(OS_RELEASE.as_ref()).as_deref().and_then(name),
            kernel: kernel.map(|release| release.trim().to_owned()),
            nameservers: node
                .nameservers
                .iter()
                .map(|one| NameserverStatus::of(one))
                .collect(),
            resolver: ResolverStatus::of(node.resolv_conf.clone()),
            https_proxy: node.proxies.shown("https"),
            http_proxy: node.proxies.shown("http"),
            no_proxy: node.proxies.exceptions().collect(),
        })
    }
}

/// `PRETTY_NAME` of an os-release file, see os-release(5).
fn name(os_release: &str) -> Option<String> {
    let mut values = os_release
        .lines()
        .filter_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = values.next()?.trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_owned())
}

#[derive(Debug, Serialize)]
struct NameserverStatus {
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    of_node: bool,
}

impl NameserverStatus {
    fn of(nameserver: &Nameserver) -> Self {
        Self {
            address: nameserver.address.to_string(),
            name: nameserver.name.as_deref().map(str::to_owned),
            of_node: nameserver.origin.is_of_node(),
        }
    }
}

#[derive(Debug, Serialize)]
struct ResolverStatus {
    search: Vec<String>,
    ndots: u32,
    timeout_seconds: f64,
    attempts: u32,
    rotate: bool,
    use_vc: bool,
    single_request: bool,
}

impl ResolverStatus {
    fn of(resolv_conf: ResolvConf) -> Self {
        let ResolvConf {
            nameservers: _,
            search,
            ndots,
            timeout,
            attempts,
            rotate,
            use_vc,
            single_request,
        } = resolv_conf;
        Self {
            search,
            ndots,
            timeout_seconds: timeout.as_secs_f64(),
            attempts,
            rotate,
            use_vc,
            single_request,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_operating_system() {
        for (os_release, named) in [
            (
                "ID=ubuntu\nPRETTY_NAME=\"Ubuntu 22.04.5 LTS\"\n",
                Some("Ubuntu 22.04.5 LTS"),
            ),
            ("PRETTY_NAME='CBL-Mariner/Linux'", Some("CBL-Mariner/Linux")),
            ("PRETTY_NAME=Flatcar", Some("Flatcar")),
            ("PRETTY_NAME=\"\"", None),
            ("", None),
        ] {
            assert_eq!(name(os_release).as_deref(), named);
        }
    }
}
