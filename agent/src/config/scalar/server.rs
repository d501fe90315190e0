//! The server of a registry or data endpoint, `host[:port]`, and what an Azure name says about it.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use regprobe_probes::{AcrEndpoint, AcrName};
use thiserror::Error;

use super::name::{HostName, HostNameError};
use super::quoted;

/// A server. Displays as `host[:port]`, without the default port of its scheme.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    host: String,
    address: Option<IpAddr>,
    port: u16,
    plain_http: bool,
}

impl Server {
    /// The host name in lower case, or the address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 443 unless given, or 80 for plain HTTP.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it was written with `http://`, which means no TLS.
    pub fn is_plain_http(&self) -> bool {
        self.plain_http
    }

    /// Whether it is Docker Hub by one of the names that images have for it.
    pub fn is_docker_hub(&self) -> bool {
        let is_default = (self.port, self.plain_http) == (443, false);
        is_default && matches!(&*self.host, "docker.io" | "index.docker.io")
    }

    /// The parts of the name, if it is the login server of an Azure Container Registry, global or of one
    /// region.
    pub fn acr(&self) -> Option<AcrName> {
        AcrName::parse(&self.host).filter(|name| !matches!(name.endpoint, AcrEndpoint::Data(_)))
    }
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        // An @ may also introduce the digest of an image.
        if text.contains('@') && !text.contains("@sha256:") {
            return Err(ServerError::Credential);
        }
        let (plain_http, authority) = split_scheme(text)?;
        if authority.is_empty() {
            return Err(ServerError::Empty);
        }
        if let Some((server, _)) = authority.split_once('/') {
            return Err(ServerError::Path {
                text: text.into(),
                server: server.into(),
            });
        }
        let (host, port) = split_port(authority)?;
        let (host, address) = parse_host(host)?;
        // Docker's rule: without a dot or a port it is a repository on docker.io, not a server.
        let is_whole = host.contains('.') || address.is_some() || host == "localhost";
        if !is_whole && port.is_none() {
            return Err(ServerError::Bare(host));
        }
        Ok(Self {
            host,
            address,
            port: port.unwrap_or_else(|| default_port(plain_http)),
            plain_http,
        })
    }
}

fn split_scheme(text: &str) -> Result<(bool, &str), ServerError> {
    let Some((scheme, authority)) = text.split_once("://") else {
        return Ok((false, text));
    };
    if scheme.eq_ignore_ascii_case("https") {
        Ok((false, authority))
    } else if scheme.eq_ignore_ascii_case("http") {
        Ok((true, authority))
    } else {
        Err(ServerError::Scheme(text.into()))
    }
}

/// Splits off the port; the host keeps its brackets.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), ServerError> {
    if authority.parse::<Ipv6Addr>().is_ok() {
        return Err(ServerError::Unbracketed(authority.into()));
    }
    match authority.rsplit_once(':') {
        // The colon is inside the brackets.
        Some((_, tail)) if tail.ends_with(']') => Ok((authority, None)),
        Some((host, port)) => match port.parse() {
            // Rust accepts a sign before a number; a port has none.
            Ok(number @ 1..) if !port.starts_with('+') => Ok((host, Some(number))),
            _ => Err(ServerError::Port(authority.into())),
        },
        None => Ok((authority, None)),
    }
}

fn parse_host(text: &str) -> Result<(String, Option<IpAddr>), ServerError> {
    if let Some(inner) = text.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse().ok());
        let address: Ipv6Addr = address.ok_or_else(|| ServerError::Ipv6(text.into()))?;
        return Ok((address.to_string(), Some(address.into())));
    }
    // A host that ends in a number is an IPv4 address or invalid (WHATWG URL, "host parsing").
    let rooted = text.strip_suffix('.').unwrap_or(text);
    let last = rooted.rsplit('.').next().unwrap_or(rooted);
    if !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) {
        let address = rooted.parse().map_err(|_| ServerError::Ipv4(text.into()))?;
        return Ok((rooted.into(), Some(IpAddr::V4(address))));
    }
    let name: HostName = text.parse()?;
    Ok((name.to_string(), None))
}

const fn default_port(plain_http: bool) -> u16 {
    if plain_http { 80 } else { 443 }
}

