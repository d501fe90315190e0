//! Signatures, of certificates and of handshakes. The TLS library has the algorithms; which may be used is Go's
//! rule.

use rustls::{
    DigitallySignedStruct, Error, PeerMisbehaved,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, SubjectPublicKeyInfoDer},
};
use x509_parser::public_key::PublicKey;

use super::{CertificateProblem, Parsed};
use crate::stages::tls::{Chain, refused::RefusedChain};

/// Keys of other sizes are taken by Go, but not by the TLS library.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Signatures that Go refuses: SHA-1 and MD5. OID, and what Go calls it.
const INSECURE: [(&str, &str); 3] = [
    ("1.2.840.113549.1.1.4", "MD5-RSA"),
    ("1.2.840.113549.1.1.5", "SHA1-RSA"),
    ("1.2.840.10045.4.1", "ECDSA-SHA1"),
];

/// Why a certificate is not signed by another.
pub(super) enum SignatureProblem {
    /// Another key signed it.
    Wrong,
    /// A rule forbids it; in Go's words.
    Rule(String),
    /// This agent cannot check it.
    Uncheckable(String),
}

/// Go's `CheckSignatureFrom`.
pub(super) fn check(
    child: &Parsed<'_>,
    parent: &Parsed<'_>,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), SignatureProblem> {
    if !parent.may_sign() {
        return Err(SignatureProblem::Rule(
            "x509: invalid signature: parent certificate cannot sign this kind of certificate"
                .to_owned(),
        ));
    }
    let algorithm = child.x509.signature_algorithm.algorithm.to_id_string();
    if let Some((_, name)) = INSECURE.iter().find(|(oid, _)| *oid == algorithm) {
        return Err(SignatureProblem::Rule(format!(
            "x509: cannot verify signature: insecure algorithm {name}"
        )));
    }
    if let Some(why) = uncheckable_key(parent) {
        return Err(SignatureProblem::Uncheckable(why));
    }
    let is_it = |id: rustls::pki_types::AlgorithmIdentifier, der: &[u8]| *id == *der;
    let key = &parent
        .x509
        .tbs_certificate
        .subject_pki
        .subject_public_key
        .data;
    let signed = algorithms.all.iter().any(|algorithm| {
        is_it(algorithm.signature_alg_id(), child.signature_algorithm)
            && is_it(algorithm.public_key_alg_id(), &parent.key_algorithm)
            && algorithm
                .verify_signature(
                    key,
                    child.x509.tbs_certificate.as_ref(),
                    &child.x509.signature_value.data,
                )
                .is_ok()
    });
    if signed {
        Ok(())
    } else {
        Err(SignatureProblem::Wrong)
    }
}

/// Checks what the holder of `certificate` signed in a handshake. Unlike the TLS library it looks at the key
/// alone: Go has no rule for the rest that `verify` has not applied.
pub(in crate::stages::tls) fn verify_handshake(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
    is_tls13: bool,
) -> Result<HandshakeSignatureValid, Error> {
    let refused = |problem| {
        let chain = Chain::describe(std::slice::from_ref(certificate));
        Error::from(RefusedChain { problem, chain })
    };
    let holder = Parsed::read(0, certificate).map_err(refused)?;
    if let Some(why) = uncheckable_key(&holder) {
        return Err(refused(CertificateProblem::Uncheckable(why)));
    }
    let key = &holder.x509.tbs_certificate.subject_pki;
    if is_tls13 {
        let key = SubjectPublicKeyInfoDer::from(key.raw);
        return verify_tls13_signature_with_raw_key(message, &key, signature, algorithms);
    }
    let mapped = algorithms
        .mapping
        .iter()
        .find(|(scheme, _)| *scheme == signature.scheme);
    let (_, fitting) = mapped.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    let signed = fitting.iter().any(|algorithm| {
        *algorithm.public_key_alg_id() == *holder.key_algorithm
            && algorithm
                .verify_signature(&key.subject_public_key.data, message, signature.signature())
                .is_ok()
    });
    match signed {
        true => Ok(HandshakeSignatureValid::assertion()),
        false => Err(Error::InvalidCertificate(
            rustls::CertificateError::BadSignature,
        )),
    }
}

fn uncheckable_key(holder: &Parsed<'_>) -> Option<String> {
    let Ok(PublicKey::RSA(key)) = holder.x509.tbs_certificate.subject_pki.parsed() else {
        return None;
    };
    let bits = key.key_size();
    (!RSA_BITS.contains(&bits)).then(|| {
        format!("this agent checks RSA keys of 2048 to 8192 bits, and this one has {bits}")
    })
}
