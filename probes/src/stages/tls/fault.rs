//! Why a TLS handshake fails.

use std::{fmt, io};

use rustls::{InvalidMessage, PeerIncompatible};

use super::{
    chain::{CertificateProblem, Chain},
    refused::RefusedChain,
    settings_error::TlsSettingsError,
};
use crate::{
    net::{allowance::Exhausted, io_fault::IoFault},
    words::reason::Reason,
};

/// What gets lost on the way where less passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Full packets in either direction.
    LargePackets,
    /// A hello larger than one packet, in packets of whatever size.
    LargeHello,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LargePackets => "the same in small packets is answered",
            Self::LargeHello => "a hello that fits one packet is answered",
        })
    }
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// The socket's fault.
    #[error(transparent)]
    Io(#[from] IoFault),
    /// There is no answer, and there is one to less.
    #[error("no answer; {0}")]
    Lost(Lost),
    /// The chain was refused.
    #[error("{problem}")]
    Certificate {
        /// What is wrong with it.
        problem: CertificateProblem,
        /// What the peer presented.
        chain: Chain,
    },
    /// The TLS settings of a host in hosts.toml cannot be used.
    #[error("{0}")]
    Settings(String),
    /// This process may not read what hosts.toml names.
    #[error("{0}; let this user read it")]
    Unseen(String),
    /// The peer asks for a client certificate, and none is configured, or none that it takes. The alert, as Go calls
    /// it.
    #[error("the peer asks for a client certificate and gets none that it takes: {0}")]
    CertificateRequired(&'static str),
    /// No version or parameter in common.
    #[error("no common TLS version or parameters ({0})")]
    Version(String),
    /// The peer agrees to this cipher suite, which Go's client may have and the TLS library here has not.
    #[error(
        "the peer agrees to the cipher suite {0}, which this agent does not have and containerd may have"
    )]
    Unspoken(&'static str),
    /// The peer refused.
    #[error("the peer ended the handshake with the alert {0}")]
    Alert(String),
    /// What came back is not TLS, or violates it.
    #[error("the peer does not speak TLS here ({0})")]
    Broken(String),
}

impl TlsFault {
    /// The reason that this fault counts as.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Io(fault) => fault.reason(),
            Self::Lost(_) => Reason::Timeout,
            Self::Settings(_) => Reason::BadCertificate,
            Self::Unseen(_) | Self::Unspoken(_) => Reason::Local,
            Self::CertificateRequired(_) => Reason::CertificateRequired,
            Self::Certificate { problem, .. } => problem.reason(),
            Self::Version(_) => Reason::Version,
            Self::Alert(_) => Reason::Alert,
            Self::Broken(_) => Reason::NotTls,
        }
    }
}

impl TlsFault {
    /// Whether the peer may have found nothing in common.
    pub(crate) fn is_about_parameters(&self) -> bool {
        let about = [
            "handshake_failure",
            "protocol_version",
            "insufficient_security",
        ];
        matches!(self, Self::Alert(name) if about.contains(&&**name))
    }

    /// The rule of Go's that a certificate breaks, in Go's words.
    pub(crate) fn broken_rule(&self) -> Option<&str> {
        match self {
            Self::Certificate {
                problem: CertificateProblem::Bad(rule),
                ..
            } => Some(rule)
                .filter(|rule| rule.starts_with("x509: ") || rule.starts_with("tls: "))
                .map(|rule| &**rule),
            _ => None,
        }
    }
}

impl From<&TlsSettingsError> for TlsFault {
    fn from(error: &TlsSettingsError) -> Self {
        match error.is_of_this_process() {
            true => Self::Unseen(error.problem()),
            false => Self::Settings(error.problem()),
        }
    }
}

impl From<io::Error> for TlsFault {
    fn from(error: io::Error) -> Self {
        if Exhausted::is_in(&error) {
            return Self::Broken("the handshake does not end".to_owned());
        }
        let cause = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        cause.map_or_else(|| Self::Io(IoFault::from(&error)), Self::from)
    }
}

impl From<&rustls::Error> for TlsFault {
    fn from(error: &rustls::Error) -> Self {
        use rustls::{AlertDescription, Error};
        match error {
            Error::InvalidCertificate(refusal) => match RefusedChain::inside(refusal) {
                Some(RefusedChain { problem, chain }) => Self::Certificate {
                    problem: problem.clone(),
                    chain: chain.clone(),
                },
                None => Self::Certificate {
                    problem: CertificateProblem::Bad(error.to_string()),
                    chain: Chain::default(),
                },
            },
            Error::NoCertificatesPresented => Self::Certificate {
                problem: CertificateProblem::Bad("no certificate presented".to_owned()),
                chain: Chain::default(),
            },
            Error::AlertReceived(AlertDescription::ProtocolVersion) => {
                Self::Version("the peer's alert protocol_version".to_owned())
            }
            Error::AlertReceived(alert) => match refused_certificate(error) {
                Some(refused) => Self::CertificateRequired(refused),
                None => Self::Alert(alert_name(*alert)),
            },
            Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => Self::Version("the peer offers neither TLS 1.2 nor 1.3".to_owned()),
            Error::PeerIncompatible(why) => Self::Version(format!("{why:?}")),
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                Self::Broken("the first bytes are not a TLS record".to_owned())
            }
            Error::InvalidMessage(
                InvalidMessage::CertificatePayloadTooLarge
                | InvalidMessage::HandshakePayloadTooLarge,
            ) => Self::Certificate {
                problem: CertificateProblem::Bad(
                    "the chain is larger than any client takes".into(),
                ),
                chain: Chain::default(),
            },
            Error::FailedToGetRandomBytes | Error::FailedToGetCurrentTime => {
                Self::Io(IoFault::Unknown)
            }
            other => Self::Broken(other.to_string()),
        }
    }
}

/// The alerts by which a server refuses a client's certificate, or that there is none (RFC 8446, section 6.2), as Go's
/// `crypto/tls/alert.go` calls them. In TLS 1.3 they come after the handshake.
pub(crate) fn refused_certificate(error: &rustls::Error) -> Option<&'static str> {
    use rustls::AlertDescription;
    let rustls::Error::AlertReceived(alert) = error else {
        return None;
    };
    Some(match alert {
        AlertDescription::BadCertificate => "bad certificate",
        AlertDescription::UnsupportedCertificate => "unsupported certificate",
        AlertDescription::CertificateRevoked => "revoked certificate",
        AlertDescription::CertificateExpired => "expired certificate",
        AlertDescription::CertificateUnknown => "unknown certificate",
        AlertDescription::UnknownCA => "unknown certificate authority",
        AlertDescription::CertificateRequired => "certificate required",
        _ => return None,
    })
}

/// RFC 8446, section 6: `HandshakeFailure` is `handshake_failure`.
fn alert_name(alert: rustls::AlertDescription) -> String {
    if alert == rustls::AlertDescription::UnrecognisedName {
        return "unrecognized_name".to_owned();
    }
    let mut name = String::new();
    for letter in format!("{alert:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}