impl Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            _ => f.write_str(&self.host)?,
        }
        if self.port != default_port(self.plain_http) {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

read_as!(Server, "a server, as host or host:port");

/// Why a text is not a [`Server`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ServerError {
    /// Empty.
    #[error("the server is empty; write one, such as contoso.azurecr.io")]
    Empty,
    /// `user:password@host`; not repeated in the message, because errors are logged.
    #[error("write the server without user and password; probes never send them")]
    Credential,
    /// Neither HTTP nor HTTPS.
    #[error("{} has an unknown scheme; write only the host, or http:// and the host for plain HTTP", quoted(.0))]
    Scheme(String),
    /// An image reference or a URL.
    #[error(
        "{} has more after the server; write only the server, not the image: {server}",
        quoted(text)
    )]
    Path {
        /// What was typed.
        text: String,
        /// Its part before the path.
        server: String,
    },
    /// Not a port, or port 0.
    #[error("{} has no valid port after the \":\"; write 1 to 65535, or leave the port out", quoted(.0))]
    Port(String),
    /// A name without a dot and without a port. Only the command line completes such names.
    #[error("{shown} is not a full host name; write {0}.azurecr.io if it is an Azure Container Registry", shown = quoted(.0))]
    Bare(String),
    /// Ends in a number, but is not an address.
    #[error("{} is not an IPv4 address; write four numbers from 0 to 255, without leading zeros", quoted(.0))]
    Ipv4(String),
    /// In brackets, but not an address. A zone is valid on one node only, so it is refused.
    #[error("{} is not an IPv6 address; write it as [fd00::1], without a zone", quoted(.0))]
    Ipv6(String),
    /// An IPv6 address without brackets; its last group could be a port.
    #[error("{shown} is an IPv6 address without brackets; write it as [{0}]", shown = quoted(.0))]
    Unbracketed(String),
    /// Not a host name either.
    #[error(transparent)]
    Host(#[from] HostNameError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn server(text: &str) -> Server {
        text.parse().unwrap()
    }

    #[test]
    fn a_server_is_shown_as_an_image_reference_would_name_it() {
        for (text, shown, port, plain_http) in [
            ("contoso.azurecr.io", "contoso.azurecr.io", 443, false),
            ("Contoso.AzureCR.io.", "contoso.azurecr.io", 443, false),
            (
                "https://contoso.azurecr.io:443",
                "contoso.azurecr.io",
                443,
                false,
            ),
            ("HTTP://registry.example", "registry.example", 80, true),
            (
                "http://registry.example:5000",
                "registry.example:5000",
                5000,
                true,
            ),
            (
                "http://registry.example:443",
                "registry.example:443",
                443,
                true,
            ),
            ("registry.example:80", "registry.example:80", 80, false),
            ("localhost", "localhost", 443, false),
            ("kind-registry:5000", "kind-registry:5000", 5000, false),
            ("10.0.0.7:5000", "10.0.0.7:5000", 5000, false),
            ("10.0.0.7.", "10.0.0.7", 443, false),
            ("[FD00:0::1]", "[fd00::1]", 443, false),
            ("[fd00::1]:5000", "[fd00::1]:5000", 5000, false),
        ] {
            let server = server(text);
            assert_eq!(server.to_string(), shown);
            assert_eq!(
                (server.port(), server.is_plain_http()),
                (port, plain_http),
                "{text}"
            );
        }
    }

    #[test]
    fn incomplete_servers_are_refused() {
        let error = |text: &str| text.parse::<Server>().unwrap_err();
        assert_eq!(error("https://"), ServerError::Empty);
        for text in [
            "a.example:",
            "a.example:+443",
            "a.example:443:",
            "[fd00::1]:x",
        ] {
            assert_eq!(error(text), ServerError::Port(text.into()));
        }
        for text in ["[fd00::1", "[]", "[10.0.0.7]"] {
            assert!(
                matches!(error(text), ServerError::Ipv6(_) | ServerError::Port(_)),
                "{text}"
            );
        }
        for text in [
            ".",
            "a..example",
            ".example",
            "a.example..",
            "a example.com",
            "-a.example",
        ] {
            assert!(matches!(error(text), ServerError::Host(_)), "{text}");
        }
    }

    #[test]
    fn addresses_are_recognised() {
        assert_eq!(server("[fd00::1]:5000").host(), "fd00::1");
        assert_eq!(
            server("[fd00::1]").address,
            Some("fd00::1".parse().unwrap())
        );
        assert_eq!(
            server("10.0.0.7").address,
            Some("10.0.0.7".parse().unwrap())
        );
        assert_eq!(server("contoso.azurecr.io").address, None);
    }

    #[test]
    fn azure_login_servers_are_recognised() {
        let login = |text| {
            let acr = server(text).acr()?;
            Some(format!("{}.{}", acr.registry, acr.cloud.suffix()))
        };
        for (text, expected) in [
            ("contoso.azurecr.io", Some("contoso.azurecr.io")),
            ("contoso.azurecr.cn:443", Some("contoso.azurecr.cn")),
            ("contoso.eastus.geo.azurecr.io", Some("contoso.azurecr.io")),
            ("azurecr.io", None),
            ("contosoazurecr.io", None),
            ("contoso.azurecr.io.example", None),
            ("contoso.westeurope.data.azurecr.io", None),
            ("mcr.microsoft.com", None),
        ] {
            assert_eq!(login(text).as_deref(), expected, "{text}");
        }
    }
}
