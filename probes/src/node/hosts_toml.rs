//! The format of containerd's hosts.toml: which hosts a pull from one registry tries, in which
//! order and with what trust. [`super::certs_d`] finds the files; here is text in, hosts out, and
//! header values and private keys stay where they are.
//!
//! Sources: containerd `core/remotes/docker/config/hosts.go` and `docs/hosts.md`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::de::DeTable;
use url::Url;

use crate::net::inert::excerpt;

/// Where the registry called `docker.io` really is.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// Reads the text of a hosts.toml in `dir`, which its relative paths start from.
pub(crate) fn parse(
    text: &str,
    dir: &Path,
    registry_host: &str,
    port: Option<u16>,
) -> Result<Vec<Host>, HostsTomlError> {
    let bad_toml = |error| HostsTomlError::toml(&error, text);
    let mut file: HostsToml = toml::from_str(text).map_err(bad_toml)?;
    let root: HostToml = toml::from_str(text).map_err(bad_toml)?;
    let registry = authority(registry_host, port);

    let mut hosts = Vec::new();
    for name in host_tables(text).map_err(bad_toml)? {
        let fields = file.host.remove(&name).unwrap_or_default();
        let address = fields.address(&name, &registry)?;
        hosts.push(fields.into_host(address, dir)?);
    }
    hosts.push(match file.server.as_deref() {
        None | Some("") => {
            let server = root.into_host(Host::upstream(registry_host, port), dir)?;
            Host {
                capabilities: Capabilities::ALL,
                ..server
            }
        }
        Some(server) => {
            let address = root.address(server, &registry)?;
            root.into_host(address, dir)?
        }
    });
    Ok(hosts)
}

/// One host that images can be pulled from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port that is tried first.
    pub port: u16,
    /// The API root without a slash at its end: `/v2`, or with `override_path` whatever the URL
    /// says.
    pub path: String,
    /// What it is asked for.
    pub capabilities: Capabilities,
    /// Certificates to trust and to show.
    pub trust: Trust,
    /// Names of the headers containerd adds. The values may be credentials and are not kept.
    pub headers: Vec<String>,
    /// Time for name lookup and dial together; zero is no limit, and without it containerd's 30 s
    /// hold.
    pub dial_timeout: Option<Duration>,
    /// It is a mirror: requests say by `?ns=<registry>` which registry they mean.
    pub needs_ns: bool,
}

/// How a host is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    /// TLS.
    Https,
    /// In the clear.
    Http,
    /// An http host with TLS settings and a port other than 80: TLS, and in the clear if that is no
    /// TLS server.
    HttpsThenHttp,
}

/// What a host is trusted to do. `referrers` is understood and not kept: no pull needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// Manifests and blobs by digest.
    pub pull: bool,
    /// Tags to digests.
    pub resolve: bool,
    /// Uploads.
    pub push: bool,
}

impl Capabilities {
    const ALL: Self = Self {
        pull: true,
        resolve: true,
        push: true,
    };

    /// No names mean all of them.
    fn parse(names: &[String]) -> Result<Self, HostsTomlError> {
        if names.is_empty() {
            return Ok(Self::ALL);
        }
        let mut capabilities = Self {
            pull: false,
            resolve: false,
            push: false,
        };
        for name in names {
            match &*name.to_ascii_lowercase() {
                "pull" => capabilities.pull = true,
                "resolve" => capabilities.resolve = true,
                "push" => capabilities.push = true,
                "referrers" => {}
                _ => return Err(HostsTomlError::Capability(name.clone())),
            }
        }
        Ok(capabilities)
    }
}

/// The TLS settings of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Trust {
    /// PEM files with roots, beside those of the node.
    pub ca: Vec<PathBuf>,
    /// No certificate is checked.
    pub skip_verify: bool,
    /// Certificates to show.
    pub client: Vec<ClientCertificate>,
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientCertificate {
    /// PEM file with the chain.
    pub cert: PathBuf,
    /// PEM file with the key; `None` if the chain's file holds it too.
    pub key: Option<PathBuf>,
}

