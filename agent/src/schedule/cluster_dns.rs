//! The DNS of the cluster as a pod sees it. kubelet writes the cluster's nameserver and domain into the
//! resolv.conf of a pod with `dnsPolicy: ClusterFirst` or, on the node's network, `ClusterFirstWithHostNet`.
//! The node's own resolv.conf is another file, below `node.root`.

use std::{fs, net::SocketAddr};

use nix::net::if_::if_nametoindex;
use regprobe_probes::ResolvConf;
use thiserror::Error;

use crate::config::HostName;

/// The pod's own file.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The pod's namespace, which the downward API sets.
const NAMESPACE: &str = "POD_NAMESPACE";
/// What kubelet puts before the cluster's domain in the search list.
const SERVICES: &str = "svc.";
/// The usual domain of a cluster.
const DOMAIN: &str = "cluster.local";

/// What this process can know of its cluster.
pub(super) struct ClusterDns {
    namespace: Option<String>,
    /// The nameserver and the domain, if kubelet wrote resolv.conf.
    of_kubelet: Option<(SocketAddr, String)>,
}

impl ClusterDns {
    pub(super) fn of_this_pod() -> Self {
        let text = fs::read_to_string(RESOLV_CONF).unwrap_or_default();
        let namespace = std::env::var(NAMESPACE).ok();
        Self::new(&text, namespace.filter(|name| !name.is_empty()))
    }

    fn new(resolv_conf: &str, namespace: Option<String>) -> Self {
        let conf = ResolvConf::parse(resolv_conf, |zone| if_nametoindex(zone).ok());
        let mut suffixes = conf.search.iter();
        let domain = suffixes.find_map(|suffix| suffix.strip_prefix(SERVICES));
        let domain = domain.map(|domain| domain.trim_end_matches('.').to_owned());
        Self {
            namespace,
            of_kubelet: conf.nameservers.first().copied().zip(domain),
        }
    }

    /// The full name of a Service, and the nameserver to ask for it, unless one is configured.
    ///
    /// # Errors
    /// If either is unknown.
    pub(super) fn place(
        &self,
        service: &HostName,
        configured: Option<SocketAddr>,
    ) -> Result<(String, SocketAddr), Unknown> {
        let of_kubelet = self.of_kubelet.as_ref();
        let nameserver = configured.or_else(|| of_kubelet.map(|(nameserver, _)| *nameserver));
        let name = match (service.as_str(), &self.namespace) {
            (full, _) if full.contains('.') => full.to_owned(),
            (_, None) => return Err(Unknown::Namespace),
            (short, Some(namespace)) => {
                let domain = of_kubelet.map_or(DOMAIN, |(_, domain)| domain);
                format!("{short}.{namespace}.{SERVICES}{domain}")
            }
        };
        Ok((name, nameserver.ok_or(Unknown::Nameserver)?))
    }
}

/// Why a Service cannot be asked for.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum Unknown {
    /// The Service is named without a namespace.
    #[error("its namespace is not known; write the full name, or set {NAMESPACE}")]
    Namespace,
    /// The pod's resolv.conf is that of the node.
    #[error(
        "the cluster's nameserver is not in {RESOLV_CONF}, as it is with dnsPolicy ClusterFirstWithHostNet"
    )]
    Nameserver,
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_KUBELET: &str = "search monitoring.svc.cluster.example svc.cluster.example cluster.example contoso.com\n\
                              nameserver 10.0.0.10\noptions ndots:5\n";
    const OF_NODE: &str = "search contoso.com\nnameserver 168.63.129.16\n";
    const FULL: &str = "regprobe.other.svc.cluster.local";

    #[test]
    fn a_service_is_named_in_full_and_asked_at_the_cluster_s_nameserver() {
        let other = "192.0.2.1:53";
        for (resolv_conf, namespace, service, configured, expected) in [
            (
                OF_KUBELET,
                Some("monitoring"),
                "regprobe",
                None,
                Ok(("regprobe.monitoring.svc.cluster.example", "10.0.0.10:53")),
            ),
            (OF_KUBELET, None, FULL, None, Ok((FULL, "10.0.0.10:53"))),
            (OF_KUBELET, None, FULL, Some(other), Ok((FULL, other))),
            (OF_KUBELET, None, "regprobe", None, Err(Unknown::Namespace)),
            (
                OF_NODE,
                Some("monitoring"),
                "regprobe",
                Some(other),
                Ok(("regprobe.monitoring.svc.cluster.local", other)),
            ),
            (
                OF_NODE,
                Some("monitoring"),
                FULL,
                None,
                Err(Unknown::Nameserver),
            ),
            ("", Some("monitoring"), FULL, None, Err(Unknown::Nameserver)),
        ] {
            let dns = ClusterDns::new(resolv_conf, namespace.map(str::to_owned));
            let configured = configured.map(|address: &str| address.parse().unwrap());
            let place = dns.place(&service.parse().unwrap(), configured);
            let expected =
                expected.map(|(name, address)| (name.to_owned(), address.parse().unwrap()));
            assert_eq!(place, expected, "{service} with {resolv_conf}");
        }
    }
}
