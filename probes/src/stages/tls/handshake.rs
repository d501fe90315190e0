//! What a completed handshake agreed on.

use std::sync::Arc;

use rustls::{ClientConnection, NamedGroup};

use super::{chain::Chain, fault::Lost, known_chains::KnownChains};

/// What a completed handshake agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// As usually written: `TLS1.3`.
    pub version: &'static str,
    /// The cipher suite's IANA name.
    pub cipher: &'static str,
    /// The key exchange group's name.
    pub group: &'static str,
    /// The peer's chain, as verified.
    pub chain: Arc<Chain>,
    /// What was lost before it came about with a small ClientHello.
    pub lost: Option<Lost>,
}

impl Handshake {
    pub(super) fn of(connection: &ClientConnection, known: &KnownChains) -> Self {
        let version = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLS1.2",
            _ => "TLS1.3",
        };
        let cipher = connection
            .negotiated_cipher_suite()
            .map(|suite| suite.suite());
        let group = connection
            .negotiated_key_exchange_group()
            .map(|group| group.name());
        let presented = connection.peer_certificates().unwrap_or_default();
        Self {
            version,
            cipher: cipher.and_then(|suite| suite.as_str()).unwrap_or("unknown"),
            group: group.map_or("unknown", group_name),
            chain: known
                .get(&KnownChains::key(presented.iter()))
                .unwrap_or_else(|| Arc::new(Chain::describe(presented))),
            lost: None,
        }
    }
}

fn group_name(group: NamedGroup) -> &'static str {
    group.as_str().unwrap_or("unknown")
}
