//! Why a web configuration is refused; every error says where and what to write instead.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::{config::ConfigError, web::users::HashError};

/// Why a web configuration is not taken; says where, and what to write.
#[derive(Debug, Error)]
pub(crate) enum SettingsError {
    /// Not readable, not YAML, or a key that the format does not have.
    #[error(transparent)]
    Unreadable(#[from] ConfigError),
    /// A file that it names.
    #[error("{key}: cannot read {path}: {error}; check the path, and that this user may read it")]
    NamedFile {
        /// Where it is named.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// Two ways to say the same, or none.
    #[error("tls_server_config: {0}")]
    Tls(#[from] TlsError),
    /// A header that is not set, or a value that it cannot have.
    #[error("http_server_config.headers.{0}")]
    Header(String),
    /// A hash that is none.
    #[error("basic_auth_users.{user}: {error}")]
    User {
        /// Whose.
        user: String,
        /// What is wrong with it.
        error: HashError,
    },
    /// An interval that is none.
    #[error("rate_limit.interval: {0}")]
    Interval(String),
}

/// What is wrong with it; fits after "tls_server_config: ".
#[derive(Debug, Error)]
pub(crate) enum TlsError {
    /// Neither as text nor as a file.
    #[error("{0} is missing; write {0}_file, or {0} with the PEM text itself")]
    Missing(&'static str),
    /// As text and as a file.
    #[error("{0} and {0}_file are both there; keep one")]
    Twice(&'static str),
    /// No certificate in it.
    #[error("{0}: no PEM certificate; it needs one that has BEGIN CERTIFICATE in it")]
    NoCertificate(&'static str),
    /// No key in it.
    #[error("key: no PEM private key; it needs BEGIN PRIVATE KEY, or that of an RSA or EC key")]
    NoKey,
    /// What rustls says of certificate and key.
    #[error("certificate and key: {0}")]
    Unusable(rustls::Error),
    /// Authorities that cannot be used.
    #[error("client_ca: {0}")]
    ClientCa(String),
    /// A word that is not in the format, or that would check nothing.
    #[error("client_auth_type: {0}")]
    ClientAuth(&'static str),
    /// Names without anybody who must show them.
    #[error(
        "client_allowed_sans: these are asked of nobody; write client_auth_type: \
         RequireAndVerifyClientCert"
    )]
    SansOfNobody,
    /// A version that is not spoken.
    #[error("{key}: {value:?} is not spoken here; write TLS12 or TLS13")]
    Version {
        /// `min_version` or `max_version`.
        key: &'static str,
        /// What was typed.
        value: String,
    },
    /// The least is above the most.
    #[error("min_version is above max_version")]
    NoVersion,
    /// A suite or group that is not offered.
    #[error("{key}: {value:?} is not offered; there are {there}")]
    Unknown {
        /// Of which list.
        key: &'static str,
        /// What was typed.
        value: String,
        /// What could have been.
        there: String,
    },
}
