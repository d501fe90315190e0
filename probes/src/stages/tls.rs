//! The stage `tls`: one handshake as the node's own client does it, hybrid key share first, ALPN,
//! no resumption, strict verification. A chain that is refused is still described.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, ClientConnection, InvalidMessage, NamedGroup, PeerIncompatible,
    SupportedCipherSuite,
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

pub use self::{
    chain::{Certificate, CertificateProblem, Chain},
    clients::TlsClients,
};
use self::{
    known_chains::KnownChains,
    verifier::{DescribingVerifier, NoVerifier, RefusedChain},
};
use crate::{
    net::{allowance::Exhausted, io_fault::IoFault},
    node::trust::{TrustError, TrustStore},
    words::reason::Reason,
};

mod chain;
mod clients;
mod known_chains;
mod verifier;

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

/// What a completed handshake settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// As the field writes it: `TLS1.3`.
    pub version: &'static str,
    /// The cipher suite's IANA name.
    pub cipher: &'static str,
    /// The key exchange group's name.
    pub group: &'static str,
    /// The peer's chain, as verified.
    pub chain: Arc<Chain>,
}

impl Handshake {
    fn of(connection: &ClientConnection, known: &KnownChains) -> Self {
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
        }
    }
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// The socket's fault.
    #[error(transparent)]
    Io(#[from] IoFault),
    /// A hello of more than one packet gets no answer, a small one does.
    #[error("no answer to a hello larger than one packet; a small one is answered")]
    LargeHello,
    /// The chain was refused.
    #[error("{problem}")]
    Certificate {
        /// What is wrong with it.
        problem: CertificateProblem,
        /// What the peer presented.
        chain: Chain,
    },
    /// The node's own trust settings cannot be used.
    #[error("{0}")]
    Trust(String),
    /// No version or parameter in common.
    #[error("no common TLS version or parameters ({0})")]
    Version(String),
    /// The peer said no.
    #[error("the peer ended the handshake with the alert {0}")]
    Alert(String),
    /// What came back is not TLS, or breaks it.
    #[error("the peer does not speak TLS here ({0})")]
    Broken(String),
}

impl TlsFault {
    /// The reason that this fault counts as.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Io(fault) => fault.reason(),
            Self::LargeHello => Reason::Timeout,
            Self::Trust(_) => Reason::BadCertificate,
            Self::Certificate { problem, .. } => problem.reason(),
            Self::Version(_) => Reason::Version,
            Self::Alert(_) => Reason::Alert,
            Self::Broken(_) => Reason::NotTls,
        }
    }
}

impl From<io::Error> for TlsFault {
    fn from(error: io::Error) -> Self {
        if Exhausted::is_in(&error) {
            return Self::Broken("the handshake does not end".to_owned());
        }
        let cause = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        cause.map_or_else(|| Self::Io(IoFault::from(&error)), Self::from)
    }
}

impl From<&rustls::Error> for TlsFault {
    fn from(error: &rustls::Error) -> Self {
        use rustls::{AlertDescription, Error};
        match error {
            Error::InvalidCertificate(refusal) => match RefusedChain::inside(refusal) {
                Some(RefusedChain { problem, chain }) => Self::Certificate {
                    problem: problem.clone(),
                    chain: chain.clone(),
                },
                None => Self::Certificate {
                    problem: CertificateProblem::Bad(error.to_string()),
                    chain: Chain::default(),
                },
            },
            Error::NoCertificatesPresented => Self::Certificate {
                problem: CertificateProblem::Bad("no certificate presented".to_owned()),
                chain: Chain::default(),
            },
            Error::AlertReceived(AlertDescription::ProtocolVersion) => {
                Self::Version("the peer's alert protocol_version".to_owned())
            }
            Error::AlertReceived(alert) => Self::Alert(alert_name(*alert)),
            Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => Self::Version("the peer offers neither TLS 1.2 nor 1.3".to_owned()),
            Error::PeerIncompatible(why) => Self::Version(format!("{why:?}")),
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                Self::Broken("the first bytes are no TLS record".to_owned())
            }
            Error::InvalidMessage(
                InvalidMessage::CertificatePayloadTooLarge
                | InvalidMessage::HandshakePayloadTooLarge,
            ) => Self::Certificate {
                problem: CertificateProblem::Bad(
                    "the chain is larger than any client takes".into(),
                ),
                chain: Chain::default(),
            },
            Error::FailedToGetRandomBytes | Error::FailedToGetCurrentTime => {
                Self::Io(IoFault::Local(crate::net::io_fault::Errno(0)))
            }
            other => Self::Broken(other.to_string()),
        }
    }
}

/// The first draw of aws-lc's generator costs tens of milliseconds; it must not land in the time
/// of the first handshake.
fn warm_up(provider: &CryptoProvider) {
    let mut bytes = [0; 32];
    // A generator that fails here fails in the handshake too, and is reported there.
    let _ = provider.secure_random.fill(&mut bytes);
}

fn group_name(group: NamedGroup) -> &'static str {
    group.as_str().unwrap_or("unknown")
}

/// RFC 8446, section 6: `HandshakeFailure` is `handshake_failure`.
fn alert_name(alert: rustls::AlertDescription) -> String {
    let mut name = String::new();
    for letter in format!("{alert:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}
