//! What Go's HTTP client prints for a fault of a stage, behind the URL that it asked.

use std::net::IpAddr;

use crate::{
    outcome::Fault,
    stages::{http::fault::HttpFault, proxy::ProxyFault, tls::TlsFault},
    words::reason::Reason,
};

/// The text for `fault`, met on the way to `host` or in place of its answer; `None` where it is not known.
pub(crate) fn text(fault: &Fault, host: &str) -> Option<String> {
    let known = |text: &str| Some(text.to_owned());
    match (fault, fault.reason()) {
        (Fault::Connect(_), _) => None,
        (Fault::Proxy(fault), reason) => match (fault, reason) {
            (ProxyFault::SocksAuthRequired { sent: false }, _) => {
                known("no acceptable authentication methods")
            }
            (ProxyFault::SocksAuthRequired { .. }, _) => {
                known("username/password authentication failed")
            }
            (ProxyFault::SocksDenied(answer) | ProxyFault::SocksFailed(answer), _) => {
                Some(format!("unknown error {answer}"))
            }
            (_, Reason::AuthRequired) => known("Proxy Authentication Required"),
            // Go prints the status without its number.
            (ProxyFault::Denied(status) | ProxyFault::Failed(status), _) => {
                status.split_once(' ').map(|(_, text)| text.to_owned())
            }
            (_, Reason::Closed) => known("EOF"),
            (_, Reason::Reset) => known("connection reset by peer"),
            _ => None,
        },
        (Fault::Tls(fault), Reason::CertificateRequired) => match &**fault {
            TlsFault::CertificateRequired(alert) => Some(format!("remote error: tls: {alert}")),
            _ => None,
        },
        (Fault::Tls(_), Reason::Timeout) => known("net/http: TLS handshake timeout"),
        (Fault::Tls(_), Reason::UnknownIssuer) => {
            known("x509: certificate signed by unknown authority")
        }
        (Fault::Tls(_), Reason::Expired | Reason::NotYetValid) => {
            known("x509: certificate has expired or is not yet valid")
        }
        (Fault::Tls(_), Reason::NameMismatch) => {
            let leaf = fault.chain().and_then(|chain| chain.leaf());
            leaf.map(|leaf| other_name(&leaf.names, host))
        }
        (Fault::Tls(fault), Reason::BadCertificate) => fault.broken_rule().map(str::to_owned),
        (Fault::Tls(_), Reason::Version) => {
            known("remote error: tls: protocol version not supported")
        }
        (Fault::Tls(fault), Reason::Alert) => match &**fault {
            TlsFault::Alert(name) => Some(format!("remote error: tls: {}", alert(name))),
            _ => None,
        },
        (Fault::Http(HttpFault::CertificateRequired(alert)), _) => {
            Some(format!("remote error: tls: {alert}"))
        }
        (_, Reason::Closed) => known("EOF"),
        // Whether the dial, a write or a read meets it depends on the moment.
        (_, Reason::Reset) => known("…: connection reset by peer"),
        _ => None,
    }
}

/// Go's words for an alert (`alertText` in its `crypto/tls/alert.go`), by the name in RFC 8446.
fn alert(name: &str) -> String {
    let known = match name {
        "bad_record_mac" => "bad record MAC",
        "certificate_expired" => "expired certificate",
        "certificate_revoked" => "revoked certificate",
        "certificate_unknown" => "unknown certificate",
        "decode_error" => "error decoding message",
        "decrypt_error" => "error decrypting message",
        "insufficient_security" => "insufficient security level",
        "protocol_version" => "protocol version not supported",
        "unknown_ca" => "unknown certificate authority",
        other => return other.replace('_', " "),
    };
    known.to_owned()
}

/// `HostnameError`: of the names of a certificate, those of another kind than `host` do not count.
fn other_name(names: &[String], host: &str) -> String {
    let is_address = |name: &str| name.parse::<IpAddr>().is_ok();
    let alike = names.iter().map(String::as_str);
    let alike: Vec<_> = alike
        .filter(|name| is_address(name) == is_address(host))
        .collect();
    match &*alike {
        _ if names.is_empty() => {
            "x509: certificate relies on legacy Common Name field, use SANs instead".to_owned()
        }
        [] if is_address(host) => format!(
            "x509: cannot validate certificate for {host} because it doesn't contain any IP SANs"
        ),
        [] => format!("x509: certificate is not valid for any names, but wanted to match {host}"),
        alike => format!(
            "x509: certificate is valid for {}, not {host}",
            alike.join(", ")
        ),
    }
}
