//! A refused chain, on its way through rustls to the stage's fault.

use std::{error::Error, fmt, sync::Arc};

use rustls::{CertificateError, OtherError};

use super::chain::{CertificateProblem, Chain};

/// What is wrong with a chain, and the chain.
#[derive(Debug)]
pub(super) struct RefusedChain {
    pub(super) problem: CertificateProblem,
    pub(super) chain: Chain,
}

impl RefusedChain {
    pub(super) fn inside(error: &CertificateError) -> Option<&Self> {
        match error {
            CertificateError::Other(OtherError(inner)) => inner.downcast_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for RefusedChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl Error for RefusedChain {}

impl From<RefusedChain> for rustls::Error {
    fn from(refused: RefusedChain) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused))))
    }
}