impl Host {
    /// The registry itself, as containerd reaches it when nothing is configured: https, Docker Hub
    /// at its real name, and a local registry with a port of its own over whatever it speaks,
    /// unchecked.
    pub(crate) fn upstream(registry_host: &str, port: Option<u16>) -> Self {
        let is_local = registry_host == "localhost"
            || registry_host
                .parse()
                .is_ok_and(|ip: IpAddr| ip.is_loopback());
        let scheme = match port {
            Some(80) if is_local => Scheme::Http,
            Some(port) if is_local && port != 443 => Scheme::HttpsThenHttp,
            _ => Scheme::Https,
        };
        let host = if registry_host == "docker.io" && port.is_none() {
            DOCKER_HUB
        } else {
            registry_host
        };
        Self {
            scheme,
            host: host.to_owned(),
            port: port.unwrap_or(443),
            path: "/v2".to_owned(),
            capabilities: Capabilities::ALL,
            trust: Trust {
                skip_verify: is_local && scheme != Scheme::Http,
                ..Trust::default()
            },
            headers: Vec::new(),
            dial_timeout: None,
            needs_ns: false,
        }
    }
}

/// Why containerd does not take a hosts.toml.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostsTomlError {
    /// No TOML, or a value of the wrong type. The line itself is not shown: it may be a header with
    /// a secret.
    #[error("decode hosts.toml: line {line}: {message}")]
    Toml {
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// TOML is UTF-8.
    #[error("decode hosts.toml: not UTF-8")]
    NotUtf8,
    /// `server`, or the name of a host table.
    #[error("parse server {0:?}")]
    Server(String),
    /// Not one of pull, resolve, push, referrers.
    #[error("use unknown capability {0:?}")]
    Capability(String),
    /// Not a duration as Go writes it (`1m30s`).
    #[error("parse dial_timeout {0:?}")]
    DialTimeout(String),
}

impl HostsTomlError {
    fn toml(error: &toml::de::Error, text: &str) -> Self {
        let before = error
            .span()
            .and_then(|span| text.get(..span.start))
            .unwrap_or_default();
        Self::Toml {
            line: before.matches('\n').count() + 1,
            message: excerpt(error.message().trim().as_bytes()),
        }
    }
}

/// The host tables in the order of the file. As in containerd only tables with a header of their
/// own count (`[host."https://…"]` or one below it); hosts in inline tables or dotted keys are
/// never tried.
fn host_tables(text: &str) -> Result<Vec<String>, toml::de::Error> {
    let document = DeTable::parse(text)?;
    let Some(hosts) = document
        .get_ref()
        .get("host")
        .and_then(|hosts| hosts.get_ref().as_table())
    else {
        return Ok(Vec::new());
    };
    let mut tables: Vec<_> = hosts
        .keys()
        .map(|name| (name.span().start, name.get_ref().to_string()))
        .collect();
    tables.retain(|(start, _)| {
        let line = text[..*start].rsplit('\n').next().unwrap_or_default();
        line.trim_start().starts_with('[')
    });
    tables.sort();
    Ok(tables.into_iter().map(|(_, name)| name).collect())
}

