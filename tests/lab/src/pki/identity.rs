//! What an authority has issued: a chain and its key, as files and as a server.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};

use super::Pki;

/// A certificate chain and its key: what a TLS server is.
#[derive(Clone)]
pub struct Identity {
    pub(super) chain_pem: String,
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key_pem: String,
    pub(super) key_der: Vec<u8>,
}

/// Where [`Identity::write`] put an identity.
#[derive(Clone, Debug)]
pub struct IdentityFiles {
    pub chain: PathBuf,
    pub key: PathBuf,
}

impl Identity {
    /// The chain as the server sends it: the leaf first, the root never.
    #[must_use]
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    #[must_use]
    pub fn chain_der(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    #[must_use]
    pub fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key_der.clone()).into()
    }

    /// Writes `tls.crt` and `tls.key` into a folder.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<IdentityFiles> {
        let folder = folder.as_ref();
        let files = IdentityFiles {
            chain: folder.join("tls.crt"),
            key: folder.join("tls.key"),
        };
        fs::write(&files.chain, &self.chain_pem)
            .and_then(|()| fs::write(&files.key, &self.key_pem))
            .with_context(|| format!("failed to write an identity to {}", folder.display()))?;
        Ok(files)
    }

    /// A server that presents this identity, speaks TLS 1.2 and 1.3, and offers HTTP/1.1.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>> {
        self.server_config_for(rustls::ALL_VERSIONS, None)
    }

    /// The same with these versions alone; a client needs a certificate of the authority of `clients`.
    pub(crate) fn server_config_for(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        clients: Option<&Pki>,
    ) -> Result<Arc<ServerConfig>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = match clients {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(pki) => {
                let mut roots = RootCertStore::empty();
                roots.add(pki.ca_der().clone())?;
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
                    .build()?
            }
        };
        let key = provider.key_provider.load_private_key(self.key_der())?;
        let identity = CertifiedKey::new(self.chain.clone(), key);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(verifier)
            // Unlike `with_single_cert`, this does not read the certificate: webpki refuses some that Go takes.
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
