//! Which proxy the node's client uses for a host, by the rules of Go's
//! `golang.org/x/net/http/httpproxy`, which containerd follows through `ProxyFromEnvironment`.
//! Pure: the environment comes in as a function, and nobody is dialled.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// What `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say.
#[derive(Clone, Debug, Default)]
pub struct ProxyRules {
    http: Option<ProxySetting>,
    https: Option<ProxySetting>,
    no_proxy: NoProxy,
}

/// A proxy of a scheme that nobody can use is an error only when its turn comes.
type ProxySetting = Result<ProxyUrl, ProxyError>;

impl ProxyRules {
    /// Reads the variables through `env`, upper case before lower case; an empty variable is as
    /// good as none. A URL that cannot be parsed means no proxy, as for Go.
    pub fn from_env(env: impl Fn(&str) -> Option<String>) -> Self {
        let any = |names: [&str; 2]| {
            names
                .into_iter()
                .find_map(|name| env(name).filter(|value| !value.is_empty()))
        };
        Self {
            http: any(["HTTP_PROXY", "http_proxy"]).and_then(|text| ProxyUrl::parse(&text)),
            https: any(["HTTPS_PROXY", "https_proxy"]).and_then(|text| ProxyUrl::parse(&text)),
            no_proxy: any(["NO_PROXY", "no_proxy"])
                .map(|text| NoProxy::parse(&text))
                .unwrap_or_default(),
        }
    }

    /// The proxy for a URL of this `scheme` (`http`, `https`), `host` (without brackets) and
    /// `port`; `None` if it is reached directly. `localhost` and loopback addresses always are.
    pub fn proxy_for(
        &self,
        scheme: &str,
        host: &str,
        port: u16,
    ) -> Result<Option<&ProxyUrl>, ProxyError> {
        let setting = match scheme {
            "http" => &self.http,
            "https" => &self.https,
            _ => &None,
        };
        match setting {
            Some(setting) if !self.no_proxy.covers(host, port) => {
                setting.as_ref().map(Some).map_err(Clone::clone)
            }
            _ => Ok(None),
        }
    }
}

/// For people; without credentials.
impl ProxyRules {
    /// The proxy of URLs of this `scheme`, or why it cannot be used.
    pub fn shown(&self, scheme: &str) -> Option<String> {
        let setting = match scheme {
            "http" => &self.http,
            "https" => &self.https,
            _ => &None,
        };
        setting.as_ref().map(|setting| match setting {
            Ok(proxy) => proxy.to_string(),
            Err(error) => error.to_string(),
        })
    }

    /// The hosts that are reached without one, as far as the entries of `NO_PROXY` make sense.
    pub fn exceptions(&self) -> impl Iterator<Item = String> {
        self.no_proxy.0.iter().map(ToString::to_string)
    }
}

/// Why a configured proxy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Go knows http, https and socks5.
    #[error("use proxy {address}: unsupported scheme {scheme:?}")]
    UnsupportedScheme {
        /// The scheme.
        scheme: String,
        /// `host[:port]` of the proxy.
        address: String,
    },
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyScheme {
    /// CONNECT in the clear.
    Http,
    /// CONNECT over TLS.
    Https,
    /// SOCKS 5; the proxy resolves the name (`socks5` and `socks5h` alike in Go).
    Socks5,
}

impl ProxyScheme {
    /// As it stands in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Socks5 => 1080,
        }
    }
}

/// A proxy. It shows (`Debug`, `Display`) that it has credentials but never which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyUrl {
    /// How it is spoken to.
    pub scheme: ProxyScheme,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port; that of the scheme if the URL names none.
    pub port: u16,
    /// From the user part of the URL.
    pub credentials: Option<ProxyCredentials>,
}

impl ProxyUrl {
    /// `host[:port]` without a scheme is an http proxy. `None` if it makes no URL even so.
    fn parse(text: &str) -> Option<ProxySetting> {
        let url = Url::parse(text)
            .ok()
            .filter(Url::has_host)
            .or_else(|| Url::parse(&format!("http://{text}")).ok())?;
        let host = match url.host()? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let scheme = match url.scheme() {
            "http" => ProxyScheme::Http,
            "https" => ProxyScheme::Https,
            "socks5" | "socks5h" => ProxyScheme::Socks5,
            other => {
                let address = url
                    .port()
                    .map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
                return Some(Err(ProxyError::UnsupportedScheme {
                    scheme: other.to_owned(),
                    address,
                }));
            }
        };
        let port = url.port().unwrap_or_else(|| scheme.default_port());
        Some(Ok(Self {
            scheme,
            host,
            port,
            credentials: ProxyCredentials::of(&url),
        }))
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = if self.credentials.is_some() {
            "***@"
        } else {
            ""
        };
        let (open, close) = if self.host.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        write!(
            f,
            "{}://{user}{open}{}{close}:{}",
            self.scheme.as_str(),
            self.host,
            self.port
        )
    }
}

