//! The vocabulary that every other room speaks, as types: what is asked and what can go wrong. Nothing
//! here reads a file or opens a socket.

pub(crate) mod acr;
pub(crate) mod did_you_mean;
pub(crate) mod digest;
pub(crate) mod endpoint;
pub(crate) mod platform;
pub(crate) mod privatelink;
pub(crate) mod reason;
pub(crate) mod scope;
pub(crate) mod target;
pub(crate) mod throughput;
