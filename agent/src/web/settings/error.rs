//! Why a web configuration is refused; every error says where and what to write instead.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::{config::ConfigError, web::users::HashError};

/// Why a web configuration is refused.
#[derive(Debug, Error)]
pub(crate) enum SettingsError {
    /// Not readable, not YAML, or a key that the format does not have.
    #[error(transparent)]
    Unreadable(#[from] ConfigError),
    /// A file named in it cannot be read.
    #[error("{key}: cannot read {path}: {error}; check the path, and that this user may read it")]
    NamedFile {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the kernel.
        error: io::Error,
    },
    /// TLS settings are invalid.
    #[error("tls_server_config: {0}")]
    Tls(#[from] TlsError),
    /// An unknown header, or a value that it cannot have.
    #[error("http_server_config.headers.{0}")]
    Header(String),
    /// An invalid password hash.
    #[error("basic_auth_users.{user}: {error}")]
    User {
        /// The user.
        user: String,
        /// What is wrong with it.
        error: HashError,
    },
    /// An invalid interval.
    #[error("rate_limit.interval: {0}")]
    Interval(String),
}

/// Why TLS settings are refused; fits after "tls_server_config: ".
#[derive(Debug, Error)]
pub(crate) enum TlsError {
    /// Given neither as text nor as a file.
    #[error("{0} is missing; write {0}_file, or {0} with the PEM text itself")]
    Missing(&'static str),
    /// Given both as text and as a file.
    #[error("{0} and {0}_file are both set; keep one")]
    Twice(&'static str),
    /// It contains no certificate.
    #[error("{0}: no PEM certificate found; it must contain BEGIN CERTIFICATE")]
    NoCertificate(&'static str),
    /// It contains no key.
    #[error(
        "key: no PEM private key found; it must contain BEGIN PRIVATE KEY, or the same for an RSA or EC key"
    )]
    NoKey,
    /// rustls refuses the certificate or key.
    #[error("certificate and key: {0}")]
    Unusable(rustls::Error),
    /// The authorities cannot be used.
    #[error("client_ca: {0}")]
    ClientCa(String),
    /// An unknown type, or one that verifies nothing.
    #[error("client_auth_type: {0}")]
    ClientAuth(&'static str),
    /// Names that no client has to present.
    #[error(
        "client_allowed_sans: no client has to present a certificate; write client_auth_type: \
         RequireAndVerifyClientCert"
    )]
    SansOfNobody,
    /// A version that is not supported.
    #[error("{key}: {value:?} is not supported; write TLS12 or TLS13")]
    Version {
        /// `min_version` or `max_version`.
        key: &'static str,
        /// What was typed.
        value: String,
    },
    /// The minimum is above the maximum.
    #[error("min_version is above max_version")]
    NoVersion,
    /// A cipher suite or group that is not supported.
    #[error("{key}: {value:?} is not supported; choose from {there}")]
    Unknown {
        /// The list.
        key: &'static str,
        /// What was typed.
        value: String,
        /// What is supported.
        there: String,
    },
}