/// User name and password for a proxy, percent-decoded. For the proxy alone; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyCredentials {
    /// The user name.
    pub username: String,
    /// The password; empty if the URL has none.
    pub password: String,
}

impl ProxyCredentials {
    fn of(url: &Url) -> Option<Self> {
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let has_user = !url.username().is_empty() || url.password().is_some();
        has_user.then(|| Self {
            username: decoded(url.username()),
            password: decoded(url.password().unwrap_or_default()),
        })
    }
}

impl fmt::Debug for ProxyCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The hosts that are reached without a proxy.
#[derive(Clone, Debug, Default)]
struct NoProxy(Vec<Exception>);

#[derive(Clone, Debug)]
enum Exception {
    /// `*`
    Everything,
    /// `10.0.0.0/8`
    Network(IpNet),
    /// `10.0.0.1`, `[::1]:443`
    Address { address: IpAddr, port: Option<u16> },
    /// `.foo.com`, and for `foo.com` also the name itself.
    Domain {
        dotted: String,
        and_itself: bool,
        port: Option<u16>,
    },
}

impl NoProxy {
    /// Entries that make no sense are skipped.
    fn parse(text: &str) -> Self {
        Self(
            text.split(',')
                .filter_map(|entry| Exception::parse(&entry.trim().to_ascii_lowercase()))
                .collect(),
        )
    }

    fn covers(&self, host: &str, port: u16) -> bool {
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
        if let Ok(network) = entry.parse() {
            return Some(Self::Network(network));
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
                (host.ends_with(dotted.as_str()) || (*and_itself && host == &dotted[1..]))
                    && port_fits(port)
            }
        }
    }
}

