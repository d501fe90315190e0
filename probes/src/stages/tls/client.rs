//! A TLS client that says hello as Go's does, for one set of trusted roots.

use std::sync::Arc;

use rustls::{
    ClientConfig, NamedGroup, SupportedCipherSuite,
    client::{Resumption, danger::ServerCertVerifier},
    crypto::{
        CryptoProvider, SupportedKxGroup,
        aws_lc_rs::{
            self,
            cipher_suite::{
                TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, TLS13_AES_128_GCM_SHA256,
                TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
            },
        },
    },
    pki_types::ServerName,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    fault::TlsFault,
    handshake::Handshake,
    known_chains::KnownChains,
    verifier::{DescribingVerifier, NoVerifier},
};
use crate::{
    net::io_fault::IoFault,
    node::trust::{TrustError, TrustStore},
};

/// In the order of Go's `crypto/tls` on a processor with AES.
const GO_CIPHER_SUITES: &[SupportedCipherSuite] = &[
    TLS13_AES_128_GCM_SHA256,
    TLS13_AES_256_GCM_SHA384,
    TLS13_CHACHA20_POLY1305_SHA256,
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// One TLS client set-up; shared by every probe that trusts the same roots.
#[derive(Clone)]
pub(crate) struct TlsClient {
    /// As Go 1.24 and later: the hybrid key share makes a hello of more than one packet.
    connector: TlsConnector,
    /// Classic key shares alone: a hello that fits one packet.
    small: TlsConnector,
    known: Arc<KnownChains>,
}

impl TlsClient {
    /// A client that trusts `roots` and nothing else.
    pub(crate) fn new(roots: &TrustStore) -> Result<Self, TrustError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let known = Arc::<KnownChains>::default();
        let verifier = DescribingVerifier::new(roots, provider, known.clone())?;
        Self::with(Arc::new(verifier), known)
    }

    /// A client that takes any certificate, as `skip_verify` in a hosts.toml asks for.
    pub(crate) fn trusting_anyone() -> Result<Self, TrustError> {
        let verifier = NoVerifier::new(&aws_lc_rs::default_provider());
        Self::with(Arc::new(verifier), Arc::default())
    }

    fn with(
        verifier: Arc<dyn ServerCertVerifier>,
        known: Arc<KnownChains>,
    ) -> Result<Self, TrustError> {
        let hybrid_first = CryptoProvider {
            cipher_suites: GO_CIPHER_SUITES.to_vec(),
            ..aws_lc_rs::default_provider()
        };
        warm_up(&hybrid_first);
        let classic =
            |group: &&'static dyn SupportedKxGroup| group.name() != NamedGroup::X25519MLKEM768;
        let small = CryptoProvider {
            kx_groups: hybrid_first
                .kx_groups
                .iter()
                .copied()
                .filter(classic)
                .collect(),
            ..hybrid_first.clone()
        };
        Ok(Self {
            connector: connector(hybrid_first, verifier.clone())?,
            small: connector(small, verifier)?,
            known,
        })
    }

    /// Shakes hands over `stream` for `host`, a DNS name or an IP address.
    pub(crate) async fn handshake<S>(
        &self,
        stream: S,
        host: &str,
        deadline: Instant,
    ) -> Result<(TlsStream<S>, Handshake), TlsFault>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = shake(&self.connector, stream, host, deadline).await?;
        let handshake = Handshake::of(stream.get_ref().1, &self.known);
        Ok((stream, handshake))
    }

    /// Whether a hello that fits one packet gets any answer at all.
    pub(crate) async fn answers_small_hello<S>(
        &self,
        stream: S,
        host: &str,
        deadline: Instant,
    ) -> bool
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let shaken = shake(&self.small, stream, host, deadline).await;
        !matches!(shaken, Err(TlsFault::Io(_)))
    }
}

fn connector(
    provider: CryptoProvider,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<TlsConnector, TrustError> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError::Setup(error.to_string()))?
        .dangerous() // no danger: the verifier wraps webpki's, or the node's hosts.toml wants none
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn shake<S>(
    connector: &TlsConnector,
    stream: S,
    host: &str,
    deadline: Instant,
) -> Result<TlsStream<S>, TlsFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| TlsFault::Broken(format!("{host} cannot be named in TLS")))?;
    timeout_at(deadline, connector.connect(name, stream))
        .await
        .map_err(|_| TlsFault::Io(IoFault::Timeout))?
        .map_err(TlsFault::from)
}

/// The first draw of aws-lc's generator costs tens of milliseconds; it must not land in the time
/// of the first handshake.
fn warm_up(provider: &CryptoProvider) {
    let mut bytes = [0; 32];
    // A generator that fails here fails in the handshake too, and is reported there.
    let _ = provider.secure_random.fill(&mut bytes);
}
