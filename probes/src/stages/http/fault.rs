//! Why an HTTP stage fails: the socket, the protocol, or a refusal.

use std::{
    io::{self, ErrorKind},
    net::IpAddr,
};

use hyper::StatusCode;

use crate::{
    net::{allowance::Exhausted, inert::excerpt, io_fault::IoFault, redact::redacted},
    stages::tls::refused_certificate,
    words::reason::Reason,
};

/// A refusal, and all that explains it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// The registry's error code, such as `DENIED`.
    pub code: Option<String>,
    /// The registry's error message.
    pub message: Option<String>,
    /// Whether the answer is JSON, as a registry's own are; an answer to `HEAD` shows no more.
    pub is_json: bool,
    /// The client address that the registry's network rules refused.
    pub client_ip: Option<IpAddr>,
    /// The header `Server`.
    pub server: Option<String>,
    /// The id that the registry's support asks for.
    pub correlation_id: Option<String>,
    /// The header `Retry-After`, as sent.
    pub retry_after: Option<String>,
}

impl Refusal {
    fn reason(&self) -> Reason {
        match self.status {
            401 => Reason::Unauthorized,
            403 if self.client_ip.is_some() => Reason::Firewall,
            403 => Reason::Forbidden,
            404 => Reason::NotFound,
            405 if self.code.as_deref() == Some("REGISTRY_DISALLOWED_OPERATION") => Reason::Locked,
            429 => Reason::Throttled,
            500..=599 => Reason::ServerError,
            _ => Reason::UnexpectedStatus,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = StatusCode::from_u16(self.status).ok();
        let reason = status
            .and_then(|status| status.canonical_reason())
            .unwrap_or("");
        write!(f, "{} {reason}", self.status)?;
        if let (Some(code), Some(message)) = (&self.code, &self.message) {
            write!(f, ": {code}: {message}")?;
        }
        Ok(())
    }
}

/// Why an HTTP stage failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpFault {
    /// The socket's fault.
    #[error(transparent)]
    Io(#[from] IoFault),
    /// The server refuses.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// An answer, but not a registry's.
    #[error("answered {status}, but not as a registry does: {why}")]
    NotARegistry {
        /// The status.
        status: u16,
        /// What is missing.
        why: &'static str,
    },
    /// A page for people, as portals and proxies send.
    #[error("answered {0} with a page, as a portal does")]
    Page(u16),
    /// Not HTTP, or not the format that the stage needs.
    #[error("malformed answer: {0}")]
    Malformed(String),
    /// After the handshake, the peer refuses the client's certificate, or that there is none. The alert, as Go calls it.
    #[error("the peer asks for a client certificate and gets none that it takes: {0}")]
    CertificateRequired(&'static str),
    /// Larger than the limit.
    #[error("the answer's {0} is larger than a registry would send")]
    TooLarge(&'static str),
    /// One redirect too many.
    #[error("redirected more than {0} times")]
    TooManyRedirects(usize),
    /// A redirect, or a token realm, that a probe must not follow.
    #[error("sent to {to}: {why}")]
    NotFollowed {
        /// Where to; the query is redacted.
        to: String,
        /// Why not.
        why: &'static str,
    },
    /// Content that is not what its descriptor names.
    #[error("not the content that was asked for: {0}")]
    Corrupt(String),
    /// The image exists, but not for this node.
    #[error("the image is not built for {platform}, only for {offered}")]
    PlatformMismatch {
        /// This node's platform.
        platform: String,
        /// The image's platforms, joined.
        offered: String,
    },
}

impl HttpFault {
    /// The reason that this fault counts as.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Io(fault) => fault.reason(),
            Self::Refused(refusal) => refusal.reason(),
            Self::NotARegistry { .. } | Self::Page(_) => Reason::NoChallenge,
            Self::Malformed(_) => Reason::Malformed,
            Self::CertificateRequired(_) => Reason::CertificateRequired,
            Self::TooLarge(_) => Reason::TooLarge,
            Self::TooManyRedirects(_) => Reason::TooManyRedirects,
            Self::NotFollowed { .. } => Reason::NotFollowed,
            Self::Corrupt(_) => Reason::Corrupt,
            Self::PlatformMismatch { .. } => Reason::PlatformMismatch,
        }
    }

    /// The registry's own words for a refusal.
    pub(crate) fn said(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => refusal.message.clone(),
            _ => None,
        }
    }

    /// Whether the registry itself wants credentials, or better ones: 401, or 403 in its own words that does not
    /// name the client's address.
    pub(crate) fn is_denial(&self) -> bool {
        let Self::Refused(refusal) = self else {
            return false;
        };
        match refusal.status {
            401 => true,
            403 => (refusal.code.is_some() || refusal.is_json) && refusal.client_ip.is_none(),
            _ => false,
        }
    }

    /// Whether an answer to `/v2/` says nothing of pulls, which never ask for that: not where a network, an
    /// overload or a portal shows in it.
    pub(crate) fn proves_nothing(&self) -> bool {
        match self {
            Self::NotARegistry { .. } | Self::NotFollowed { .. } | Self::TooManyRedirects(_) => {
                true
            }
            Self::Refused(_) => !matches!(
                self.reason(),
                Reason::Firewall | Reason::Throttled | Reason::ServerError
            ),
            _ => false,
        }
    }

    fn broken_tls(error: &rustls::Error) -> Self {
        match refused_certificate(error) {
            Some(refused) => Self::CertificateRequired(refused),
            None => Self::Malformed(format!("TLS broke off ({error})")),
        }
    }

    /// A redirect that is not followed; the secrets of `to` are removed.
    pub fn not_followed(to: &str, why: &'static str) -> Self {
        Self::NotFollowed {
            to: excerpt(redacted(to).as_bytes()),
            why,
        }
    }
}

impl From<hyper::Error> for HttpFault {
    fn from(error: hyper::Error) -> Self {
        if error.is_parse_too_large() {
            return Self::TooLarge("head");
        }
        if error.is_parse() {
            return Self::Malformed(format!("not HTTP ({error})"));
        }
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        match cause.downcast_ref::<io::Error>() {
            Some(io) if Exhausted::is_in(io) => Self::TooLarge("head"),
            Some(io) => match io.get_ref().and_then(|inner| inner.downcast_ref()) {
                // A TLS 1.3 server refuses a client certificate after the handshake.
                Some(tls) => Self::broken_tls(tls),
                // Invalid chunks: the kernel gave no errno.
                None if io.raw_os_error().is_none() && is_of_framing(io.kind()) => {
                    Self::Malformed(format!("not HTTP ({io})"))
                }
                None => Self::Io(IoFault::from(io)),
            },
            // An incomplete message, or a connection that closed before the request was sent.
            None => Self::Io(IoFault::Closed),
        }
    }
}

fn is_of_framing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidData | ErrorKind::InvalidInput)
}
