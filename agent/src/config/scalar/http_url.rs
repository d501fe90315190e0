//! The URL of a server that is asked for a document.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::de::Deserializer;
use thiserror::Error;
use url::Url;

use super::{HostName, read_or_none};

/// `http://` or `https://`, a host, and maybe a port and a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(Url);

impl HttpUrl {
    /// An address, or a name that is one.
    pub fn host(&self) -> &str {
        let host = self.0.host_str().unwrap_or_default();
        host.trim_matches(['[', ']'])
    }

    /// Its own, or that of its scheme.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(80)
    }

    /// Whether it is asked over TLS.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The path below this URL, with a query.
    pub fn below(&self, path: &[&str], query: (&str, &str)) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url.query_pairs_mut().append_pair(query.0, query.1);
        url
    }
}

impl FromStr for HttpUrl {
    type Err = HttpUrlError;

    fn from_str(text: &str) -> Result<Self, HttpUrlError> {
        if text.contains('@') {
            return Err(HttpUrlError::Password);
        }
        let url = Url::parse(text).ok().filter(|url| {
            let is_alone = url.query().is_none() && url.fragment().is_none();
            let is_host = match url.host() {
                Some(url::Host::Domain(name)) => name.parse::<HostName>().is_ok(),
                other => other.is_some(),
            };
            matches!(url.scheme(), "http" | "https") && is_alone && is_host
        });
        url.map(Self).ok_or(HttpUrlError::NotAsked)
    }
}

impl Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// Reads a URL; nothing is none.
pub(in crate::config) fn http_url_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<HttpUrl>, D::Error> {
    read_or_none(deserializer, "a URL", str::parse)
}

/// No such URL. The text is not repeated: there may be a secret in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HttpUrlError {
    /// A user, and maybe a password.
    #[error(
        "a user or password in a URL would show in logs and pages; leave it out, and write it into a file for basic_auth"
    )]
    Password,
    /// Another scheme, no host, or more than a path.
    #[error(
        "this URL cannot be asked; write http://HOST:PORT or https://HOST:PORT, with a path where there is one, without query"
    )]
    NotAsked,
}
