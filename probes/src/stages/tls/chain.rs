//! Describes a certificate chain, and what is wrong with it. It reads certificates only to show them;
//! `verifier` decides whether to trust them.

use aws_lc_rs::digest;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::{net::inert::excerpt, node::unseen::Unseen, words::reason::Reason};

/// More certificates than this are not described.
const MAX_CERTIFICATES: usize = 10;
/// More names than this are not listed.
const MAX_NAMES: usize = 100;

/// The certificates that a peer presented, starting with its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Those that could be read.
    pub certificates: Vec<Certificate>,
}

/// Organisations whose roots are in every current bundle, as their certificates name them.
const PUBLIC_AUTHORITIES: &[&str] = &[
    "Amazon",
    "Baltimore",
    "DigiCert Inc",
    "Entrust, Inc.",
    "GlobalSign nv-sa",
    "GoDaddy.com, Inc.",
    "Google Trust Services LLC",
    "Google Trust Services",
    "IdenTrust",
    "Internet Security Research Group",
    "Let's Encrypt",
    "Microsoft Corporation",
    "Sectigo Limited",
];

impl Chain {
    /// The peer's own certificate.
    pub fn leaf(&self) -> Option<&Certificate> {
        self.certificates.first()
    }

    /// Whether a public authority issued the leaf, by its own words: anyone who intercepts TLS goes by another name.
    pub(crate) fn is_by_public_authority(&self) -> bool {
        let issuer = self.leaf().map_or("", |leaf| &leaf.issuer);
        PUBLIC_AUTHORITIES.iter().any(|organisation| {
            let rest = issuer.split("O=").skip(1);
            let mut rest = rest.filter_map(|rest| rest.strip_prefix(organisation));
            rest.any(|rest| rest.is_empty() || rest.starts_with(','))
        })
    }

    pub(super) fn describe(chain: &[CertificateDer<'_>]) -> Self {
        let readable = chain
            .iter()
            .take(MAX_CERTIFICATES)
            .filter_map(Certificate::describe);
        Self {
            certificates: readable.collect(),
        }
    }
}

/// A summary of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Distinguished name of the holder.
    pub subject: String,
    /// Distinguished name of the signer.
    pub issuer: String,
    /// DNS names and IP addresses it is for.
    pub names: Vec<String>,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid until.
    pub not_after: Timestamp,
    /// SHA-256 fingerprint of the DER form, in lower-case hex.
    pub sha256: String,
}

impl Certificate {
    fn describe(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let validity = certificate.validity();
        Some(Self {
            subject: excerpt(certificate.subject().to_string().as_bytes()),
            issuer: excerpt(certificate.issuer().to_string().as_bytes()),
            names: names(&certificate),
            not_before: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
            not_after: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
            sha256: hex(digest::digest(&digest::SHA256, der).as_ref()),
        })
    }
}

/// What is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    /// It has expired.
    #[error("certificate has expired")]
    Expired,
    /// It is not valid yet.
    #[error("certificate is not valid yet")]
    NotYetValid,
    /// It does not lead to a trusted root.
    #[error("certificate signed by unknown authority")]
    UnknownIssuer,
    /// It leads to no root that this process sees; the node has more.
    #[error("certificate signed by no authority that this agent sees: {0}")]
    UnseenIssuer(Unseen),
    /// It is for other names.
    #[error("certificate is not valid for this name")]
    NameMismatch,
    /// It breaks another rule of Go's; in Go's words.
    #[error("bad certificate: {0}")]
    Bad(String),
    /// This agent cannot check it, and the node's client can.
    #[error("cannot check the certificate: {0}")]
    Uncheckable(String),
}

impl CertificateProblem {
    /// A broken rule, in Go's words.
    pub(super) fn bad(rule: &str) -> Self {
        Self::Bad(rule.to_owned())
    }

    /// The reason that this problem counts as.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Expired => Reason::Expired,
            Self::NotYetValid => Reason::NotYetValid,
            Self::UnknownIssuer => Reason::UnknownIssuer,
            Self::UnseenIssuer(_) | Self::Uncheckable(_) => Reason::Local,
            Self::NameMismatch => Reason::NameMismatch,
            Self::Bad(_) => Reason::BadCertificate,
        }
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(excerpt(name.as_bytes())),
            GeneralName::IPAddress(octets) => ip(octets),
            _ => None,
        });
    names.take(MAX_NAMES).collect()
}

fn ip(octets: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(octets).map(|o| std::net::Ipv4Addr::from(o).to_string());
    let v6 = || <[u8; 16]>::try_from(octets).map(|o| std::net::Ipv6Addr::from(o).to_string());
    v4.or_else(|_| v6()).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_chains_and_lists_of_names_are_cut() {
        let names: Vec<_> = (0..=MAX_NAMES).map(|n| format!("a{n}.example")).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let chain = vec![made.cert.der().clone(); MAX_CERTIFICATES + 1];
        let described = Chain::describe(&chain).certificates;
        assert_eq!(described.len(), MAX_CERTIFICATES);
        assert_eq!(described[0].names.len(), MAX_NAMES);
    }
}
