//! Parses containerd's hosts.toml: which hosts a pull from one registry tries, in which order, and with
//! which settings. [`super::certs_d`] finds the files. This module turns text into hosts; it reads no files.
//!
//! Sources: containerd `core/remotes/docker/config/hosts.go` and `docs/hosts.md`.

use std::{borrow::Cow, collections::BTreeMap, path::Path};

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use serde::Deserialize;
use toml::de::DeTable;
use url::Url;

use crate::{
    net::{go_url, inert::excerpt},
    node::{
        containerd_release::ContainerdRelease,
        go_duration,
        registry_host::{
            Capabilities, ClientCertificate, DOCKER_HUB, HostScheme, RegistryHost, TlsSettings,
            split_port,
        },
    },
};

/// The hosts that a hosts.toml names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedHosts {
    /// In the order in which containerd tries them; the last one is the `server`.
    pub hosts: Vec<RegistryHost>,
    /// The first name that Go takes for a URL and nobody can ask: containerd fails there, and goes on to the next.
    pub passed_over: Option<String>,
}

/// Parses the text of a hosts.toml in `dir`, which its relative paths start from. `registry` is `host[:port]`
/// as in an image reference. A `release` leaves out what it does not know.
pub(crate) fn parse(
    text: &str,
    dir: &Path,
    registry: &str,
    release: ContainerdRelease,
) -> Result<NamedHosts, HostsTomlError> {
    let bad_toml = |error| HostsTomlError::toml(&error, text);
    if text.starts_with('\u{feff}') && release.is_strict_about_toml() {
        return Err(HostsTomlError::ByteOrderMark);
    }
    let mut file: HostsToml = toml::from_str(text).map_err(bad_toml)?;
    let root: HostToml = toml::from_str(text).map_err(bad_toml)?;
    if file.host.is_none() && release.needs_a_host_table() {
        return Err(HostsTomlError::NoHost);
    }

    let mut named = NamedHosts {
        hosts: Vec::new(),
        passed_over: None,
    };
    for name in host_tables(text, release).map_err(bad_toml)? {
        let fields = file.host.as_mut().and_then(|hosts| hosts.remove(&name));
        let fields = fields.unwrap_or_default();
        named.add(&name, fields, registry, dir, release)?;
    }
    // To containerd, `https://` is no server at all.
    let has_host = |server: &&str| go_url::parse(&url_of(server)).is_none_or(|url| url.has_host);
    match file.server.as_deref().filter(has_host) {
        None => {
            let server = RegistryHost::upstream(registry, release);
            let server = root.into_host(server, dir, release)?;
            named.hosts.push(RegistryHost {
                capabilities: Capabilities::ALL,
                ..server
            });
        }
        Some(server) => named.add(server, root, registry, dir, release)?,
    }
    Ok(named)
}

impl NamedHosts {
    /// Adds the host that `server` names.
    fn add(
        &mut self,
        server: &str,
        fields: HostToml,
        registry: &str,
        dir: &Path,
        release: ContainerdRelease,
    ) -> Result<(), HostsTomlError> {
        let text = url_of(server);
        if go_url::parse(&text).is_none() {
            return Err(HostsTomlError::Server(excerpt(server.as_bytes())));
        }
        let Some(address) = fields.address(&text, registry, release) else {
            // containerd reads its settings, too, and ignores the file where they are wrong.
            fields.into_host(RegistryHost::upstream(registry, release), dir, release)?;
            self.passed_over
                .get_or_insert_with(|| excerpt(text.as_bytes()));
            return Ok(());
        };
        self.hosts.push(fields.into_host(address, dir, release)?);
        Ok(())
    }
}

/// Why containerd ignores a hosts.toml.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostsTomlError {
    /// Not TOML, or a value of the wrong type. The line itself is not shown, because it may be a header
    /// with a secret.
    #[error("decode hosts.toml: line {line}: {message}")]
    Toml {
        /// Counted from 1.
        line: usize,
        /// The parser's message.
        message: String,
    },
    /// TOML must be UTF-8.
    #[error("decode hosts.toml: not UTF-8")]
    NotUtf8,
    /// An editor put a mark before the first line, which a release from 2.0 on takes for a part of it.
    #[error("decode hosts.toml: the file begins with a byte order mark")]
    ByteOrderMark,
    /// A release before 2.0 needs one.
    #[error("decode hosts.toml: no table [host.\"https://…\"], which containerd needs before 2.0")]
    NoHost,
    /// `server`, or the name of a host table, is not a URL.
    #[error("parse server {0:?}")]
    Server(String),
    /// Not one of pull, resolve, push, and since 2.2 referrers.
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

/// The host tables in the order of the file. From 2.0 on, containerd counts only tables with their own header
/// (`[host."https://…"]` or a table below it); hosts in inline tables or dotted keys are never tried.
fn host_tables(text: &str, release: ContainerdRelease) -> Result<Vec<String>, toml::de::Error> {
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
        !release.is_strict_about_toml() || line.trim_start().starts_with('[')
    });
    tables.sort_unstable();
    Ok(tables.into_iter().map(|(_, name)| name).collect())
}

