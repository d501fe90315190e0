//! One agent, asked for its summary. What it sends is untrusted: it has a cap, it is no markup and no redirect,
//! and what it says is only shown.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST, HeaderValue, USER_AGENT},
};
use regprobe_probes::read_regular;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use thiserror::Error;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    config::{FleetClient, PeerScheme, PeerTls},
    out::{
        fetch::{FetchError, fetch},
        summary::{self, MAX_BYTES, Summary},
    },
};

/// From the dial to the end of the answer.
const DEADLINE: Duration = Duration::from_millis(1500);
const PATH: &str = "/api/v1/summary";
const AGENT: &str = concat!("regprobe/", env!("CARGO_PKG_VERSION"));
const MAX_FILE: u64 = 1 << 20;

/// How to ask.
pub(super) struct PeerClient {
    tls: Option<(TlsConnector, Option<ServerName<'static>>)>,
    authorization: Option<HeaderValue>,
}

/// Why nobody can be asked.
#[derive(Debug, Error)]
pub(super) enum ClientError {
    #[error("cannot read {0}: {1}")]
    File(String, io::Error),
    #[error("{0} has nothing that can be used")]
    Content(String),
}

/// Why an agent gave no summary.
#[derive(Debug, Error)]
enum AskError {
    #[error("{0}")]
    Dial(io::Error),
    #[error("TLS: {0}")]
    Handshake(io::Error),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("it answers with status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("its answer is not a summary")]
    Answer,
    #[error("nothing within {} s", DEADLINE.as_secs_f64())]
    Timeout,
}

impl PeerClient {
    /// Reads certificates, password and token, which may change.
    pub(super) fn load(config: &FleetClient) -> Result<Self, ClientError> {
        let tls = match config.scheme {
            PeerScheme::Http => None,
            PeerScheme::Https => Some(tls(&config.tls_config)?),
        };
        let authorization = match (&config.basic_auth, &config.authorization) {
            (Some(basic), _) => {
                let password = secret(&basic.password_file)?;
                let pair = [basic.username.as_str().as_bytes(), b":", &password].concat();
                let text = format!("Basic {}", BASE64_STANDARD.encode(pair));
                Some(header(text.as_bytes(), &basic.password_file)?)
            }
            (None, Some(bearer)) => {
                let token = secret(&bearer.credentials_file)?;
                Some(header(
                    &[b"Bearer ", &*token].concat(),
                    &bearer.credentials_file,
                )?)
            }
            (None, None) => None,
        };
        Ok(Self { tls, authorization })
    }

    /// The summary of the agent at this address, or why there is none.
    pub(super) async fn ask(&self, address: SocketAddr) -> Result<Summary, String> {
        let answer = timeout(DEADLINE, self.exchange(address)).await;
        let answer = answer.unwrap_or(Err(AskError::Timeout));
        answer.map_err(|error| error.to_string())
    }

    async fn exchange(&self, address: SocketAddr) -> Result<Summary, AskError> {
        let mut request = Request::get(PATH)
            .header(HOST, address.to_string())
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "application/json")
            .header(CONNECTION, "close")
            .body(Full::new(Bytes::new()))
            .expect("a request of our own texts is valid");
        if let Some(authorization) = &self.authorization {
            request
                .headers_mut()
                .insert(AUTHORIZATION, authorization.clone());
        }
        let stream = dial(address).await.map_err(AskError::Dial)?;
        let (status, body) = match &self.tls {
            Some((connector, name)) => {
                let name = name
                    .clone()
                    .unwrap_or_else(|| ServerName::IpAddress(address.ip().into()));
                let stream = connector
                    .connect(name, stream)
                    .await
                    .map_err(AskError::Handshake)?;
                fetch(stream, request, MAX_BYTES).await?
            }
            None => fetch(stream, request, MAX_BYTES).await?,
        };
        if status != StatusCode::OK {
            return Err(AskError::Status(status));
        }
        summary::read(&body).ok_or(AskError::Answer)
    }
}

/// A connection to this address.
pub(super) async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    socket?.connect(address).await
}

fn tls(config: &PeerTls) -> Result<(TlsConnector, Option<ServerName<'static>>), ClientError> {
    let unusable = |path: &Path| ClientError::Content(path.display().to_string());
    let mut roots = RootCertStore::empty();
    let authority = config.ca_file.as_deref().unwrap_or_else(|| Path::new(""));
    let bundle = file(authority)?;
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&bundle).flatten());
    if roots.is_empty() {
        return Err(unusable(authority));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| unusable(authority))?
        .with_root_certificates(roots);
    let client = match (&config.cert_file, &config.key_file) {
        (Some(cert_file), Some(key_file)) => {
            let chain = file(cert_file)?;
            let chain = CertificateDer::pem_slice_iter(&chain).flatten().collect();
            let key = PrivateKeyDer::from_pem_slice(&file(key_file)?);
            let key = key.map_err(|_| unusable(key_file))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|_| unusable(cert_file))?
        }
        _ => builder.with_no_client_auth(),
    };
    let name = config.server_name.as_ref();
    let name = name.and_then(|name| ServerName::try_from(name.as_str().to_owned()).ok());
    Ok((TlsConnector::from(Arc::new(client)), name))
}

/// A file's content without the line break at its end.
fn secret(path: &Path) -> Result<Vec<u8>, ClientError> {
    Ok(file(path)?.trim_ascii_end().to_vec())
}

fn file(path: &Path) -> Result<Vec<u8>, ClientError> {
    read_regular(path, MAX_FILE)
        .map_err(|error| ClientError::File(path.display().to_string(), error))
}

fn header(value: &[u8], path: &Path) -> Result<HeaderValue, ClientError> {
    let value = HeaderValue::from_bytes(value);
    let mut value = value.map_err(|_| ClientError::Content(path.display().to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}
