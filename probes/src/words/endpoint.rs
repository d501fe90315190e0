//! What a round asks: the endpoints of a registry, and nameservers. The agent's plan makes them; probes
//! only read them.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use url::{Host, Url};

use crate::words::reason::Stage;

/// One host and port of a registry, with the part it plays in a pull.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// A DNS name in lower case without a trailing dot, or an IP address without brackets.
    pub host: Arc<str>,
    /// TCP port.
    pub port: u16,
    /// What a pull needs it for.
    pub role: Role,
    /// Whether it speaks TLS.
    pub scheme: Scheme,
}

impl Endpoint {
    /// The endpoint that a URL names; `None` if the URL is neither https nor http.
    pub(crate) fn of(url: &Url, role: Role) -> Option<Self> {
        let scheme = match url.scheme() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return None,
        };
        let host = match url.host()? {
            Host::Domain(name) => name.trim_end_matches('.').to_lowercase(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        Some(Self {
            host: host.into(),
            port: url.port_or_known_default()?,
            role,
            scheme,
        })
    }

    /// Whether both are the same server, whatever their roles.
    pub(crate) fn is_same_server(&self, other: &Self) -> bool {
        (&self.host, self.port, self.scheme) == (&other.host, other.port, other.scheme)
    }

    /// The host as an IP address, if it is one and needs no lookup.
    pub fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The stages that a round may run on it.
    pub fn stages(&self) -> impl Iterator<Item = Stage> {
        let name = self.literal().is_none().then_some(Stage::Resolve);
        let tls = (self.scheme == Scheme::Https).then_some(Stage::Tls);
        let requests: &[Stage] = match self.role {
            Role::Login => &[Stage::Challenge, Stage::Token],
            Role::Data => &[Stage::Http],
            Role::Storage => &[Stage::Blob],
            Role::Mirror => &[Stage::Challenge],
            Role::Token => &[Stage::Token],
        };
        name.into_iter()
            .chain([Stage::Connect])
            .chain(tls)
            .chain(requests.iter().copied())
    }

    /// The host, and the port unless it is the scheme's default: the HTTP header `Host`.
    pub fn authority(&self) -> String {
        match (self.scheme, self.port) {
            (Scheme::Https, 443) | (Scheme::Http, 80) => self.bracketed_host(),
            _ => self.to_string(),
        }
    }

    /// Scheme, host and port as a URL.
    pub fn origin(&self) -> Url {
        self.url("/").expect("a checked host and a port make a URL")
    }

    /// The URL of a `target`, which begins with a slash.
    pub(crate) fn url(&self, target: &str) -> Result<Url, url::ParseError> {
        let (scheme, authority) = (self.scheme.as_str(), self.authority());
        Url::parse(&format!("{scheme}://{authority}{target}"))
    }

    fn bracketed_host(&self) -> String {
        match self.literal() {
            Some(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.host.to_string(),
        }
    }
}

/// `host:port`: the label `endpoint`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.literal() {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// The part that an endpoint plays in a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Answers `/v2/`.
    Login,
    /// Serves blobs under the registry's own name.
    Data,
    /// Serves blobs under a name that a redirect led to.
    Storage,
    /// Issues tokens, on a host other than the login server.
    Token,
    /// Stands in for the login server where the node's hosts.toml says so.
    Mirror,
}

impl Role {
    /// The value of the label `role`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Data => "data",
            Self::Storage => "storage",
            Self::Token => "token",
            Self::Mirror => "mirror",
        }
    }
}

/// When the node's client asks a host, if it has several for one registry. Earlier turns compare as
/// less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Turn {
    /// After this many other hosts have failed.
    After(u32),
    /// Never: the registry's own `hosts.toml` leaves it out, or lets it give no content. Of the latter it is asked all
    /// the same, but only once the reference is resolved.
    Never,
}

impl Turn {
    /// Before all other hosts.
    pub const FIRST: Self = Self::After(0);
}

/// Whether an endpoint speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP over TLS.
    Https,
    /// Plain HTTP, only where the configuration says so.
    Http,
}

impl Scheme {
    /// As written in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    /// The port that a URL of this scheme may omit.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

/// One DNS server that is asked directly.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Nameserver {
    /// Where it listens; an IPv6 link-local address carries its scope.
    pub address: SocketAddr,
    /// Its configured name, if it has one.
    pub name: Option<Arc<str>>,
    /// Whether the node's own lookups go to it.
    pub origin: Origin,
}

/// The configured name, else the address: the label `nameserver`.
impl fmt::Display for Nameserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.address),
        }
    }
}

/// Who named a nameserver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The node's resolv.conf: pulls depend on it.
    Node,
    /// Nobody: resolv.conf names none, and then Go asks the node itself. Pulls depend on it.
    Default,
    /// The configuration: asked to compare, never used by a pull.
    Config,
}

impl Origin {
    /// Whether the node's own lookups go there.
    pub fn is_of_node(self) -> bool {
        self != Self::Config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, port: u16, scheme: Scheme) -> Endpoint {
        Endpoint {
            host: host.into(),
            port,
            role: Role::Login,
            scheme,
        }
    }

    #[test]
    fn authority_leaves_out_the_schemes_own_port() {
        let cases = [
            (
                endpoint("contoso.azurecr.io", 443, Scheme::Https),
                "contoso.azurecr.io",
            ),
            (
                endpoint("contoso.azurecr.io", 8443, Scheme::Https),
                "contoso.azurecr.io:8443",
            ),
            (endpoint("192.0.2.7", 80, Scheme::Http), "192.0.2.7"),
            (
                endpoint("2001:db8::7", 5000, Scheme::Http),
                "[2001:db8::7]:5000",
            ),
        ];
        for (endpoint, authority) in cases {
            assert_eq!(endpoint.authority(), authority);
        }
    }

    #[test]
    fn the_label_always_has_a_port() {
        let label = endpoint("contoso.azurecr.io", 443, Scheme::Https).to_string();
        assert_eq!(label, "contoso.azurecr.io:443");
    }
}
