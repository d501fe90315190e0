//! Which proxy the node's client uses for a host, by the rules of Go's
//! `golang.org/x/net/http/httpproxy`, which containerd follows through `ProxyFromEnvironment`. Pure:
//! the environment comes in as a function, and nothing is dialled.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::no_proxy::NoProxy;

/// What `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say.
#[derive(Clone, Debug, Default)]
pub struct ProxyRules {
    http: Option<ProxySetting>,
    https: Option<ProxySetting>,
    no_proxy: NoProxy,
}

/// A proxy with an unsupported scheme is an error only when it is needed.
type ProxySetting = Result<ProxyUrl, ProxyError>;

impl ProxyRules {
    /// Reads the variables through `env`, upper case before lower case; an empty variable counts as
    /// unset. A URL that cannot be parsed means no proxy, as in Go.
    pub fn from_env(env: impl Fn(&str) -> Option<String>) -> Self {
        let any = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| {
                let value = env(name).filter(|value| !value.is_empty())?;
                Some((name, value))
            })
        };
        let proxy = |names| any(names).and_then(|(name, url)| ProxyUrl::parse(name, &url));
        Self {
            http: proxy(["HTTP_PROXY", "http_proxy"]),
            https: proxy(["HTTPS_PROXY", "https_proxy"]),
            no_proxy: any(["NO_PROXY", "no_proxy"])
                .map(|(_, text)| NoProxy::parse(&text))
                .unwrap_or_default(),
        }
    }

    /// The proxy for a URL of this `scheme` (`http`, `https`), `host` (without brackets) and `port`;
    /// `None` if the host is reached directly, as `localhost` and loopback addresses always are.
    ///
    /// # Errors
    /// If the variable names a proxy that no client can use.
    pub fn proxy_for(
        &self,
        scheme: &str,
        host: &str,
        port: u16,
    ) -> Result<Option<&ProxyUrl>, ProxyError> {
        match self.setting(scheme) {
            Some(setting) if !self.no_proxy.covers(host, port) => {
                setting.as_ref().map(Some).map_err(Clone::clone)
            }
            _ => Ok(None),
        }
    }

    fn setting(&self, scheme: &str) -> Option<&ProxySetting> {
        match scheme {
            "http" => self.http.as_ref(),
            "https" => self.https.as_ref(),
            _ => None,
        }
    }
}

/// For display, without credentials.
impl ProxyRules {
    /// The proxy of URLs of this `scheme`, or why it cannot be used.
    pub fn shown(&self, scheme: &str) -> Option<String> {
        self.setting(scheme).map(|setting| match setting {
            Ok(proxy) => proxy.to_string(),
            Err(error) => error.to_string(),
        })
    }

    /// The valid entries of `NO_PROXY`: the hosts that are reached directly.
    pub fn exceptions(&self) -> impl Iterator<Item = String> {
        self.no_proxy.entries()
    }
}

/// Why a configured proxy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Go supports http, https and socks5.
    #[error("{variable} cannot be used: no client knows the scheme {scheme:?} of {address}")]
    UnsupportedScheme {
        /// The environment variable that names the proxy.
        variable: &'static str,
        /// The scheme.
        scheme: String,
        /// `host[:port]` of the proxy.
        address: String,
    },
}

/// How to talk to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyScheme {
    /// CONNECT over plain TCP.
    Http,
    /// CONNECT over TLS.
    Https,
    /// SOCKS 5; the proxy resolves the name (`socks5` and `socks5h` alike in Go).
    Socks5,
}

impl ProxyScheme {
    /// As written in a URL.
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

/// A proxy. `Debug` and `Display` show that it has credentials, but never which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyUrl {
    /// How to talk to it.
    pub scheme: ProxyScheme,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port; the scheme's default if the URL names none.
    pub port: u16,
    /// From the user part of the URL.
    pub credentials: Option<ProxyCredentials>,
}

impl ProxyUrl {
    /// `host[:port]` without a scheme is an http proxy. `None` if it is not a URL even then.
    fn parse(variable: &'static str, text: &str) -> Option<ProxySetting> {
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
                    variable,
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

/// User name and password for a proxy, percent-decoded. Sent only to the proxy; never printed.
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

#[cfg(test)]
mod tests;
