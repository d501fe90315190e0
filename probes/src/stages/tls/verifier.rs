//! Verifies certificates by the rules of the node's own client. webpki decides; where Go's verifier is
//! known to accept more, this one does too. A refused chain travels in the error, so that it can be
//! described.

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
    known_chains::KnownChains,
};
use crate::node::trust::{TrustError, TrustStore};

/// webpki's verifier, with Go's rule for trusted leaves and a description of what it refuses.
#[derive(Debug)]
pub(super) struct DescribingVerifier {
    webpki: Arc<WebPkiServerVerifier>,
    roots: TrustStore,
    known: Arc<KnownChains>,
}

impl DescribingVerifier {
    pub(super) fn new(
        roots: &TrustStore,
        provider: Arc<CryptoProvider>,
        known: Arc<KnownChains>,
    ) -> Result<Self, TrustError> {
        let webpki = WebPkiServerVerifier::builder_with_provider(roots.roots.clone(), provider)
            .build()
            .map_err(|error| TrustError::Setup(error.to_string()))?;
        Ok(Self {
            webpki,
            roots: roots.clone(),
            known,
        })
    }

    fn verify(
        &self,
        presented: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<(), CertificateProblem> {
        let Some((leaf, intermediates)) = presented.split_first() else {
            return Err(bad("no certificate presented"));
        };
        let key = KnownChains::key(presented.iter());
        if self.known.accepts(&key, timestamp(now)) {
            return verify_name(leaf, server_name);
        }
        match self.roots.holds(leaf) {
            true => Self::verify_trusted_leaf(leaf, server_name, now)?,
            false => self
                .webpki
                .verify_server_cert(leaf, intermediates, server_name, ocsp_response, now)
                .map(drop)
                .map_err(|error| problem(&error))?,
        }
        self.known.keep(key, presented);
        Ok(())
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
        let now = timestamp(now);
        if now > described.not_after {
            return Err(CertificateProblem::Expired);
        }
        if now < described.not_before {
            return Err(CertificateProblem::NotYetValid);
        }
        verify_name(leaf, server_name)
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
        let presented: Vec<_> = std::iter::once(leaf)
            .chain(intermediates)
            .map(|certificate| CertificateDer::from_slice(certificate))
            .collect();
        let problem = match self.verify(&presented, server_name, ocsp_response, now) {
            Ok(()) => return Ok(ServerCertVerified::assertion()),
            // For Go, a CA may be a leaf; what is wrong with a self-signed one is its authority.
            Err(CertificateProblem::Bad(_)) if signed_itself(leaf) => {
                CertificateProblem::UnknownIssuer
            }
            Err(problem) => problem,
        };
        let problem = match (&problem, &self.roots.unseen) {
            (CertificateProblem::UnknownIssuer, Some(unseen)) => {
                CertificateProblem::UnseenIssuer(unseen.clone())
            }
            _ => problem,
        };
        let chain = Chain::describe(&presented);
        Err(RefusedChain { problem, chain }.into())
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

/// Accepts any certificate, because the node's own hosts.toml says so.
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

/// A refused chain, on its way through rustls to the stage's fault.
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
        // What only webpki has a name for, such as CaUsedAsEndEntity.
        CertificateError::Other(OtherError(inner)) => bad(&inner.to_string()),
        other => bad(&other.to_string()),
    }
}

fn verify_name(
    leaf: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
) -> Result<(), CertificateProblem> {
    let parsed = ParsedCertificate::try_from(leaf).map_err(|error| bad(&error.to_string()))?;
    verify_server_name(&parsed, server_name).map_err(|_| CertificateProblem::NameMismatch)
}

fn timestamp(time: UnixTime) -> Timestamp {
    let seconds = i64::try_from(time.as_secs()).ok();
    let timestamp = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    timestamp.unwrap_or(Timestamp::MAX)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
    use rustls::crypto::aws_lc_rs;

    use super::*;

    /// 2026-01-01, in seconds since 1970.
    const NEW_YEAR: u64 = 1_767_225_600;

    fn day(of_year: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(NEW_YEAR + of_year * 86_400))
    }

    #[test]
    fn an_accepted_chain_still_expires_and_still_needs_the_right_name() {
        let key = KeyPair::generate().unwrap();
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_pem = root.self_signed(&key).unwrap().pem();
        let mut leaf = CertificateParams::new(["contoso.azurecr.io".to_owned()]).unwrap();
        leaf.not_before = date_time_ymd(2026, 1, 11);
        leaf.not_after = date_time_ymd(2026, 1, 21);
        let issuer = Issuer::new(root, &key);
        let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &issuer);
        let leaf = leaf.unwrap().der().clone();

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, root_pem).unwrap();
        let root = crate::node::root::Root::at(folder.path().to_owned());
        let roots = TrustStore::load(&root, Some(&file)).unwrap();
        let known = Arc::<KnownChains>::default();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = DescribingVerifier::new(&roots, provider, known.clone()).unwrap();
        let verify = |name: &'static str, now| {
            let name = ServerName::try_from(name).unwrap();
            verifier.verify(std::slice::from_ref(&leaf), &name, &[], now)
        };
        let is_known = || known.get(&KnownChains::key([&leaf].into_iter())).is_some();

        let (ours, before, within, after) = ("contoso.azurecr.io", day(5), day(15), day(25));
        assert_eq!(verify(ours, before), Err(CertificateProblem::NotYetValid));
        assert!(verify("fabrikam.azurecr.io", within).is_err() && !is_known());
        assert_eq!(verify(ours, within), Ok(()));
        assert!(is_known());
        assert_eq!(verify(ours, within), Ok(()));
        let other = verify("fabrikam.azurecr.io", within);
        assert_eq!(other, Err(CertificateProblem::NameMismatch));
        assert_eq!(verify(ours, after), Err(CertificateProblem::Expired));
        assert_eq!(verify(ours, before), Err(CertificateProblem::NotYetValid));
    }
}
