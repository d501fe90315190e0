//! What `tests/fuzz` feeds with hostile bytes, and `benches/micro` measures. For nobody else.

use std::{net::IpAddr, path::Path, time::Duration};

use hickory_resolver::proto::rr::RecordType;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

use crate::{
    client::{
        containerd::oracle,
        dns_survey::{DnsSurvey, Family, Question, Reply},
        go_resolver::GoResolver,
        lookup_error::LookupFault,
        rfc6724::Sources,
    },
    net::go_url,
    node::{
        ContainerdRelease, Hosts, ProxyRules, ResolvConf,
        certs_d::hosts_toml::{self, HostsTomlError},
        registry_host::RegistryHost,
    },
    stages::{
        http::{fault::HttpFault, www_authenticate},
        resolve::{Answer, DnsQuery, ResolveFault},
        tls, token,
    },
};

/// A packet that asks for the IPv4 addresses of `contoso.azurecr.io`.
///
/// # Errors
/// If there is no randomness for its id.
pub fn dns_question() -> Result<Vec<u8>, ResolveFault> {
    Ok(DnsQuery::new("contoso.azurecr.io", RecordType::A)?.packet)
}

/// Reads `packet` as the answer to a question for the IPv4 addresses of `contoso.azurecr.io` with the
/// packet's own id.
///
/// # Errors
/// If the packet is no answer to that question, or the answer has no addresses.
pub fn dns_answer(packet: &[u8]) -> Result<Answer, ResolveFault> {
    let id = packet.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    DnsQuery::with_id(id, "contoso.azurecr.io", RecordType::A)?.read_packet(packet)
}

/// The challenges in a `WWW-Authenticate` line: schemes and their parameters.
pub fn challenges(line: &str) -> Vec<(String, Vec<(String, String)>)> {
    let challenges = www_authenticate::parse(line).into_iter();
    challenges
        .map(|challenge| (challenge.scheme, challenge.parameters))
        .collect()
}

/// What would be sent as `Authorization` after a token service answered with `body`.
///
/// # Errors
/// If `body` grants no usable token.
pub fn authorization(body: &[u8]) -> Result<Vec<u8>, HttpFault> {
    Ok(token::authorization(body)?.as_bytes().to_owned())
}

/// The token in `body`, the answer of a token service; empty if there is none. `None` if the answer cannot be read.
pub fn token(body: &[u8]) -> Option<String> {
    token::granted(body).ok().map(Option::unwrap_or_default)
}

/// Scheme, user, password, host and port of a URL as Go reads it; `None` for an error.
pub fn go_url(text: &str) -> Option<[String; 5]> {
    let url = go_url::parse(text)?;
    let (name, password) = url
        .user
        .map(|user| (user.name, user.password))
        .unwrap_or_default();
    Some([url.scheme, name, password, url.host, url.port])
}

/// Scheme, user, password, host and port of the proxy for a URL of this `scheme`, `host` and `port`; `None` if it is
/// reached directly.
pub fn proxy_for(
    env: impl Fn(&str) -> Option<String>,
    scheme: &str,
    host: &str,
    port: u16,
) -> Option<[String; 5]> {
    let rules = ProxyRules::from_env(env);
    let proxy = rules.proxy_for(scheme, host, port)?;
    let user = proxy.credentials.clone();
    let (name, password) = user
        .map(|user| (user.username, user.password))
        .unwrap_or_default();
    let scheme = proxy.scheme.as_str().to_owned();
    Some([
        scheme,
        name,
        password,
        proxy.host.clone(),
        proxy.port.to_string(),
    ])
}

/// A host of a `hosts.toml`: name, port and API root.
pub type NamedHost = (String, u16, String);