/// `host:port` and `[address]:port`; a bare IPv6 address has no port.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once("]:");
    }
    text.rsplit_once(':')
        .filter(|(host, _)| !host.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variables = &'static [(&'static str, &'static str)];

    fn rules(variables: &[(&str, &str)]) -> ProxyRules {
        ProxyRules::from_env(|key| {
            variables
                .iter()
                .find(|(name, _)| *name == key)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    fn https_proxy(text: &str) -> Result<Option<String>, ProxyError> {
        let rules = rules(&[("HTTPS_PROXY", text)]);
        Ok(rules
            .proxy_for("https", "contoso.azurecr.io", 443)?
            .map(ToString::to_string))
    }

    #[test]
    fn what_is_shown_has_no_credentials() {
        let rules = ProxyRules::from_env(|name| {
            let value = match name {
                "HTTPS_PROXY" => "http://agent:hunter2@[fd00::7]:3128",
                "HTTP_PROXY" => "ftp://agent:hunter2@proxy.example:2121",
                "NO_PROXY" => {
                    "*, 10.0.0.0/8,fd00::1,[fd00::1]:443,10.0.0.1:80,.a.example,\
                               *.b.example,c.example:8443,agent:hunter2@d.example,"
                }
                _ => return None,
            };
            Some(value.to_owned())
        });
        assert_eq!(rules.shown("https").unwrap(), "http://***@[fd00::7]:3128");
        assert_eq!(
            rules.shown("http").unwrap(),
            "use proxy proxy.example:2121: unsupported scheme \"ftp\""
        );
        assert_eq!(
            rules.exceptions().collect::<Vec<_>>().join(" "),
            "* 10.0.0.0/8 fd00::1 [fd00::1]:443 10.0.0.1:80 .a.example .b.example c.example:8443"
        );
    }

    #[test]
    fn proxy_urls() {
        #[rustfmt::skip]
        let table = [
            ("http://proxy.corp:3128", Some("http://proxy.corp:3128")),
            ("http://proxy.corp", Some("http://proxy.corp:80")),
            ("https://proxy.corp/", Some("https://proxy.corp:443")),
            ("socks5://proxy.corp", Some("socks5://proxy.corp:1080")),
            ("proxy.corp:3128", Some("http://proxy.corp:3128")),
            ("proxy.corp", Some("http://proxy.corp:80")),
            ("10.0.0.9:3128", Some("http://10.0.0.9:3128")),
            ("http://[fd00::9]:3128", Some("http://[fd00::9]:3128")),
            ("http://user:secret@proxy.corp:3128", Some("http://***@proxy.corp:3128")),
            // Go puts http:// before what is no URL, and takes what comes out.
            ("http://proxy corp", Some("http://http:80")),
            ("proxy corp", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(https_proxy(text).unwrap().as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_scheme_nobody_speaks() {
        let error = https_proxy("ftp://user:secret@proxy.corp:2121").unwrap_err();
        assert_eq!(
            error.to_string(),
            "use proxy proxy.corp:2121: unsupported scheme \"ftp\""
        );
    }

    #[test]
    fn which_variable_counts() {
        #[rustfmt::skip]
        let table: &[(Variables, &str, Option<&str>)] = &[
            (&[], "https", None),
            (&[("HTTP_PROXY", "upper")], "https", None),
            (&[("HTTPS_PROXY", "upper")], "http", None),
            (&[("HTTPS_PROXY", "upper"), ("https_proxy", "lower")], "https", Some("upper")),
            (&[("HTTPS_PROXY", ""), ("https_proxy", "lower")], "https", Some("lower")),
            (&[("http_proxy", "lower")], "http", Some("lower")),
            (&[("HTTPS_PROXY", "upper")], "ftp", None),
        ];
        for (variables, scheme, expected) in table {
            let rules = rules(variables);
            let proxy = rules.proxy_for(scheme, "contoso.azurecr.io", 443).unwrap();
            assert_eq!(
                proxy.map(|proxy| &*proxy.host),
                *expected,
                "{variables:?} {scheme}"
            );
        }
    }

    #[test]
    fn no_proxy() {
        let table = [
            // NO_PROXY, host, port, goes direct
            ("", "contoso.azurecr.io", 443, false),
            ("*", "contoso.azurecr.io", 443, true),
            ("example.com, *", "contoso.azurecr.io", 443, true),
            ("azurecr.io", "contoso.azurecr.io", 443, true),
            ("azurecr.io", "azurecr.io", 443, true),
            ("azurecr.io", "notazurecr.io", 443, false),
            (".azurecr.io", "contoso.azurecr.io", 443, true),
            (".azurecr.io", "azurecr.io", 443, false),
            ("*.azurecr.io", "contoso.azurecr.io", 443, true),
            ("*.azurecr.io", "azurecr.io", 443, false),
            ("con*.azurecr.io", "contoso.azurecr.io", 443, false),
            (" AzureCR.io ,other", "Contoso.azurecr.io", 443, true),
            ("azurecr.io:443", "contoso.azurecr.io", 443, true),
            ("azurecr.io:5000", "contoso.azurecr.io", 443, false),
            ("azurecr.io:", "contoso.azurecr.io", 443, true),
            ("azurecr.io:https", "contoso.azurecr.io", 443, false),
            ("azurecr.io.", "contoso.azurecr.io", 443, false),
            ("10.0.0.0/8", "10.240.1.4", 443, true),
            ("10.0.0.0/8", "::ffff:10.240.1.4", 443, true),
            ("10.0.0.0/8", "contoso.azurecr.io", 443, false),
            ("10.240.1.4", "10.240.1.4", 443, true),
            ("10.240.1.4:5000", "10.240.1.4", 443, false),
            ("fd00::/8", "fd00::4", 443, true),
            ("fd00::4", "fd00::4", 443, true),
            ("[fd00::4]:443", "fd00::4", 443, true),
            ("[fd00::4]:5000", "fd00::4", 443, false),
            (":443,,.", "contoso.azurecr.io", 443, false),
            ("", "localhost", 5000, true),
            ("", "127.0.0.1", 5000, true),
            ("", "::1", 5000, true),
            ("", "localhost.example", 5000, false),
        ];
        for (no_proxy, host, port, direct) in table {
            let rules = rules(&[("HTTPS_PROXY", "proxy.corp:3128"), ("NO_PROXY", no_proxy)]);
            assert_eq!(
                rules.proxy_for("https", host, port).unwrap().is_none(),
                direct,
                "{no_proxy:?} {host}"
            );
        }
    }

    /// Whatever it stands for; here that is a mark from right to left.
    #[test]
    fn punycode_is_taken_as_it_is() {
        let rules = rules(&[("HTTPS_PROXY", "http://XN--A-YGN:3128")]);
        let proxy = rules.proxy_for("https", "contoso.azurecr.io", 443);
        assert_eq!(proxy.unwrap().unwrap().to_string(), "http://xn--a-ygn:3128");
    }

    #[test]
    fn credentials_are_kept_but_not_shown() {
        let rules = rules(&[("HTTPS_PROXY", "http://us%40er:sec%2Fret@proxy.corp:3128")]);
        let proxy = rules
            .proxy_for("https", "contoso.azurecr.io", 443)
            .unwrap()
            .unwrap();
        let credentials = proxy.credentials.as_ref().unwrap();
        assert_eq!(
            (&*credentials.username, &*credentials.password),
            ("us@er", "sec/ret")
        );
        for shown in [
            format!("{proxy}"),
            format!("{proxy:?}"),
            format!("{rules:?}"),
        ] {
            assert!(
                !shown.contains("sec") && !shown.contains("us@er"),
                "{shown}"
            );
        }
    }
}
