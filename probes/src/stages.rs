//! The stages of a pull, a file each: how the stage is run, its evidence and its fault.

pub(crate) mod challenge;
pub(crate) mod connect;
pub(crate) mod exchange;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod http;
pub(crate) mod identity;
pub(crate) mod proxy;
pub(crate) mod resolve;
pub(crate) mod socks;
pub(crate) mod tls;
pub(crate) mod token;
