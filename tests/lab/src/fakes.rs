//! Servers that the lab implements itself, because no real one can be broken in every way that a test
//! needs. `servers` has the real ones.

pub mod acr;
pub(crate) mod answer;
mod connection;
pub mod dns;
pub mod entra;
pub(crate) mod http;
pub mod metadata;
pub mod private_link;
pub mod proxy;
pub mod relay;
pub mod sockets;
pub mod socks;