/// The top level of a hosts.toml; it also has the keys of [`HostToml`] for the `server`. Unknown keys
/// are skipped, as in containerd.
#[derive(Deserialize)]
struct HostsToml {
    server: Option<String>,
    host: Option<BTreeMap<String, HostToml>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HostToml {
    capabilities: Vec<String>,
    ca: Option<OneOrMore<String>>,
    client: Option<ClientsToml>,
    skip_verify: Option<bool>,
    header: BTreeMap<String, OneOrMore<String>>,
    override_path: bool,
    /// Of any type where the release does not know it.
    dial_timeout: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string or an array")]
enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

/// A list of two strings is two files, each with certificate and key; a pair is a list in the list.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string or an array")]
enum ClientsToml {
    Bundle(String),
    List(Vec<ClientToml>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a file or a pair of files")]
enum ClientToml {
    Bundle(String),
    Pair([String; 2]),
}

impl HostToml {
    /// The host of a URL, unless nobody can ask it.
    fn address(
        &self,
        text: &str,
        registry: &str,
        release: ContainerdRelease,
    ) -> Option<RegistryHost> {
        let url = Url::parse(text).ok()?;
        let authority = authority_of(text);
        let (_, port) = split_port(authority);
        let falls_back = self.has_tls() && port != Some(80) && release.falls_back_to_http();
        let scheme = match url.scheme() {
            "https" => HostScheme::Https,
            "http" if falls_back => HostScheme::HttpsThenHttp,
            "http" => HostScheme::Http,
            _ => return None,
        };
        Some(RegistryHost {
            scheme,
            host: url.host_str()?.trim_matches(['[', ']']).to_owned(),
            port: port.unwrap_or_else(|| scheme.port()),
            path: api_root(url.path(), self.override_path),
            capabilities: Capabilities::ALL,
            tls: TlsSettings::default(),
            dial_timeout: None,
            headers: HeaderMap::new(),
            has_own_client: false,
            needs_ns: authority != registry && (registry, authority) != ("docker.io", DOCKER_HUB),
        })
    }

    fn has_tls(&self) -> bool {
        self.ca.is_some() || self.client.is_some() || self.skip_verify.is_some()
    }

    /// Adds everything except the address.
    fn into_host(
        self,
        address: RegistryHost,
        dir: &Path,
        release: ContainerdRelease,
    ) -> Result<RegistryHost, HostsTomlError> {
        let has_tls = self.has_tls();
        let files = |files: Vec<String>| files.into_iter().map(|file| dir.join(file)).collect();
        let client = |client| match client {
            ClientToml::Bundle(file) => ClientCertificate {
                cert: dir.join(file),
                key: None,
            },
            ClientToml::Pair([cert, key]) => ClientCertificate {
                cert: dir.join(cert),
                // An empty name is that of the directory, which nobody can read.
                key: Some(match &*key {
                    "" => dir.to_owned(),
                    key => dir.join(key),
                }),
            },
        };
        let clients = |clients| match clients {
            ClientsToml::Bundle(file) => vec![client(ClientToml::Bundle(file))],
            ClientsToml::List(list) => list.into_iter().map(client).collect(),
        };
        let dial_timeout = self
            .dial_timeout
            .filter(|_| release.knows_dial_timeout())
            .map(|value| match value {
                toml::Value::String(text) => text,
                other => format!("of type {}", other.type_str()),
            })
            .filter(|text| !text.is_empty());
        let is_own =
            dial_timeout.is_some() || !self.header.is_empty() && release.sends_headers_for_tokens();
        Ok(RegistryHost {
            capabilities: capabilities(&self.capabilities, release)?,
            tls: TlsSettings {
                ca: self
                    .ca
                    .map(OneOrMore::into_vec)
                    .map(files)
                    .unwrap_or_default(),
                skip_verify: self.skip_verify.unwrap_or(false) || address.tls.skip_verify,
                client: self.client.map(clients).unwrap_or_default(),
            },
            dial_timeout: dial_timeout
                .map(|text| go_duration::parse(&text).ok_or(HostsTomlError::DialTimeout(text)))
                .transpose()?,
            headers: headers(self.header),
            has_own_client: has_tls || address.has_own_client || is_own,
            ..address
        })
    }
}

/// A URL, or a host name that means https.
fn url_of(server: &str) -> Cow<'_, str> {
    match server.starts_with("http") {
        true => server.into(),
        false => format!("https://{server}").into(),
    }
}

/// No names mean all capabilities. `referrers` is known and not kept: no pull needs it.
fn capabilities(
    names: &[String],
    release: ContainerdRelease,
) -> Result<Capabilities, HostsTomlError> {
    if names.is_empty() {
        return Ok(Capabilities::ALL);
    }
    let mut capabilities = Capabilities {
        pull: false,
        resolve: false,
        push: false,
    };
    for name in names {
        match &*name.to_ascii_lowercase() {
            "pull" => capabilities.pull = true,
            "resolve" => capabilities.resolve = true,
            "push" => capabilities.push = true,
            "referrers" if release.knows_referrers() => {}
            _ => return Err(HostsTomlError::Capability(name.clone())),
        }
    }
    Ok(capabilities)
}

impl<T> OneOrMore<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::More(more) => more,
        }
    }
}

/// What `Debug` never shows, because it may be a secret. Go sends nothing at all with a name or value that HTTP
/// does not allow.
fn headers(fields: BTreeMap<String, OneOrMore<String>>) -> HeaderMap {
    let pairs = fields.into_iter().flat_map(|(name, values)| {
        let pair = move |value| Some((HeaderName::try_from(&name).ok()?, secret(value)?));
        values.into_vec().into_iter().filter_map(pair)
    });
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name, value);
    }
    headers
}

fn secret(value: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// `host[:port]` of a URL, as written there.
fn authority_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host)
}

/// The path of a URL with `/v2` at its end, unless `override_path` keeps it as it is.
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

#[cfg(test)]
mod tests;
