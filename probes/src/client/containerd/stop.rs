//! How a pull ends without an image.

use std::fmt;

use super::transport::Content;
use crate::stages::http::{fault::HttpFault, go_json::JsonFault};

/// Why a pull did not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// containerd gives up.
    Failed(GoError),
    /// The agent did not see enough to tell: what it did not ask, or could not wait for.
    NotSeen(String),
    /// The agent does not go where the client would for this.
    NotFollowed(Content, HttpFault),
}

/// An error of Go, with the classes that containerd acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GoError {
    /// As containerd prints it; `None` where that is not known.
    pub text: Option<String>,
    pub class: Class,
    /// What is wrong, where neither a status nor a connection says it.
    pub blame: Option<Blame>,
}

/// What is wrong with an answer that the client cannot use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blame {
    /// What was not to be had for it; `None` where that is what was asked for last.
    pub content: Option<Content>,
    pub fault: HttpFault,
}

/// What `errors.Is` finds in an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// `errdefs.ErrNotFound`
    NotFound,
    /// `docker.ErrInvalidAuthorization`
    InvalidAuthorization,
    /// `errdefs.ErrNotImplemented`
    NotImplemented,
    /// A time-out or an end of the connection: tried again at the last host.
    Transient,
    /// The client waits for ever, so nothing follows.
    Hangs,
    /// `ErrUnexpectedStatus` with its status.
    Status(u16),
    Other,
}

impl GoError {
    pub(crate) fn new(class: Class, text: impl Into<String>) -> Self {
        Self {
            text: Some(text.into()),
            class,
            blame: None,
        }
    }

    /// An error whose text is not known.
    pub(crate) fn untold(class: Class) -> Self {
        Self {
            text: None,
            class,
            blame: None,
        }
    }

    /// The last answer is to blame: what is wrong with it.
    #[must_use]
    pub(crate) fn with_content(self, fault: HttpFault) -> Self {
        Self {
            blame: Some(Blame {
                content: None,
                fault,
            }),
            ..self
        }
    }

    /// As [`Self::with_content`], for `content` that the answer was to lead to or should have been.
    #[must_use]
    pub(crate) fn blamed_for(self, content: Content, fault: HttpFault) -> Self {
        Self {
            blame: Some(Blame {
                content: Some(content),
                fault,
            }),
            ..self
        }
    }

    /// `fmt.Errorf("prefix: %w", self)`.
    #[must_use]
    pub(crate) fn within(self, prefix: impl fmt::Display) -> Self {
        Self {
            text: self.text.map(|text| format!("{prefix}: {text}")),
            ..self
        }
    }

    /// `fmt.Errorf("%w: suffix", self)` for the sentinel errors.
    pub(crate) fn not_found(what: impl fmt::Display) -> Self {
        Self::new(Class::NotFound, format!("{what}: not found"))
    }
}

impl From<JsonFault> for GoError {
    fn from(JsonFault(text): JsonFault) -> Self {
        Self {
            text,
            ..Self::untold(Class::Other)
        }
    }
}

impl From<GoError> for Stop {
    fn from(error: GoError) -> Self {
        Self::Failed(error)
    }
}

impl Stop {
    /// Whether another attempt may fare better.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Failed(error) if error.class == Class::Transient)
    }

    /// As [`GoError::within`].
    #[must_use]
    pub(crate) fn within(self, prefix: impl fmt::Display) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(error.within(prefix)),
            of_agent @ (Self::NotSeen(_) | Self::NotFollowed(..)) => of_agent,
        }
    }
}