/// The top of a hosts.toml; beside these keys it has those of [`HostToml`] for the `server`.
/// Unknown keys are skipped, as containerd does.
#[derive(Deserialize)]
struct HostsToml {
    server: Option<String>,
    #[serde(default)]
    host: BTreeMap<String, HostToml>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HostToml {
    capabilities: Vec<String>,
    ca: Option<OneOrMore<String>>,
    client: Option<OneOrMore<ClientToml>>,
    skip_verify: Option<bool>,
    header: BTreeMap<String, OneOrMore<String>>,
    override_path: bool,
    dial_timeout: String,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string or an array")]
enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a file or a pair of files")]
enum ClientToml {
    Bundle(String),
    Pair([String; 2]),
}

impl HostToml {
    /// What `server`, a URL or a host that means https, says of the host.
    fn address(&self, server: &str, registry: &str) -> Result<Host, HostsTomlError> {
        let bad = || HostsTomlError::Server(excerpt(server.as_bytes()));
        let https = format!("https://{server}");
        let text = if server.starts_with("http") {
            server
        } else {
            &*https
        };
        let url = Url::parse(text).map_err(|_| bad())?;
        let authority = authority_of(text);
        let port = port_of(authority);
        let has_tls = self.ca.is_some() || self.client.is_some() || self.skip_verify.is_some();
        let scheme = match url.scheme() {
            "https" => Scheme::Https,
            "http" if has_tls && port != Some(80) => Scheme::HttpsThenHttp,
            "http" => Scheme::Http,
            _ => return Err(bad()),
        };
        Ok(Host {
            scheme,
            host: url
                .host_str()
                .ok_or_else(bad)?
                .trim_matches(['[', ']'])
                .to_owned(),
            port: port.unwrap_or(if scheme == Scheme::Http { 80 } else { 443 }),
            path: api_root(url.path(), self.override_path),
            capabilities: Capabilities::ALL,
            trust: Trust::default(),
            headers: Vec::new(),
            dial_timeout: None,
            needs_ns: authority != registry && (registry, authority) != ("docker.io", DOCKER_HUB),
        })
    }

    /// Adds everything but the address.
    fn into_host(self, address: Host, dir: &Path) -> Result<Host, HostsTomlError> {
        let files = |files: Vec<String>| files.into_iter().map(|file| dir.join(file)).collect();
        let client = |client| match client {
            ClientToml::Bundle(file) => ClientCertificate {
                cert: dir.join(file),
                key: None,
            },
            ClientToml::Pair([cert, key]) => ClientCertificate {
                cert: dir.join(cert),
                key: (!key.is_empty()).then(|| dir.join(key)),
            },
        };
        let clients = |clients: Vec<_>| clients.into_iter().map(client).collect();
        let dial_timeout = Some(self.dial_timeout).filter(|text| !text.is_empty());
        Ok(Host {
            capabilities: Capabilities::parse(&self.capabilities)?,
            trust: Trust {
                ca: self
                    .ca
                    .map(OneOrMore::into_vec)
                    .map(files)
                    .unwrap_or_default(),
                skip_verify: self.skip_verify.unwrap_or(false) || address.trust.skip_verify,
                client: self
                    .client
                    .map(OneOrMore::into_vec)
                    .map(clients)
                    .unwrap_or_default(),
            },
            headers: self.header.into_keys().collect(),
            dial_timeout: dial_timeout
                .map(|text| go_duration(&text).ok_or(HostsTomlError::DialTimeout(text)))
                .transpose()?,
            ..address
        })
    }
}

impl<T> OneOrMore<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::More(more) => more,
        }
    }
}

/// As in an image reference.
fn authority(host: &str, port: Option<u16>) -> String {
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}

/// `host[:port]` of a URL, as it is written there.
fn authority_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host)
}

fn port_of(authority: &str) -> Option<u16> {
    let (host, port) = authority.rsplit_once(':')?;
    if host.contains(':') && !host.ends_with(']') {
        None
    } else {
        port.parse().ok()
    }
}

/// The path of a URL with `/v2` at its end, unless the path is to be left alone.
fn api_root(path: &str, override_path: bool) -> String {
    let mut root: String = path
        .split('/')
        .filter(|part| !part.is_empty())
        .flat_map(|part| ["/", part])
        .collect();
    if !override_path && !root.ends_with("/v2") {
        root.push_str("/v2");
    }
    root
}

