//! The roots that a node trusts: its own bundle and configured files. The bundle is read at start and at
//! reload, the files of a `hosts.toml` when a round begins; nothing here reads during a probe.

use std::{
    collections::{HashMap, HashSet},
    env, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::digest;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::node::{
    regular_file::read_regular,
    root::{FileError, Root},
    unseen::Unseen,
};

/// Bytes that are read of a CA file, and of all files of the bundle; system bundles have a tenth of it.
const MAX_FILE: u64 = 8 * 1024 * 1024;
/// Files of a directory that are read.
const MAX_FILES: usize = 4096;

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
/// Where the bundle may be as one file for each certificate, if there is no such file. From the same source.
const DIRECTORIES: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];

/// Trusted roots, and the fingerprints by which Go recognises a trusted leaf.
#[derive(Clone, Debug)]
pub struct TrustStore {
    /// By the DER of the name of its holder.
    roots: Arc<HashMap<Vec<u8>, Vec<CertificateDer<'static>>>>,
    /// What the node trusts as well, and cannot be seen from here.
    pub(crate) unseen: Option<Unseen>,
    fingerprints: HashSet<[u8; 32]>,
}

impl TrustStore {
    /// Loads the node's bundle (unless `SSL_CERT_FILE` or `SSL_CERT_DIR` names another) and the
    /// certificates of `own_file`, a file of this process.
    ///
    /// # Errors
    /// If the file cannot be used, or no root is found at all.
    pub fn load(root: &Root, own_file: Option<&Path>) -> Result<Self, TrustError> {
        Self::with(root, own_file, Vec::new(), None)
    }

    /// The same, with the certificates of a host's `ca`, one of which may be `unseen`.
    pub(crate) fn with(
        root: &Root,
        own_file: Option<&Path>,
        of_host: Vec<CertificateDer<'static>>,
        unseen: Option<Unseen>,
    ) -> Result<Self, TrustError> {
        let (bundle, unseen_bundle) = bundle(root);
        let own = own_file.map(own_certificates).transpose()?;
        let all = bundle.chain(own.into_iter().flatten()).chain(of_host);
        let trusted = Self::of(all);
        if trusted.fingerprints.is_empty() {
            return Err(TrustError::NoRoots);
        }
        Ok(Self {
            unseen: unseen.or(unseen_bundle),
            ..trusted
        })
    }

    /// Trusts these certificates alone.
    pub(crate) fn of(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        let mut fingerprints = HashSet::new();
        let mut roots: HashMap<_, Vec<_>> = HashMap::new();
        for certificate in certificates {
            // Directories name each certificate several times.
            if !fingerprints.insert(fingerprint(&certificate)) {
                continue;
            }
            // One that cannot be read may still be a trusted leaf.
            if let Ok((_, read)) = X509Certificate::from_der(&certificate) {
                let holder = read.subject().as_raw().to_vec();
                roots.entry(holder).or_default().push(certificate);
            }
        }
        Self {
            roots: Arc::new(roots),
            unseen: None,
            fingerprints,
        }
    }

    /// All roots that can be read, in no order.
    pub fn certificates(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.roots.values().flatten()
    }

    /// The roots whose holder has this name, which is DER.
    pub(crate) fn named(&self, holder: &[u8]) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.roots.get(holder).into_iter().flatten()
    }

    /// A digest of all roots, in whatever order.
    pub(crate) fn digest(&self) -> u64 {
        let part = |fingerprint: &[u8; 32]| {
            fingerprint
                .iter()
                .take(8)
                .fold(0, |part, byte| part << 8 | u64::from(*byte))
        };
        self.fingerprints
            .iter()
            .map(part)
            .fold(0, |all, one| all ^ one)
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

/// The certificates of a file of this process.
fn own_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let pem = read_regular(path, MAX_FILE).map_err(|error| TrustError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    let certificates = certificates(&pem);
    match certificates.is_empty() {
        true => Err(TrustError::Empty {
            path: path.to_owned(),
        }),
        false => Ok(certificates),
    }
}

/// Some may come more than once.
type Certificates = Box<dyn Iterator<Item = CertificateDer<'static>>>;

/// The bundle of the node at `root`, or this process's own if the node's is not seen.
fn bundle(root: &Root) -> (Certificates, Option<Unseen>) {
    let named = |name| env::var_os(name).filter(|value| !value.is_empty());
    let (file, directories) = (named("SSL_CERT_FILE"), named("SSL_CERT_DIR"));
    if file.is_some() || directories.is_some() {
        let directories = directories.iter().flat_map(env::split_paths);
        let in_directories = directories.flat_map(|directory| files_in(&directory));
        let files = file.map(PathBuf::from).into_iter().chain(in_directories);
        return (of_files(files.collect()), None);
    }
    let mut unseen = None;
    for path in BUNDLES {
        match root.read(path.as_ref(), MAX_FILE) {
            Ok(pem) => return (Box::new(certificates(&pem).into_iter()), unseen),
            Err(FileError::Unseen(why)) => unseen = unseen.or(Some(why)),
            Err(FileError::Io(_)) => {}
        }
    }
    if root.is_elsewhere() {
        let (own, _) = bundle(&Root::default());
        return (own, unseen.or(Some(Unseen::Bundle)));
    }
    let in_directories = DIRECTORIES.iter().flat_map(|path| files_in(path.as_ref()));
    (of_files(in_directories.collect()), unseen)
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.take(MAX_FILES).map(|entry| entry.path()).collect()
}

/// The certificates of all files that can be read, up to the limit of one. Each file is read when its turn comes.
fn of_files(paths: Vec<PathBuf>) -> Certificates {
    let mut left = MAX_FILE;
    Box::new(paths.into_iter().flat_map(move |path| {
        let pem = read_regular(&path, left).unwrap_or_default();
        left -= pem.len() as u64;
        certificates(&pem)
    }))
}

/// A bundle with a broken entry is still a bundle: Go skips such entries as well.
pub(crate) fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    let certificates = CertificateDer::pem_slice_iter(pem);
    certificates.filter_map(Result::ok).collect()
}

fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, certificate);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_bundle_that_never_ends_is_read_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bundle.pem");
        let filler = "#".repeat(MAX_FILE as usize);
        fs::write(&file, format!("{PEM}{filler}{PEM}")).unwrap();
        assert_eq!(of_files(vec![file.clone()]).count(), 1);
        let files = vec!["/dev/zero".into(), file.clone(), file];
        assert_eq!(of_files(files).count(), 1);
    }
}
