//! Go's `VerifyHostname`: whether a certificate is for a name.

use std::net::IpAddr;

use rustls::pki_types::ServerName;
use x509_parser::extensions::GeneralName;

use super::{CertificateProblem, Parsed};

pub(super) fn verify(leaf: &Parsed<'_>, name: &ServerName<'_>) -> Result<(), CertificateProblem> {
    let mut names = leaf.names().unwrap_or_default().iter();
    let is_for = match name {
        ServerName::IpAddress(address) => {
            let address = IpAddr::from(*address).to_canonical();
            names.any(|name| matches!(name, GeneralName::IPAddress(octets) if is_address(octets, address)))
        }
        ServerName::DnsName(host) => {
            let host = host.as_ref().to_ascii_lowercase();
            names.any(
                |name| matches!(name, GeneralName::DNSName(pattern) if is_name(pattern, &host)),
            )
        }
        _ => false,
    };
    if is_for {
        Ok(())
    } else {
        Err(CertificateProblem::NameMismatch)
    }
}

fn is_address(octets: &[u8], address: IpAddr) -> bool {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| v6())
        .is_ok_and(|octets| octets.to_canonical() == address)
}

/// Wildcards count in names that are valid, and stand for one label.
fn is_name(pattern: &str, host: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    if !is_valid(host.strip_suffix('.').unwrap_or(host), false) || !is_valid(&pattern, true) {
        return !matches!(host, "" | ".") && pattern == host;
    }
    let host: Vec<_> = host.strip_suffix('.').unwrap_or(host).split('.').collect();
    let pattern: Vec<_> = pattern.split('.').collect();
    let fits = |(place, (pattern, label)): (usize, (&&str, &&str))| {
        (place == 0 && *pattern == "*") || pattern == label
    };
    pattern.len() == host.len() && pattern.iter().zip(&host).enumerate().all(fits)
}

fn is_valid(host: &str, is_pattern: bool) -> bool {
    let is_letter = |(place, c): (usize, char)| {
        c.is_ascii_alphanumeric() || c == '_' || (c == '-' && place > 0)
    };
    let is_label = |(place, label): (usize, &str)| {
        let is_wildcard = is_pattern && place == 0 && label == "*";
        is_wildcard || (!label.is_empty() && label.chars().enumerate().all(is_letter))
    };
    host != "*" && host.split('.').enumerate().all(is_label)
}
