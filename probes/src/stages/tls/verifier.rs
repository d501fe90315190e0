//! Verifies certificates by the rules of the node's own client. A refused chain travels in the error, so that it
//! can be described.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{
    chain::{CertificateProblem, Chain},
    go_x509::{self, Authorities, verify_handshake},
    known_chains::KnownChains,
    refused::RefusedChain,
};
use crate::node::trust::TrustStore;

/// Go's rules, each chain checked once, and a description of what they refuse.
#[derive(Debug)]
pub(super) struct DescribingVerifier {
    roots: TrustStore,
    algorithms: WebPkiSupportedAlgorithms,
    known: Arc<KnownChains>,
}

impl DescribingVerifier {
    pub(super) fn new(
        roots: &TrustStore,
        provider: &CryptoProvider,
        known: Arc<KnownChains>,
    ) -> Self {
        Self {
            roots: roots.clone(),
            algorithms: provider.signature_verification_algorithms,
            known,
        }
    }

    fn verify(
        &self,
        presented: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), CertificateProblem> {
        let now = timestamp(now);
        let key = KnownChains::key(presented.iter());
        if self.known.accepts(&key, now) {
            return go_x509::verify_name(&presented[0], server_name);
        }
        let authorities = Authorities {
            roots: &self.roots,
            algorithms: &self.algorithms,
            now,
        };
        let used = authorities.verify(presented, server_name)?;
        let used = used.into_iter().map(|place| presented[place].clone());
        self.known.keep(key, &used.collect::<Vec<_>>());
        Ok(())
    }
}

impl ServerCertVerifier for DescribingVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let presented: Vec<_> = std::iter::once(leaf)
            .chain(intermediates)
            .map(|certificate| CertificateDer::from_slice(certificate))
            .collect();
        let Err(problem) = self.verify(&presented, server_name, now) else {
            return Ok(ServerCertVerified::assertion());
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
        verify_handshake(message, certificate, signature, &self.algorithms, false)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_handshake(message, certificate, signature, &self.algorithms, true)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
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
        verify_handshake(message, certificate, signature, &self.algorithms, false)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_handshake(message, certificate, signature, &self.algorithms, true)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn timestamp(time: UnixTime) -> Timestamp {
    let seconds = i64::try_from(time.as_secs()).ok();
    let timestamp = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    timestamp.unwrap_or(Timestamp::MAX)
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
        let provider = aws_lc_rs::default_provider();
        let verifier = DescribingVerifier::new(&roots, &provider, known.clone());
        let verify = |name: &'static str, now| {
            let name = ServerName::try_from(name).unwrap();
            verifier.verify(std::slice::from_ref(&leaf), &name, now)
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
