//! What all stages share: when packets arrived, how much a peer may send, what an errno means, where
//! a registry may lead a probe, how Go reads URLs, and how a peer's text is made safe to show.

pub(crate) mod allowance;
pub(crate) mod go_url;
pub(crate) mod inert;
pub(crate) mod io_fault;
pub(crate) mod off_limits;
pub(crate) mod redact;
pub(crate) mod wire;
