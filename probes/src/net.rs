//! What all stages share: when packets arrived, how much a peer may send, what an errno means, where
//! a registry may lead a probe, and how a peer's text is made safe to show.

pub(crate) mod allowance;
pub(crate) mod inert;
pub(crate) mod io_fault;
pub(crate) mod off_limits;
pub(crate) mod redact;
pub(crate) mod wire;
