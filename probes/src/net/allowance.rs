//! How much a peer may still send. Every byte of a connection counts, including those of TLS, which
//! nothing above it sees. The allowance is small and grows with what is asked for; a peer that sends
//! more loses its connection.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Enough for a handshake, or for everything up to the end of an answer's head. In bytes.
const BASE: usize = 256 * 1024;

/// What a connection's peer may still send. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Allowance(Arc<AtomicUsize>);

/// The peer sent more than its allowance.
#[derive(Debug, thiserror::Error)]
#[error("the peer sent more than any answer needs")]
pub(crate) struct Exhausted;

impl Default for Allowance {
    fn default() -> Self {
        Self(Arc::new(BASE.into()))
    }
}

impl Allowance {
    /// Starts over for a request whose answer has a body of up to `body` bytes: twice that, because TLS
    /// and chunks add to it.
    pub(crate) fn renew(&self, body: usize) {
        self.0.store(BASE + 2 * body, Ordering::Relaxed);
    }

    /// Counts `bytes` that arrived.
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
    /// Whether this error ended a connection.
    pub(crate) fn is_in(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_may_send_what_was_asked_for_and_no_more() {
        let (ours, theirs) = (Allowance::default(), Allowance::default());
        assert!(ours.clone().spend(BASE).is_ok());
        assert!(theirs.spend(BASE + 1).is_err());
        let error = ours.spend(1).unwrap_err();
        assert!(Exhausted::is_in(&error));
        assert!(!Exhausted::is_in(&io::Error::other("else")));
        ours.renew(1000);
        assert!(ours.spend(BASE + 2000).is_ok() && ours.spend(1).is_err());
    }
}
