//! The stage `tls`: one handshake as the node's own client does it: hybrid key share first, ALPN, no
//! resumption, strict verification. A refused chain is still described.

pub(crate) use self::client::{Hello, TlsClient};
pub use self::{
    chain::{Certificate, CertificateProblem, Chain},
    clients::TlsClients,
    fault::TlsFault,
    handshake::Handshake,
};

mod chain;
mod client;
mod clients;
mod fault;
mod handshake;
mod known_chains;
mod verifier;
