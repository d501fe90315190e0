//! Why the TLS settings of a host in `hosts.toml` cannot be used, in containerd's words.
//!
//! Sources: containerd `core/remotes/docker/config/hosts.go` (`updateTLSConfigFromHost`), Go `crypto/tls/tls.go`
//! (`X509KeyPair`).

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    net::io_fault::in_go_words,
    node::{
        root::{FileError, Root},
        trust::TrustError,
        unseen::Unseen,
    },
};

/// Bytes that are read of a file; certificates have a few thousand, bundles a few hundred thousand.
const MAX_FILE: u64 = 8 * 1024 * 1024;

/// Why the TLS settings of a host cannot be used. Displays as containerd prints it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsSettingsError {
    /// A file cannot be read.
    #[error("unable to read {what} {path:?}: {} {}: {}", failed_call(error), path.display(), in_go_words(error))]
    Unreadable {
        /// As containerd calls it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// This process does not see a file; the node's client may.
    #[error(transparent)]
    Unseen(Unseen),
    /// No certificate is in a file of authorities.
    #[error("unable to load CA cert {path:?}")]
    NoAuthority {
        /// The file.
        path: PathBuf,
    },
    /// A client certificate and its key are not a pair.
    #[error("failed to load X509 key pair: tls: {why}")]
    NoPair {
        /// The file with the certificate.
        cert: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// What is wrong with them.
        why: &'static str,
    },
    /// What no file of the host is to blame for.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl TlsSettingsError {
    /// What is wrong, with the files that are to blame.
    pub(crate) fn problem(&self) -> String {
        match self {
            Self::NoPair { cert, key, .. } => {
                format!("{} with the key {}: {self}", cert.display(), key.display())
            }
            Self::Unreadable { .. }
            | Self::Unseen(_)
            | Self::NoAuthority { .. }
            | Self::Trust(_) => self.to_string(),
        }
    }

    /// Whether it says nothing of the node's client.
    pub(crate) fn is_of_this_process(&self) -> bool {
        matches!(self, Self::Unseen(_) | Self::Trust(_))
    }
}

/// Reads a file as the node at `root` names it; errors call it `what`.
pub(super) fn read(
    root: &Root,
    path: &Path,
    what: &'static str,
) -> Result<Vec<u8>, TlsSettingsError> {
    let error = match root.read(path, MAX_FILE) {
        Ok(bytes) => return Ok(bytes),
        Err(FileError::Unseen(unseen)) => return Err(TlsSettingsError::Unseen(unseen)),
        Err(FileError::Io(error)) => error,
    };
    // The client fails without a file that is named: it may be somewhere.
    Err(match root.not_mounted(path) {
        Some(unseen) => TlsSettingsError::Unseen(unseen),
        None => TlsSettingsError::Unreadable {
            what,
            path: path.to_owned(),
            error,
        },
    })
}

/// Go opens a directory like a file.
fn failed_call(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EISDIR) => "read",
        _ => "open",
    }
}
