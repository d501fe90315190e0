//! One question for a document, with the credentials and over the TLS that the configuration says. What comes back
//! is untrusted: it has a cap, and nobody follows a redirect, so credentials go to the configured server alone.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST, HeaderValue, USER_AGENT},
};
use regprobe_probes::{Root, TrustError, TrustStore, read_regular};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use thiserror::Error;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::{
    config::{ClientTls, Config, HttpClient},
    out::fetch::{FetchError, fetch},
};

const AGENT: &str = concat!("regprobe/", env!("CARGO_PKG_VERSION"));
const MAX_FILE: u64 = 1 << 20;

/// Where the roots are that this node trusts.
#[derive(Clone)]
pub(super) struct NodeTrust {
    root: Root,
    ca_file: Option<PathBuf>,
}

impl NodeTrust {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            root: Root::at(config.node.root.clone()),
            ca_file: config.tls.ca_file.clone(),
        }
    }
}

/// How to ask.
pub(super) struct Transport {
    tls: Option<(TlsConnector, Option<ServerName<'static>>)>,
    authorization: Option<HeaderValue>,
}

/// Why nobody can be asked.
#[derive(Debug, Error)]
pub(super) enum SetupError {
    #[error("cannot read {0}: {1}")]
    File(PathBuf, io::Error),
    #[error("{0} has nothing that can be used")]
    Content(PathBuf),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Why there is no document.
#[derive(Debug, Error)]
pub(super) enum AskError {
    #[error("{0}")]
    Dial(io::Error),
    #[error("TLS: {0}")]
    Handshake(io::Error),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("it answers with status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("its URL cannot be asked")]
    Url,
}

impl Transport {
    /// Reads certificates, password and token, which may change. Without a `ca_file` it trusts what the node trusts.
    pub(super) fn load(
        client: &HttpClient,
        is_https: bool,
        node: &NodeTrust,
    ) -> Result<Self, SetupError> {
        let authorization = match (&client.basic_auth, &client.authorization) {
            (Some(basic), _) => {
                let password = secret(&basic.password_file)?;
                let pair = [basic.username.as_str().as_bytes(), b":", &password].concat();
                let text = format!("Basic {}", BASE64_STANDARD.encode(pair));
                Some(header(text.as_bytes(), &basic.password_file)?)
            }
            (None, Some(bearer)) => {
                let file = &bearer.credentials_file;
                let token = secret(file)?;
                Some(header(&[b"Bearer ", &*token].concat(), file)?)
            }
            (None, None) => None,
        };
        let tls = is_https.then(|| tls(&client.tls_config, node));
        Ok(Self {
            tls: tls.transpose()?,
            authorization,
        })
    }

    /// What the server at this address answers for `url`, up to `max` bytes.
    pub(super) async fn get(
        &self,
        at: SocketAddr,
        url: &Url,
        max: usize,
    ) -> Result<Bytes, AskError> {
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let mut request = Request::get(target)
            .header(HOST, url.authority())
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "application/json")
            .header(CONNECTION, "close")
            .body(Full::new(Bytes::new()))
            .map_err(|_| AskError::Url)?;
        if let Some(authorization) = &self.authorization {
            request
                .headers_mut()
                .insert(AUTHORIZATION, authorization.clone());
        }
        let stream = dial(at).await.map_err(AskError::Dial)?;
        let (status, body) = match &self.tls {
            Some((connector, name)) => {
                let name = name.clone().or_else(|| name_in(url)).ok_or(AskError::Url)?;
                let stream = connector.connect(name, stream).await;
                fetch(stream.map_err(AskError::Handshake)?, request, max).await?
            }
            None => fetch(stream, request, max).await?,
        };
        match status {
            StatusCode::OK => Ok(body),
            _ => Err(AskError::Status(status)),
        }
    }
}

async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    socket?.connect(address).await
}

/// The name that a certificate must have for this URL.
fn name_in(url: &Url) -> Option<ServerName<'static>> {
    Some(match url.host()? {
        Host::Domain(name) => ServerName::try_from(name.trim_end_matches('.').to_owned()).ok()?,
        Host::Ipv4(address) => ServerName::IpAddress(address.into()),
        Host::Ipv6(address) => ServerName::IpAddress(address.into()),
    })
}

fn tls(
    config: &ClientTls,
    node: &NodeTrust,
) -> Result<(TlsConnector, Option<ServerName<'static>>), SetupError> {
    let mut roots = RootCertStore::empty();
    match &config.ca_file {
        Some(path) => {
            let bundle = file(path)?;
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&bundle).flatten());
            if roots.is_empty() {
                return Err(SetupError::Content(path.clone()));
            }
        }
        None => {
            let trusted = TrustStore::load(&node.root, node.ca_file.as_deref())?;
            roots.add_parsable_certificates(trusted.certificates().cloned());
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let client = match (&config.cert_file, &config.key_file) {
        (Some(cert_file), Some(key_file)) => {
            let chain = file(cert_file)?;
            let chain = CertificateDer::pem_slice_iter(&chain).flatten().collect();
            let key = PrivateKeyDer::from_pem_slice(&file(key_file)?);
            let key = key.map_err(|_| SetupError::Content(key_file.clone()))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|_| SetupError::Content(cert_file.clone()))?
        }
        _ => builder.with_no_client_auth(),
    };
    let name = config.server_name.as_ref();
    let name = name.and_then(|name| ServerName::try_from(name.as_str().to_owned()).ok());
    Ok((TlsConnector::from(Arc::new(client)), name))
}

/// A file's content without the line break at its end.
fn secret(path: &Path) -> Result<Vec<u8>, SetupError> {
    match file(path)?.trim_ascii_end() {
        [] => Err(SetupError::Content(path.to_owned())),
        content => Ok(content.to_vec()),
    }
}

fn file(path: &Path) -> Result<Vec<u8>, SetupError> {
    read_regular(path, MAX_FILE).map_err(|error| SetupError::File(path.to_owned(), error))
}

fn header(value: &[u8], path: &Path) -> Result<HeaderValue, SetupError> {
    let value = HeaderValue::from_bytes(value);
    let mut value = value.map_err(|_| SetupError::Content(path.to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
