//! Certificate verification by the rules of the node's own client. webpki decides; where Go's
//! verifier is known to accept more, this one does too; a refused chain travels in the error, so
//! that it can be described.

use std::{error::Error, fmt, sync::Arc};

use jiff::Timestamp;
use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::{
    chain::{CertificateProblem, Chain},
    trust::{TrustError, TrustStore},
};

/// webpki's verifier, with Go's rule for trusted leaves and a description of what it refuses.
#[derive(Debug)]
pub(super) struct DescribingVerifier {
    webpki: Arc<WebPkiServerVerifier>,
    roots: TrustStore,
}

impl DescribingVerifier {
    pub(super) fn new(
        roots: &TrustStore,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, TrustError> {
        let webpki = WebPkiServerVerifier::builder_with_provider(roots.roots.clone(), provider)
            .build()
            .map_err(|error| TrustError::Setup(error.to_string()))?;
        Ok(Self {
            webpki,
            roots: roots.clone(),
        })
    }

    /// Go accepts a leaf that is itself in the trust store, CA or not (crypto/x509, `Verify`).
    fn verify_trusted_leaf(
        leaf: &CertificateDer<'_>,
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), CertificateProblem> {
        let chain = Chain::describe(std::slice::from_ref(leaf));
        let described = chain
            .leaf()
            .ok_or_else(|| bad("the certificate cannot be read"))?;
        let now = Timestamp::from_second(now.as_secs().try_into().unwrap_or(i64::MAX))
            .unwrap_or(Timestamp::MAX);
        if now > described.not_after {
            return Err(CertificateProblem::Expired);
        }
        if now < described.not_before {
            return Err(CertificateProblem::NotYetValid);
        }
        let parsed = ParsedCertificate::try_from(leaf).map_err(|error| bad(&error.to_string()))?;
        verify_server_name(&parsed, server_name).map_err(|_| CertificateProblem::NameMismatch)
    }
}

impl ServerCertVerifier for DescribingVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = match self.roots.holds(leaf) {
            true => Self::verify_trusted_leaf(leaf, server_name, now),
            false => self
                .webpki
                .verify_server_cert(leaf, intermediates, server_name, ocsp_response, now)
                .map(drop)
                .map_err(|error| problem(&error)),
        };
        match verdict {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            // To Go a CA may be a leaf; what is wrong with one that signed itself is its authority.
            Err(CertificateProblem::Bad(_)) if signed_itself(leaf) => {
                let chain = Chain::describe(std::slice::from_ref(leaf));
                let problem = CertificateProblem::UnknownIssuer;
                Err(RefusedChain { problem, chain }.into())
            }
            Err(problem) => {
                let presented: Vec<_> = std::iter::once(leaf)
                    .chain(intermediates)
                    .cloned()
                    .collect();
                Err(RefusedChain {
                    problem,
                    chain: Chain::describe(&presented),
                }
                .into())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Takes any certificate: the node's own hosts.toml says so.
#[derive(Debug)]
pub(super) struct NoVerifier {
    algorithms: WebPkiSupportedAlgorithms,
}

impl NoVerifier {
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        Self {
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl ServerCertVerifier for NoVerifier {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A refused chain, as it travels through rustls to the stage's fault.
#[derive(Debug)]
pub(super) struct RefusedChain {
    pub(super) problem: CertificateProblem,
    pub(super) chain: Chain,
}

impl RefusedChain {
    pub(super) fn inside(error: &CertificateError) -> Option<&Self> {
        match error {
            CertificateError::Other(OtherError(inner)) => inner.downcast_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for RefusedChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl Error for RefusedChain {}

impl From<RefusedChain> for rustls::Error {
    fn from(refused: RefusedChain) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused))))
    }
}

fn problem(error: &rustls::Error) -> CertificateProblem {
    let rustls::Error::InvalidCertificate(error) = error else {
        return bad(&error.to_string());
    };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            CertificateProblem::Expired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateProblem::NotYetValid
        }
        CertificateError::UnknownIssuer => CertificateProblem::UnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateProblem::NameMismatch
        }
        // What webpki alone has a word for, as CaUsedAsEndEntity.
        CertificateError::Other(OtherError(inner)) => bad(&inner.to_string()),
        other => bad(&other.to_string()),
    }
}

fn signed_itself(leaf: &CertificateDer<'_>) -> bool {
    let described = Chain::describe(std::slice::from_ref(leaf));
    described
        .leaf()
        .is_some_and(|leaf| leaf.subject == leaf.issuer)
}

fn bad(why: &str) -> CertificateProblem {
    CertificateProblem::Bad(why.to_owned())
}