/// The hosts that a `hosts.toml` lists for `contoso.azurecr.io`, and the first name there that nobody can ask.
///
/// # Errors
/// If containerd would refuse the file.
pub fn hosts_toml(text: &str) -> Result<(Vec<NamedHost>, Option<String>), String> {
    let dir = Path::new("/etc/containerd/certs.d/contoso.azurecr.io");
    let named = hosts_toml::parse(text, dir, "contoso.azurecr.io", ContainerdRelease::NEWEST);
    let named = named.map_err(|error: HostsTomlError| error.to_string())?;
    let host = |host: RegistryHost| (host.host, host.port, host.path);
    let hosts = named.hosts.into_iter().map(host).collect();
    Ok((hosts, named.passed_over))
}

/// Verifies what a server presented, its own certificate first, for `host` and at `now`, as a client that trusts
/// only `roots`. All certificates are DER.
///
/// # Errors
/// What is wrong, as a short text.
pub fn verify_chain(
    presented: &[Vec<u8>],
    roots: &[Vec<u8>],
    host: &str,
    now: Timestamp,
) -> Result<(), String> {
    let der = |certificates: &[Vec<u8>]| -> Vec<CertificateDer<'static>> {
        certificates
            .iter()
            .cloned()
            .map(CertificateDer::from)
            .collect()
    };
    tls::verify_chain(&der(presented), der(roots), host, now).map_err(|problem| problem.to_string())
}

/// What Go's client asks for in turn, from `first` on, where servers answer with these statuses and locations: method,
/// scheme, host and port, target, and whether the token goes along; then the last status, or `error`. `None` where the
/// agent does not follow.
pub fn follow(method: &str, first: &str, answers: &[(u16, Vec<u8>)]) -> Option<Vec<String>> {
    oracle::follow(method, first, answers)
}

/// The first of the challenges in these header lines, as containerd reads them: whether it is a Bearer's, its realm,
/// service, scope and error.
pub fn first_challenge(lines: &[Vec<u8>]) -> Option<Vec<String>> {
    oracle::challenge(lines)
}

/// The URL by which containerd asks for a token: what comes before its parameters, and these.
///
/// # Errors
/// Whether containerd asks where the agent does not.
pub fn token_url(realm: &str, service: &str, scopes: &[String]) -> Result<Vec<String>, bool> {
    oracle::token_url(realm, service, scopes)
}

/// What containerd takes from an index, a manifest or, for an image of this many layers, a configuration; `None` for an
/// error.
pub fn image_document(kind: &str, body: &[u8], layers: usize) -> Option<Vec<String>> {
    oracle::document(kind, body, layers)
}

/// What a nameserver says to one question: addresses, or why there are none.
pub type Said = Result<Vec<IpAddr>, &'static str>;

/// The addresses that Go's resolver gets for `host`, or its error, on a node of this resolv.conf. `said` is what the
/// nameserver of this number answers for a name, to a question for IPv6 addresses or not: `timeout`, `servfail` and so
/// on.
pub fn lookup(
    host: &str,
    conf: &ResolvConf,
    rotation: usize,
    said: impl Fn(usize, &str, bool) -> Said,
) -> Vec<String> {
    let fault = |why| match why {
        "timeout" => LookupFault::Timeout,
        "servfail" => LookupFault::ServFail,
        "refused" => LookupFault::Rejected,
        "lame" => LookupFault::LameReferral,
        "unreachable" => LookupFault::Unreachable,
        "prohibited" => LookupFault::Prohibited,
        _ => LookupFault::NoSuchHost,
    };
    let mut survey = DnsSurvey::new();
    for (number, nameserver) in conf.asked().iter().enumerate() {
        for name in conf.names(host) {
            for family in [Family::V4, Family::V6] {
                let question = Question {
                    nameserver: *nameserver,
                    name: name.clone(),
                    family,
                };
                let reply = Reply {
                    result: said(number, &name, family == Family::V6).map_err(fault),
                    took: Duration::ZERO,
                };
                survey.insert(question, reply);
            }
        }
    }
    let resolver = GoResolver {
        hosts: &Hosts::default(),
        conf,
        sources: &Sources::new(),
        has_ipv6: true,
        rotation,
    };
    match resolver.lookup(host, &survey, Duration::MAX).result {
        Ok(addresses) => addresses.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}
