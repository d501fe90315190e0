//! How much a peer may still send: every byte of a connection counts, those of TLS among them, which
//! nothing above it ever sees. It is small, and grows by what is asked for; a peer that floods ends
//! its connection.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// For a handshake, or all that comes up to the end of the head of an answer.
const LITTLE: usize = 256 * 1024;

/// What is left of it. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Allowance(Arc<AtomicUsize>);

/// More came than there was leave for.
#[derive(Debug, thiserror::Error)]
#[error("more was sent than anybody needs")]
pub(crate) struct Exhausted;

impl Default for Allowance {
    fn default() -> Self {
        Self(Arc::new(LITTLE.into()))
    }
}

impl Allowance {
    /// The peer is asked for something, with a body of up to so many bytes: as much again may go into
    /// how it is wrapped.
    pub(crate) fn renew(&self, body: usize) {
        self.0.store(LITTLE + 2 * body, Ordering::Relaxed);
    }

    /// So many bytes came.
    pub(crate) fn spend(&self, bytes: usize) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed).checked_sub(bytes) {
            Some(left) => {
                self.0.store(left, Ordering::Relaxed);
                Ok(())
            }
            None => Err(io::Error::other(Exhausted)),
        }
    }
}

impl Exhausted {
    /// Whether it is this that ended a connection.
    pub(crate) fn is_in(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_may_come_and_no_more() {
        let (ours, theirs) = (Allowance::default(), Allowance::default());
        assert!(ours.clone().spend(LITTLE).is_ok());
        assert!(theirs.spend(LITTLE + 1).is_err());
        let error = ours.spend(1).unwrap_err();
        assert!(Exhausted::is_in(&error));
        assert!(!Exhausted::is_in(&io::Error::other("else")));
        ours.renew(1000);
        assert!(ours.spend(LITTLE + 2000).is_ok() && ours.spend(1).is_err());
    }
}
