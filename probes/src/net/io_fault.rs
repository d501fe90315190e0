//! What went wrong on a socket according to the kernel, sorted by errno into the reasons that any stage
//! can have. Every stage that uses a socket carries this type in its own fault.

use std::{fmt, io};

use crate::words::reason::Reason;

/// A failure of the socket itself, before any protocol above it was involved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IoFault {
    /// The stage's deadline passed, or the kernel gave up waiting.
    #[error("no answer in time")]
    Timeout,
    /// `ECONNREFUSED`.
    #[error("connection refused")]
    Refused,
    /// `ECONNRESET`, or a write to a connection already reset.
    #[error("connection reset by peer")]
    Reset,
    /// The peer closed the connection in an orderly way, but too early.
    #[error("connection closed by peer")]
    Closed,
    /// `ENETUNREACH`, `EHOSTUNREACH` and similar.
    #[error("{0}")]
    Unreachable(Errno),
    /// `EPERM` or `EACCES`: this node does not let the packet out.
    #[error("{0}")]
    Denied(Errno),
    /// Any other errno: a fault of this node.
    #[error("{0}")]
    Local(Errno),
    /// A fault of this node without an errno, such as no random numbers.
    #[error("unknown local fault")]
    Unknown,
}

impl IoFault {
    /// The reason that this fault counts as.
    pub fn reason(self) -> Reason {
        match self {
            Self::Timeout => Reason::Timeout,
            Self::Refused => Reason::Refused,
            Self::Reset => Reason::Reset,
            Self::Closed => Reason::Closed,
            Self::Unreachable(_) => Reason::Unreachable,
            Self::Denied(_) | Self::Local(_) | Self::Unknown => Reason::Local,
        }
    }
}

impl From<&io::Error> for IoFault {
    fn from(error: &io::Error) -> Self {
        let errno = error.raw_os_error().map(Errno);
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Timeout,
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Reset,
            io::ErrorKind::UnexpectedEof => Self::Closed,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown => errno.map_or(Self::Unknown, Self::Unreachable),
            io::ErrorKind::PermissionDenied => errno.map_or(Self::Unknown, Self::Denied),
            _ => errno.map_or(Self::Unknown, Self::Local),
        }
    }
}

impl From<io::Error> for IoFault {
    fn from(error: io::Error) -> Self {
        Self::from(&error)
    }
}

/// A kernel error number; it displays as the C library's text for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = io::Error::from_raw_os_error(self.0).to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        f.write_str(&text.to_lowercase())
    }
}

/// As Go prints the error of a call, behind its name and path.
pub(crate) fn in_go_words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(errno) => Errno(errno).to_string(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errno_decides_the_reason() {
        for (errno, reason) in [
            (libc::ETIMEDOUT, Reason::Timeout),
            (libc::ECONNREFUSED, Reason::Refused),
            (libc::ECONNRESET, Reason::Reset),
            (libc::EPIPE, Reason::Reset),
            (libc::ENETUNREACH, Reason::Unreachable),
            (libc::EHOSTUNREACH, Reason::Unreachable),
            (libc::EMFILE, Reason::Local),
            (libc::EADDRNOTAVAIL, Reason::Local),
            (libc::EPERM, Reason::Local),
        ] {
            let fault = IoFault::from(io::Error::from_raw_os_error(errno));
            assert_eq!(fault.reason(), reason, "errno {errno}");
        }
        let eof = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(IoFault::from(eof).reason(), Reason::Closed);
    }

    #[test]
    fn an_errno_reads_as_a_fragment() {
        assert_eq!(
            IoFault::Local(Errno(libc::EMFILE)).to_string(),
            "too many open files"
        );
    }
}
