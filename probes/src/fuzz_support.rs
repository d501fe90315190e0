//! What `tests/fuzz` feeds with hostile bytes, and `benches/micro` measures. For nobody else.

use std::path::Path;

use hickory_resolver::proto::rr::RecordType;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

use crate::{
    node::{
        hosts_toml::{self, HostsTomlError},
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

/// The hosts that a `hosts.toml` lists for `contoso.azurecr.io`: name, port and API root.
///
/// # Errors
/// If containerd would refuse the file.
pub fn hosts_toml(text: &str) -> Result<Vec<(String, u16, String)>, String> {
    let dir = Path::new("/etc/containerd/certs.d/contoso.azurecr.io");
    let hosts = hosts_toml::parse(text, dir, "contoso.azurecr.io");
    let hosts = hosts.map_err(|error: HostsTomlError| error.to_string())?;
    let host = |host: RegistryHost| (host.host, host.port, host.path);
    Ok(hosts.into_iter().map(host).collect())
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
