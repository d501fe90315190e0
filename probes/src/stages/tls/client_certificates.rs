//! The client certificates that `hosts.toml` names for a host, and which of them a server gets to see.
//!
//! Sources: containerd `core/remotes/docker/config/hosts.go` (`updateTLSConfigFromHost`); Go `crypto/tls/tls.go`
//! (`X509KeyPair`) and `crypto/tls/common.go` (`SupportsCertificate`).

use std::{path::Path, sync::Arc};

use rustls::{
    SignatureScheme,
    client::ResolvesClientCert,
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::settings_error::{TlsSettingsError, read};
use crate::node::{registry_host::ClientCertificate, root::Root};

/// In the order of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientCertificates(Vec<Arc<CertifiedKey>>);

/// What was read of all files.
type Pems = Vec<Vec<u8>>;

impl ClientCertificates {
    pub(super) fn load(
        root: &Root,
        named: &[ClientCertificate],
    ) -> Result<(Self, Pems), TlsSettingsError> {
        let (mut all, mut pems) = (Vec::with_capacity(named.len()), Vec::new());
        for ClientCertificate { cert, key } in named {
            let chain = read(root, cert, "CERT file")?;
            let (key_path, key) = match key {
                Some(key) => (key, read(root, key, "CERT file")?),
                None => (cert, chain.clone()),
            };
            let pair = pair(&chain, &key).map_err(|why| TlsSettingsError::NoPair {
                cert: cert.clone(),
                key: Path::to_owned(key_path),
                why,
            })?;
            all.push(Arc::new(pair));
            pems.extend([chain, key]);
        }
        Ok((Self(all), pems))
    }
}

/// As `tls.X509KeyPair`.
fn pair(cert: &[u8], key: &[u8]) -> Result<CertifiedKey, &'static str> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(cert)
        .filter_map(Result::ok)
        .collect();
    if chain.is_empty() {
        return Err("failed to find any PEM data in certificate input");
    }
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|_| {
            match CertificateDer::pem_slice_iter(key).next() {
                Some(_) => "found a certificate rather than a key in the PEM for the private key",
                None => "failed to find any PEM data in key input",
            }
        })?;
    let key = any_supported_type(&key).map_err(|_| "failed to parse private key")?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err("private key does not match public key")
        }
        _ => Ok(pair),
    }
}

impl ResolvesClientCert for ClientCertificates {
    /// The first that the server may take: it signs as the server can verify, and one of its chain is by an authority
    /// that the server names, if it names any.
    fn resolve(
        &self,
        authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let is_by_one = |certificate: &CertificateDer<'_>| {
            let issuer = X509Certificate::from_der(certificate)
                .map(|(_, certificate)| certificate.issuer.as_raw().to_owned());
            issuer.is_ok_and(|issuer| authorities.contains(&&*issuer))
        };
        let fits = |pair: &&Arc<CertifiedKey>| {
            pair.key.choose_scheme(schemes).is_some()
                && (authorities.is_empty() || pair.cert.iter().any(is_by_one))
        };
        self.0.iter().find(fits).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}
