//! Why an HTTP stage fails: the socket, the protocol, or a refusal.

use std::{
    io::{self, ErrorKind},
    net::IpAddr,
    time::Duration,
};

use hyper::StatusCode;
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};

use crate::{
    net::{
        allowance::Exhausted, go_url::NoUrl, inert::excerpt, io_fault::IoFault, redact::redacted,
    },
    stages::tls::refused_certificate,
    words::reason::Reason,
};

/// Nobody is waited for longer: the server may be wrong, and so may the node's clock.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

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
    /// How long from `now` the server asks to wait: `Retry-After` (RFC 9110, section 10.2.3), a number of seconds or a
    /// date. `None` if the date has passed, or if it is neither.
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        let wait = match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // A number that does not fit is longer than the limit.
            true => Duration::from_secs(text.parse().unwrap_or(u64::MAX)),
            false => {
                let date = DateTimeParser::new().parse_timestamp(text).ok()?;
                let wait = Duration::try_from(date.duration_since(now)).ok()?;
                Some(wait).filter(|wait| !wait.is_zero())?
            }
        };
        Some(wait.min(LONGEST_WAIT))
    }

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
    /// The round was over before the server had the time that a client gives it.
    #[error("the round had no time left to wait for the answer")]
    NoTime,
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
            Self::NoTime => Reason::Local,
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

    /// Of `to`, which nobody is asked for; `what` leads there.
    pub(crate) fn not_asked(why: NoUrl, what: &str, to: &str) -> Self {
        let is = match why {
            NoUrl::Differs => {
                return Self::not_followed(to, "the node's client reads this URL differently");
            }
            NoUrl::Refused => "not a URL",
            NoUrl::NotSent => "neither an https nor an http URL",
        };
        Self::Malformed(format!("{what} is {is}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_asks_to_wait_by_a_number_or_a_date() {
        let now = "1994-11-06T08:49:00Z".parse().unwrap();
        for (text, expected) in [
            ("120", Some(120)),
            (" 5 ", Some(5)),
            ("0", Some(0)),
            ("99999999999999999999", Some(3600)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", None),
            ("Sun, 06 Nov 1994 10:49:37 GMT", Some(3600)),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let refusal = Refusal {
                retry_after: Some(text.to_owned()),
                ..Refusal::default()
            };
            let expected = expected.map(Duration::from_secs);
            assert_eq!(refusal.wait(now), expected, "{text:?}");
        }
    }
}
