//! `NO_PROXY`: the hosts that the node's client reaches without a proxy, by the rules of Go's
//! `golang.org/x/net/http/httpproxy`.

use std::{fmt, net::IpAddr};

use ipnet::{IpNet, Ipv4Net};

/// The hosts that are reached without a proxy.
#[derive(Clone, Debug, Default)]
pub(super) struct NoProxy(Vec<Exception>);

#[derive(Clone, Debug)]
enum Exception {
    /// `*`
    Everything,
    /// `10.0.0.0/8`
    Network(IpNet),
    /// `10.0.0.1`, `[::1]:443`
    Address { address: IpAddr, port: Option<u16> },
    /// `.foo.com`; for `foo.com` also the name itself.
    Domain {
        dotted: String,
        and_itself: bool,
        port: Option<u16>,
    },
}

impl NoProxy {
    /// The valid entries, without credentials.
    pub(super) fn entries(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }

    /// Invalid entries are skipped.
    pub(super) fn parse(text: &str) -> Self {
        Self(
            text.split(',')
                .filter_map(|entry| Exception::parse(&entry.trim().to_ascii_lowercase()))
                .collect(),
        )
    }

    pub(super) fn covers(&self, host: &str, port: u16) -> bool {
        let address = host
            .parse()
            .ok()
            .map(|address: IpAddr| address.to_canonical());
        if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        let host = host.trim().to_ascii_lowercase();
        self.0
            .iter()
            .any(|exception| exception.covers(&host, address, port))
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = |port: &Option<u16>| port.map_or_else(String::new, |port| format!(":{port}"));
        match self {
            Self::Everything => f.write_str("*"),
            Self::Network(network) => network.fmt(f),
            Self::Address {
                address: IpAddr::V6(address),
                port: Some(port),
            } => write!(f, "[{address}]:{port}"),
            Self::Address { address, port: at } => write!(f, "{address}{}", port(at)),
            Self::Domain {
                dotted,
                and_itself: true,
                port: at,
            } => write!(f, "{}{}", &dotted[1..], port(at)),
            Self::Domain {
                dotted, port: at, ..
            } => write!(f, "{dotted}{}", port(at)),
        }
    }
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self::Everything);
        }
        // Of `::ffff:10.01.0.0/104` Go makes no network.
        let is_address = |(address, _): &(&str, &str)| address.parse::<IpAddr>().is_ok();
        let network = entry.split_once('/').filter(is_address);
        if let Some(Ok(network)) = network.map(|_| entry.parse()) {
            return Some(Self::Network(canonical(network)));
        }
        let (host, port) = match split_host_port(entry) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        if let Ok(address) = host.parse() {
            return Some(Self::Address { address, port });
        }
        let host = host
            .strip_prefix('*')
            .filter(|rest| rest.starts_with('.'))
            .unwrap_or(host);
        match host.strip_prefix('.') {
            _ if host.is_empty() => None,
            Some(_) => Some(Self::Domain {
                dotted: host.to_owned(),
                and_itself: false,
                port,
            }),
            None => Some(Self::Domain {
                dotted: format!(".{host}"),
                and_itself: true,
                port,
            }),
        }
    }

    fn covers(&self, host: &str, host_address: Option<IpAddr>, host_port: u16) -> bool {
        let port_fits = |port: &Option<u16>| port.is_none_or(|port| port == host_port);
        match self {
            Self::Everything => true,
            Self::Network(network) => {
                host_address.is_some_and(|address| network.contains(&address))
            }
            Self::Address { address, port } => {
                host_address == Some(address.to_canonical()) && port_fits(port)
            }
            Self::Domain {
                dotted,
                and_itself,
                port,
            } => {
                host_address.is_none()
                    && (host.ends_with(dotted.as_str()) || (*and_itself && host == &dotted[1..]))
                    && port_fits(port)
            }
        }
    }
}

/// A network of IPv4 addresses in IPv6 is one of IPv4 addresses, as their addresses are.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else {
        return network;
    };
    let length = mapped.prefix_len().checked_sub(96);
    let within = mapped.addr().to_ipv4_mapped().zip(length);
    within
        .and_then(|(address, length)| Ipv4Net::new(address, length).ok())
        .map_or(network, IpNet::V4)
}

/// `host:port` and `[address]:port`; a bare IPv6 address has no port.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once("]:");
    }
    text.rsplit_once(':')
        .filter(|(host, _)| !host.contains(':'))
}
