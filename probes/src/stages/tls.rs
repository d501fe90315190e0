//! The stage `tls`: one handshake as the node's own client does it: hybrid key share first, ALPN, no
//! resumption, strict verification. A refused chain is still described.

pub use self::{
    chain::{Certificate, CertificateProblem, Chain},
    clients::TlsClients,
    fault::{Lost, TlsFault},
    handshake::Handshake,
};
pub(crate) use self::{
    client::{Hello, TlsClient},
    fault::refused_certificate,
    go_x509::verify_chain,
};

mod chain;
mod client;
mod client_certificates;
mod clients;
mod fault;
mod go_hello;
mod go_x509;
mod handshake;
mod known_chains;
mod refused;
mod settings_error;
mod verifier;