/// A duration as Go's `time.ParseDuration` reads it: numbers with units, one after the other. None
/// below zero.
fn go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = Duration::ZERO;
    loop {
        let unit = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(unit);
        let end = after
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = after;
        if rest.is_empty() {
            return Some(total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTRY: &str = "contoso.azurecr.io";

    fn hosts(text: &str) -> Vec<Host> {
        parse(text, Path::new("/certs.d/contoso"), REGISTRY, None).unwrap()
    }

    fn error(text: &str) -> String {
        let error = parse(text, Path::new("/certs.d/contoso"), REGISTRY, None).unwrap_err();
        error
            .to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    /// Scheme, address, path and `?ns` of each host, in a line.
    fn addresses(hosts: &[Host]) -> Vec<String> {
        let line = |host: &Host| {
            let ns = if host.needs_ns { "?ns" } else { "" };
            format!(
                "{:?} {}:{}{}{ns}",
                host.scheme, host.host, host.port, host.path
            )
        };
        hosts.iter().map(line).collect()
    }

    #[test]
    fn hosts_in_the_order_of_the_file_then_the_server() {
        #[rustfmt::skip]
        let table: &[(&str, &[&str])] = &[
            ("", &["Https contoso.azurecr.io:443/v2"]),
            (
                r#"server = "https://contoso.azurecr.io""#,
                &["Https contoso.azurecr.io:443/v2"],
            ),
            (r#"server = "contoso.azurecr.io:443""#, &["Https contoso.azurecr.io:443/v2?ns"]),
            (
                r#"server = "https://other.azurecr.io/""#,
                &["Https other.azurecr.io:443/v2?ns"],
            ),
            (
                "[host.\"https://z.example\"]\n[host.\"https://z.example\".header]\nx = \"1\"\n[host.\"http://a.example:5000\"]",
                &[
                    "Https z.example:443/v2?ns",
                    "Http a.example:5000/v2?ns",
                    "Https contoso.azurecr.io:443/v2",
                ],
            ),
            (
                "  [ host . 'https://only.a.header' . header ]\nx = \"1\"",
                &[
                    "Https only.a.header:443/v2?ns",
                    "Https contoso.azurecr.io:443/v2",
                ],
            ),
            (
                r#"host = { "https://inline.example" = {} }"#,
                &["Https contoso.azurecr.io:443/v2"],
            ),
            (
                r#"host."https://dotted.example".skip_verify = true"#,
                &["Https contoso.azurecr.io:443/v2"],
            ),
            ("unknown = 1\n[other.table]\n", &["Https contoso.azurecr.io:443/v2"]),
        ];
        for (text, expected) in table {
            assert_eq!(addresses(&hosts(text)), *expected, "{text}");
        }
    }

    #[test]
    fn schemes_ports_and_paths() {
        #[rustfmt::skip]
        let table = [
            ("https://m.example", "", "Https m.example:443/v2?ns"),
            ("https://m.example:8443/v2/", "", "Https m.example:8443/v2?ns"),
            ("https://m.example/proxy", "", "Https m.example:443/proxy/v2?ns"),
            ("https://m.example//a/../b/", "override_path = true", "Https m.example:443/b?ns"),
            ("https://m.example", "override_path = true", "Https m.example:443?ns"),
            ("http://m.example", "", "Http m.example:80/v2?ns"),
            ("http://m.example:80", "skip_verify = true", "Http m.example:80/v2?ns"),
            ("http://m.example", "skip_verify = false", "HttpsThenHttp m.example:443/v2?ns"),
            ("http://m.example:5000", "ca = 'ca.pem'", "HttpsThenHttp m.example:5000/v2?ns"),
            ("https://[fd00::1]:5000", "", "Https fd00::1:5000/v2?ns"),
            ("https://user:pw@contoso.azurecr.io", "", "Https contoso.azurecr.io:443/v2"),
        ];
        for (url, fields, expected) in table {
            let hosts = hosts(&format!("[host.'{url}']\n{fields}"));
            assert_eq!(addresses(&hosts)[0], expected, "{url} {fields}");
        }
    }

    #[test]
    fn the_registry_itself() {
        #[rustfmt::skip]
        let table = [
            (("contoso.azurecr.io", None), "Https contoso.azurecr.io:443/v2", false),
            (("registry.example", Some(5000)), "Https registry.example:5000/v2", false),
            (("docker.io", None), "Https registry-1.docker.io:443/v2", false),
            (("localhost", None), "Https localhost:443/v2", true),
            (("localhost", Some(5000)), "HttpsThenHttp localhost:5000/v2", true),
            (("127.0.0.1", Some(80)), "Http 127.0.0.1:80/v2", false),
        ];
        for ((host, port), expected, skip_verify) in table {
            let upstream = Host::upstream(host, port);
            assert_eq!(upstream.trust.skip_verify, skip_verify, "{host}");
            assert_eq!(addresses(&[upstream]), [expected]);
        }
    }

    #[test]
    fn everything_a_host_can_say() {
        let text = r#"
            [host."https://m.example"]
            capabilities = ["Pull", "resolve"]
            ca = ["ca.pem", "/etc/ssl/corp.pem"]
            client = ["both.pem", ["client.cert", "client.key"], ["one.pem", ""]]
            skip_verify = true
            dial_timeout = "1m1.5s"
            header = { authorization = "Basic c2VjcmV0", x = ["a", "b"] }
        "#;
        let path = |name| Path::new("/certs.d/contoso").join(name);
        let expected = Host {
            scheme: Scheme::Https,
            host: "m.example".to_owned(),
            port: 443,
            path: "/v2".to_owned(),
            capabilities: Capabilities {
                pull: true,
                resolve: true,
                push: false,
            },
            trust: Trust {
                ca: vec![path("ca.pem"), path("/etc/ssl/corp.pem")],
                skip_verify: true,
                client: vec![
                    ClientCertificate {
                        cert: path("both.pem"),
                        key: None,
                    },
                    ClientCertificate {
                        cert: path("client.cert"),
                        key: Some(path("client.key")),
                    },
                    ClientCertificate {
                        cert: path("one.pem"),
                        key: None,
                    },
                ],
            },
            headers: vec!["authorization".to_owned(), "x".to_owned()],
            dial_timeout: Some(Duration::from_millis(61_500)),
            needs_ns: true,
        };
        assert_eq!(hosts(text)[0], expected);
    }

    #[test]
    fn the_default_server_keeps_the_trust_of_the_file_but_can_do_everything() {
        let server = hosts("capabilities = ['pull']\nca = 'ca.pem'").remove(0);
        assert_eq!(server.capabilities, Capabilities::ALL);
        assert_eq!(server.trust.ca, [Path::new("/certs.d/contoso/ca.pem")]);
    }

    #[test]
    fn what_containerd_does_not_take() {
        #[rustfmt::skip]
        let table = [
            ("server = ", "decode hosts.toml: line 1: string values must be quoted, expected literal string"),
            ("\nserver = 1", "decode hosts.toml: line 2: invalid type: integer `1`, expected a string"),
            ("ca = 1", "decode hosts.toml: line 1: expected a string or an array"),
            ("client = [['a', 'b', 'c']]", "decode hosts.toml: line 1: expected a string or an array"),
            ("host = 1", "decode hosts.toml: line 1: invalid type: integer `1`, expected a map"),
            ("server = 'https://'", "parse server \"https://\""),
            ("server = 'https://a b'", "parse server \"https://a b\""),
            ("server = 'https://CONTOSO.é'", "parse server \"https://CONTOSO.é\""),
            ("[host.'httpx://m.example']", "parse server \"httpx://m.example\""),
            ("capabilities = ['fly']", "use unknown capability \"fly\""),
            ("dial_timeout = '5'", "parse dial_timeout \"5\""),
        ];
        for (text, expected) in table {
            assert_eq!(error(text), expected, "{text}");
        }
        let deep = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(error(&deep).starts_with("decode hosts.toml"));
    }

    #[test]
    fn durations() {
        let table = [
            ("0", Some(0)),
            ("1s", Some(1_000)),
            ("+1.5s", Some(1_500)),
            ("1h2m3s4ms", Some(3_723_004)),
            ("2000000us", Some(2_000)),
            ("", None),
            ("+", None),
            ("5", None),
            ("s", None),
            ("1d", None),
            ("-1s", None),
            ("1..5s", None),
            ("99999999999999999999999h", None),
        ];
        for (text, expected) in table {
            assert_eq!(
                go_duration(text),
                expected.map(Duration::from_millis),
                "{text:?}"
            );
        }
    }
}
