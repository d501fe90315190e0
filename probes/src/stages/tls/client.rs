//! A TLS client for one set of trusted roots, whose ClientHello is like Go's.

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
    client_certificates::ClientCertificates,
    fault::TlsFault,
    go_hello,
    handshake::Handshake,
    known_chains::KnownChains,
    verifier::{DescribingVerifier, NoVerifier},
};
use crate::{
    net::io_fault::IoFault,
    node::trust::{TrustError, TrustStore},
};

/// In the order of Go's `crypto/tls` on a processor with AES instructions.
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

/// The first message of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hello {
    /// As in Go 1.24 and later: the hybrid key share makes it larger than one packet.
    Large,
    /// Classic key shares only: it fits into one packet.
    Small,
}

/// One TLS client configuration, shared by every probe that trusts the same roots.
#[derive(Clone)]
pub(crate) struct TlsClient {
    large: TlsConnector,
    small: TlsConnector,
    known: Arc<KnownChains>,
    made_of: u64,
}

impl TlsClient {
    /// A client that trusts only `roots` and has these certificates to show.
    pub(super) fn new(
        roots: &TrustStore,
        certificates: ClientCertificates,
    ) -> Result<Self, TrustError> {
        let known = Arc::<KnownChains>::default();
        let verifier =
            DescribingVerifier::new(roots, &aws_lc_rs::default_provider(), known.clone());
        Self::with(Arc::new(verifier), known, certificates)
    }

    /// A client that accepts any certificate, as `skip_verify` in a hosts.toml asks for.
    pub(super) fn trusting_anyone(certificates: ClientCertificates) -> Result<Self, TrustError> {
        let verifier = NoVerifier::new(&aws_lc_rs::default_provider());
        Self::with(Arc::new(verifier), Arc::default(), certificates)
    }

    fn with(
        verifier: Arc<dyn ServerCertVerifier>,
        known: Arc<KnownChains>,
        certificates: ClientCertificates,
    ) -> Result<Self, TrustError> {
        let certificates = Arc::new(certificates);
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
            made_of: 0,
            large: connector(hybrid_first, verifier.clone(), certificates.clone())?,
            small: connector(small, verifier, certificates)?,
            known,
        })
    }

    /// The cipher suite that the peer of `stream` agrees to, if this client has it not and Go's has, or `with_former`
    /// had it once.
    pub(crate) async fn unspoken_suite<S>(
        &self,
        stream: &mut S,
        host: &str,
        with_former: bool,
        deadline: Instant,
    ) -> Option<&'static str>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let random = self.small.config().crypto_provider().secure_random;
        go_hello::unspoken_suite(stream, host, with_former, random, deadline).await
    }

    /// The same, made of files with this digest.
    pub(super) fn of_files(self, made_of: u64) -> Self {
        Self { made_of, ..self }
    }

    /// A digest of the files of `hosts.toml` that it is made of.
    pub(crate) fn made_of(&self) -> u64 {
        self.made_of
    }

    /// Performs the handshake over `stream` for `host`, a DNS name or an IP address.
    pub(crate) async fn handshake<S>(
        &self,
        hello: Hello,
        stream: S,
        host: &str,
        deadline: Instant,
    ) -> Result<(TlsStream<S>, Handshake), TlsFault>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = match hello {
            Hello::Large => &self.large,
            Hello::Small => &self.small,
        };
        let stream = shake(connector, stream, host, deadline).await?;
        let handshake = Handshake::of(stream.get_ref().1, &self.known);
        Ok((stream, handshake))
    }
}

fn connector(
    provider: CryptoProvider,
    verifier: Arc<dyn ServerCertVerifier>,
    certificates: Arc<ClientCertificates>,
) -> Result<TlsConnector, TrustError> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError::Setup(error.to_string()))?
        .dangerous() // no danger: the verifier has Go's rules, or the node's hosts.toml wants none
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(certificates);
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
        .map_err(|_| TlsFault::Broken(format!("{host} is not a valid TLS server name")))?;
    timeout_at(deadline, connector.connect(name, stream))
        .await
        .map_err(|_| TlsFault::Io(IoFault::Timeout))?
        .map_err(TlsFault::from)
}

/// The first random number from aws-lc costs tens of milliseconds, which must not count as part of the
/// first handshake.
fn warm_up(provider: &CryptoProvider) {
    let mut bytes = [0; 32];
    // If the generator fails here, it fails in the handshake too and is reported there.
    let _ = provider.secure_random.fill(&mut bytes);
}
