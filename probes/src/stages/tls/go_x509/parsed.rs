//! A certificate as Go's rules need it.

use jiff::Timestamp;
use x509_parser::{
    extensions::{GeneralName, ParsedExtension},
    oid_registry::Oid,
    prelude::{FromDer, X509Certificate},
    x509::X509Version,
};

use crate::stages::tls::chain::CertificateProblem;

/// Extensions below `id-ce` that Go handles, so that they may be critical.
const HANDLED: [&str; 12] = [
    "2.5.29.14",
    "2.5.29.15",
    "2.5.29.17",
    "2.5.29.19",
    "2.5.29.30",
    "2.5.29.31",
    "2.5.29.32",
    "2.5.29.33",
    "2.5.29.35",
    "2.5.29.36",
    "2.5.29.37",
    "2.5.29.54",
];

/// A certificate and its parts.
pub(super) struct Parsed<'a> {
    /// Where it is among those that were presented.
    pub(super) place: usize,
    pub(super) x509: X509Certificate<'a>,
    /// The content of `signatureAlgorithm`, as DER.
    pub(super) signature_algorithm: &'a [u8],
    /// The content of the key's algorithm, as DER.
    pub(super) key_algorithm: Vec<u8>,
}

impl<'a> Parsed<'a> {
    /// Reads a certificate.
    ///
    /// # Errors
    /// If it has not the form of a certificate, or if this parser does not take it: Go's may.
    pub(super) fn read(place: usize, der: &'a [u8]) -> Result<Self, CertificateProblem> {
        let unreadable =
            || CertificateProblem::Uncheckable("this agent cannot read the certificate".to_owned());
        let signature_algorithm = signature_algorithm(der).ok_or_else(|| {
            CertificateProblem::bad(
                "tls: failed to parse certificate from server: x509: malformed certificate",
            )
        })?;
        let (_, x509) = X509Certificate::from_der(der).map_err(|_| unreadable())?;
        let key_algorithm = |spki: &[u8]| {
            let (content, _) = element(spki)?;
            Some(element(content)?.0.to_vec())
        };
        Ok(Self {
            place,
            signature_algorithm,
            key_algorithm: key_algorithm(x509.tbs_certificate.subject_pki.raw)
                .ok_or_else(unreadable)?,
            x509,
        })
    }

    pub(super) fn issuer(&self) -> &[u8] {
        self.x509.issuer().as_raw()
    }

    /// The name in an error about this authority.
    pub(super) fn common_name(&self) -> &str {
        let mut names = self.x509.subject().iter_common_name();
        names
            .next()
            .and_then(|name| name.as_str().ok())
            .unwrap_or_default()
    }

