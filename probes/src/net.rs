//! What all stages share about bytes on a wire: when packets came, how much a peer may send, what an
//! errno means, and which text of a peer is safe to show.

pub(crate) mod allowance;
pub(crate) mod inert;
pub(crate) mod io_fault;
pub(crate) mod redact;
pub(crate) mod wire;
