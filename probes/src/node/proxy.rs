//! Which proxy the node's client uses for a host, by the rules of Go's
//! `golang.org/x/net/http/httpproxy`, which containerd follows through `ProxyFromEnvironment`. Pure:
//! the environment comes in as a function, and nothing is dialled.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use url::Host;

use self::no_proxy::NoProxy;
use crate::net::{
    go_url::{self, GoUrl},
    inert::excerpt,
};

mod no_proxy;

/// What `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say.
#[derive(Clone, Debug, Default)]
pub struct ProxyRules {
    http: ProxySetting,
    https: ProxySetting,
    no_proxy: NoProxy,
}

/// What a variable says, and what its author may not have meant.
#[derive(Clone, Debug, Default)]
struct ProxySetting {
    proxy: Option<ProxyUrl>,
    misread: Option<Misread>,
}

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
        let proxy = |names| {
            any(names).map_or_else(ProxySetting::default, |(name, url)| {
                ProxySetting::parse(name, &url)
            })
        };
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
    pub fn proxy_for(&self, scheme: &str, host: &str, port: u16) -> Option<&ProxyUrl> {
        self.setting(scheme, host, port)?.proxy.as_ref()
    }

    /// What the variable that counts for such a URL says otherwise than it seems to.
    pub(crate) fn misread(&self, scheme: &str, host: &str, port: u16) -> Option<&Misread> {
        self.setting(scheme, host, port)?.misread.as_ref()
    }

    fn setting(&self, scheme: &str, host: &str, port: u16) -> Option<&ProxySetting> {
        let setting = self.of_scheme(scheme)?;
        (!self.no_proxy.covers(host, port)).then_some(setting)
    }

    fn of_scheme(&self, scheme: &str) -> Option<&ProxySetting> {
        match scheme {
            "http" => Some(&self.http),
            "https" => Some(&self.https),
            _ => None,
        }
    }
}

/// For display, without credentials.
impl ProxyRules {
    /// The proxy of URLs of this `scheme`, or why there is none.
    pub fn shown(&self, scheme: &str) -> Option<String> {
        let ProxySetting { proxy, misread } = self.of_scheme(scheme)?;
        let proxy = proxy.as_ref().map(ToString::to_string);
        proxy.or_else(|| misread.as_ref().map(ToString::to_string))
    }

    /// The valid entries of `NO_PROXY`: the hosts that are reached directly.
    pub fn exceptions(&self) -> impl Iterator<Item = String> {
        self.no_proxy.entries()
    }
}

/// How Go reads a variable otherwise than its author may have meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misread {
    /// Go drops it.
    #[error(
        "Go cannot read {variable} as a URL, and so uses no proxy; escape what is special in it"
    )]
    NoUrl {
        /// The environment variable.
        variable: &'static str,
    },
    /// Go puts `http://` in front of it, and so takes what should be the scheme for the host.
    #[error("Go cannot read {variable} as a URL, and takes {host:?} for the name of the proxy")]
    Host {
        /// The environment variable.
        variable: &'static str,
        /// The host.
        host: String,
    },
    /// Go knows http, https, socks5 and socks5h.
    #[error(
        "Go does not know the scheme {scheme:?} of {variable}: it talks HTTP to {address}; in older versions of \
         containerd it takes {scheme:?} for the name of the proxy"
    )]
    Scheme {
        /// The environment variable.
        variable: &'static str,
        /// The scheme.
        scheme: String,
        /// `host:port` of the proxy.
        address: String,
    },
    /// There is no such port.
    #[error("{variable} names the port {port:?}, which does not exist")]
    Port {
        /// The environment variable.
        variable: &'static str,
        /// The port.
        port: String,
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

    /// What Go takes a scheme for, and its port; `None` for one that it does not know.
    fn of(scheme: &str) -> Option<(Self, u16)> {
        Some(match scheme {
            "http" => (Self::Http, 80),
            "https" => (Self::Https, 443),
            "socks5" | "socks5h" => (Self::Socks5, 1080),
            _ => return None,
        })
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

impl ProxySetting {
    /// As `httpproxy.parseProxy`: what has no scheme or no host gets `http://` in front. A port that there is none
    /// of becomes 0, where nobody listens.
    fn parse(variable: &'static str, text: &str) -> Self {
        let whole = go_url::parse(text);
        let is_bogus = |url: &GoUrl| url.scheme.is_empty() || !url.has_host;
        let (url, is_whole) = match whole {
            Some(url) if !is_bogus(&url) => (Some(url), true),
            whole => (go_url::parse(&format!("http://{text}")).or(whole), false),
        };
        let Some(url) = url else {
            return Self {
                proxy: None,
                misread: Some(Misread::NoUrl { variable }),
            };
        };
        let known = ProxyScheme::of(&url.scheme);
        let (scheme, default_port) = known.unwrap_or((ProxyScheme::Http, 0));
        let port = match &*url.port {
            "" => Ok(default_port),
            digits => digits.parse(),
        };
        let misread = match (known, &port) {
            (_, Err(_)) => Some(Misread::Port {
                variable,
                port: excerpt(url.port.as_bytes()),
            }),
            (_, Ok(_)) if !is_whole && (url.host.is_empty() || text.contains("://")) => {
                Some(Misread::Host {
                    variable,
                    host: excerpt(url.host.as_bytes()),
                })
            }
            (None, Ok(port)) => Some(Misread::Scheme {
                variable,
                scheme: excerpt(url.scheme.as_bytes()),
                address: excerpt(format!("{}:{port}", url.host).as_bytes()),
            }),
            (Some(_), Ok(_)) => None,
        };
        let proxy = ProxyUrl {
            scheme,
            host: ascii(&url.host),
            port: port.unwrap_or_default(),
            credentials: url.user.map(|user| ProxyCredentials {
                username: user.name,
                password: user.password,
            }),
        };
        Self {
            proxy: Some(proxy),
            misread,
        }
    }
}

/// As `idnaASCII`; what no name can be stays as it is, without what terminals act on. Without a host, Go dials this
/// node.
fn ascii(host: &str) -> String {
    match host.is_ascii() {
        _ if host.is_empty() => "localhost".to_owned(),
        true => host.to_ascii_lowercase(),
        false => {
            Host::parse(host).map_or_else(|_| excerpt(host.as_bytes()), |host| host.to_string())
        }
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
    /// The value of `Proxy-Authorization`.
    pub(crate) fn basic(&self) -> String {
        let Self { username, password } = self;
        let encoded = STANDARD.encode(format!("{username}:{password}"));
        format!("Basic {encoded}")
    }
}

impl fmt::Debug for ProxyCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests;