    /// The certificates that this one may be signed by, the likeliest first.
    pub(super) fn likely_parents<'p>(&self, all: &'p [Self]) -> Vec<&'p Self> {
        let parents = all
            .iter()
            .filter(|one| one.x509.subject().as_raw() == self.issuer());
        let mut parents: Vec<_> = parents.collect();
        parents.sort_by_key(
            |parent| match (self.authority_key(), parent.subject_key()) {
                (theirs, own) if theirs == own => 0,
                (None, _) | (_, None) => 1,
                (Some(_), Some(_)) => 2,
            },
        );
        parents
    }

    /// Whether Go takes both for the same authority.
    pub(super) fn is_same_holder(&self, other: &Self) -> bool {
        let (own, theirs) = (&self.x509.tbs_certificate, &other.x509.tbs_certificate);
        own.subject.as_raw() == theirs.subject.as_raw()
            && own.subject_pki.raw == theirs.subject_pki.raw
            && self.raw_names() == other.raw_names()
    }

    /// Go's `isValid` for a server's own certificate.
    pub(super) fn check_alone(&self, now: Timestamp) -> Result<(), CertificateProblem> {
        if self
            .x509
            .extensions()
            .iter()
            .any(|one| one.critical && !self.handles(&one.oid))
        {
            return Err(CertificateProblem::bad(
                "x509: unhandled critical extension",
            ));
        }
        let validity = self.x509.validity();
        let now = now.as_second();
        if now < validity.not_before.timestamp() {
            return Err(CertificateProblem::NotYetValid);
        }
        if now > validity.not_after.timestamp() {
            return Err(CertificateProblem::Expired);
        }
        Ok(())
    }

    /// Go's `isValid` for an authority above this many certificates.
    pub(super) fn check_as_authority(
        &self,
        below: usize,
        now: Timestamp,
    ) -> Result<(), CertificateProblem> {
        self.check_alone(now)?;
        match self.path_length() {
            Some(most) if below - 1 > most => Err(CertificateProblem::bad(
                "x509: too many intermediates for path length constraint",
            )),
            _ => Ok(()),
        }
    }

    /// The same for an authority that is no root.
    pub(super) fn check_as_intermediate(
        &self,
        below: usize,
        now: Timestamp,
    ) -> Result<(), CertificateProblem> {
        self.check_alone(now)?;
        match self.is_authority() {
            Some(true) => self.check_as_authority(below, now),
            _ => Err(CertificateProblem::bad(
                "x509: certificate is not authorized to sign other certificates",
            )),
        }
    }

    /// Whether its extensions let it sign certificates. Go looks at the key usage only if there is any.
    pub(super) fn may_sign(&self) -> bool {
        let is_authority = match self.is_authority() {
            Some(is_authority) => is_authority,
            None => self.x509.version() != X509Version::V3,
        };
        let usage = self.x509.key_usage().ok().flatten();
        is_authority
            && usage.is_none_or(|usage| usage.value.flags == 0 || usage.value.key_cert_sign())
    }

    /// Whether its extended key usage, if there is one, allows servers.
    pub(super) fn is_for_servers(&self) -> bool {
        let usage = self.x509.extended_key_usage().ok().flatten();
        usage.is_none_or(|usage| usage.value.any || usage.value.server_auth)
    }

    /// The alternative names of its holder; `None` without the extension.
    pub(super) fn names(&self) -> Option<&[GeneralName<'a>]> {
        let names = self.x509.subject_alternative_name().ok().flatten()?;
        Some(&names.value.general_names)
    }

    fn raw_names(&self) -> Option<&[u8]> {
        let mut extensions = self.x509.extensions().iter();
        let names = extensions.find(|one| {
            matches!(
                one.parsed_extension(),
                ParsedExtension::SubjectAlternativeName(_)
            )
        });
        names.map(|names| names.value)
    }

    fn handles(&self, extension: &Oid<'_>) -> bool {
        HANDLED.contains(&&*extension.to_id_string())
    }

    /// The flag of the basic constraints, if there are any.
    fn is_authority(&self) -> Option<bool> {
        let basic = self.x509.basic_constraints().ok().flatten();
        basic.map(|basic| basic.value.ca)
    }

    fn path_length(&self) -> Option<usize> {
        let basic = self.x509.basic_constraints().ok().flatten()?;
        basic.value.path_len_constraint.map(|most| most as usize)
    }

    fn authority_key(&self) -> Option<&[u8]> {
        self.x509
            .extensions()
            .iter()
            .find_map(|one| match one.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(key) => {
                    key.key_identifier.as_ref().map(|key| key.0)
                }
                _ => None,
            })
    }

    fn subject_key(&self) -> Option<&[u8]> {
        self.x509
            .extensions()
            .iter()
            .find_map(|one| match one.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(key) => Some(key.0),
                _ => None,
            })
    }
}

/// The content of a certificate's signature algorithm, if `der` has the form of a certificate: a sequence of
/// what is signed, an algorithm and a signature.
fn signature_algorithm(der: &[u8]) -> Option<&[u8]> {
    let is_sequence = |der: &[u8]| der.first() == Some(&0x30);
    let (content, after) = element(der)?;
    let (_, rest) = element(content)?;
    let (algorithm, signature) = element(rest)?;
    let (_, nothing) = element(signature)?;
    let has_form = is_sequence(der)
        && is_sequence(content)
        && is_sequence(rest)
        && after.is_empty()
        && nothing.is_empty();
    has_form.then_some(algorithm)
}

/// The content of the first element of `der`, and what follows it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..0x80 => (usize::from(*first), rest),
        _ => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = bytes.iter().try_fold(0usize, |length, byte| {
                length.checked_mul(256)?.checked_add(usize::from(*byte))
            })?;
            (length, rest)
        }
    };
    rest.split_at_checked(length)
}
