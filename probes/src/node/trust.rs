//! The roots that a node trusts: its own bundle and configured files. Loaded at start and at reload,
//! never during a probe.

use std::{
    collections::HashSet,
    env, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::digest;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::node::{regular_file::read_regular, root::Root};

/// Bytes of a CA file that are read; system bundles have a tenth of it.
const MAX_FILE: u64 = 8 * 1024 * 1024;

/// Where a node may keep its bundle; the first file that exists is used. Source: Go's
/// `crypto/x509/root_linux.go`.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Trusted roots, and the fingerprints by which Go recognises a trusted leaf.
#[derive(Clone, Debug)]
pub struct TrustStore {
    pub(crate) roots: Arc<RootCertStore>,
    fingerprints: HashSet<[u8; 32]>,
}

impl TrustStore {
    /// Loads the node's bundle (unless `SSL_CERT_FILE` or `SSL_CERT_DIR` names another), the
    /// certificates of `own_file`, a file of this process, and those of `node_files`, files as the node
    /// at `root` names them.
    ///
    /// # Errors
    /// If one of the files cannot be used, or no root is found at all.
    pub fn load(
        root: &Root,
        own_file: Option<&Path>,
        node_files: &[PathBuf],
    ) -> Result<Self, TrustError> {
        let mut certificates = bundle(root);
        if let Some(path) = own_file {
            certificates.extend(read(path, path)?);
        }
        for path in node_files {
            certificates.extend(read(&root.locate(path), path)?);
        }
        if certificates.is_empty() {
            return Err(TrustError::NoRoots);
        }
        let fingerprints = certificates.iter().map(fingerprint).collect();
        let mut roots = RootCertStore::empty();
        // A certificate that webpki cannot use as an anchor may still be a trusted leaf.
        roots.add_parsable_certificates(certificates);
        Ok(Self {
            roots: Arc::new(roots),
            fingerprints,
        })
    }

    /// Whether this very certificate is in the store.
    pub(crate) fn holds(&self, certificate: &CertificateDer<'_>) -> bool {
        self.fingerprints.contains(&fingerprint(certificate))
    }
}

/// Why there are no roots to trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The configured file cannot be read.
    #[error("cannot read CA file {path}: {error}; check the path, and that this user may read it")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// The configured file holds no certificate.
    #[error("no PEM certificate in CA file {path}; name one that has BEGIN CERTIFICATE in it")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Neither the bundle nor a file has a root.
    #[error(
        "no trusted root: this node has no CA bundle; mount one, set SSL_CERT_FILE or tls.ca_file"
    )]
    NoRoots,
    /// The TLS library refuses the configuration.
    #[error("cannot set up TLS: {0}")]
    Setup(String),
}

/// The bundle of the node at `root`, or this process's own if the node has none that can be read.
fn bundle(root: &Root) -> Vec<CertificateDer<'static>> {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let nodes = BUNDLES.iter().map(|path| root.locate(path.as_ref()));
    let nodes = nodes
        .filter(|_| root.is_elsewhere() && !is_set("SSL_CERT_FILE") && !is_set("SSL_CERT_DIR"));
    // A bundle with a broken entry is still a bundle: Go skips such entries as well.
    match nodes.into_iter().find(|path| path.is_file()) {
        Some(path) => rustls_native_certs::load_certs_from_paths(Some(&path), None).certs,
        None => rustls_native_certs::load_native_certs().certs,
    }
}

/// The certificates in the file at `path`; errors call the file `name`.
fn read(path: &Path, name: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let unreadable = |error| TrustError::Unreadable {
        path: name.to_owned(),
        error,
    };
    let pem = read_regular(path, MAX_FILE).map_err(unreadable)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .filter_map(Result::ok)
        .collect();
    match certificates.is_empty() {
        true => Err(TrustError::Empty {
            path: name.to_owned(),
        }),
        false => Ok(certificates),
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, certificate);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}
