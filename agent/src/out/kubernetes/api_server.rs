//! The API server, as a pod reaches it: by the environment, with the token and the authority of the mounted
//! service account, which are read anew for each request, as kubelet replaces them. A connection for each
//! request: there is one every few minutes.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT},
};
use regprobe_probes::{HowToAsk, Nameserver, lookup, read_regular};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use thiserror::Error;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::out::fetch::{FetchError, fetch};

/// Where kubelet mounts the service account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// For a request from the connection to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A node with many images is a tenth of it.
const MAX_ANSWER: usize = 4 << 20;
const MAX_FILE: u64 = 1 << 20;
const AGENT: &str = concat!("regprobe/", env!("CARGO_PKG_VERSION"));

/// A question to a nameserver takes no longer.
const QUESTION: Duration = Duration::from_secs(3);

/// Where it is.
pub(super) struct ApiServer {
    /// An address, unless the cloud has put a name there, as AKS does.
    host: String,
    port: u16,
    /// The node's.
    nameservers: Vec<Arc<Nameserver>>,
}

/// Why a request failed.
#[derive(Debug, Error)]
pub(super) enum ApiError {
    #[error("not in a pod with access to the API server: {0}")]
    NotInPod(&'static str),
    #[error("cannot read {ACCOUNT}/{0}: {1}")]
    File(&'static str, io::Error),
    #[error("{ACCOUNT}/ca.crt has no certificate that can be used")]
    Authority,
    #[error("no nameserver of the node knows the API server, {0}")]
    NoAddress(String),
    #[error("cannot reach the API server at {0}: {1}")]
    Connection(String, io::Error),
    #[error("the API server: {0}")]
    Fetch(#[from] FetchError),
    #[error("the API server says {0}: {1}")]
    Refused(StatusCode, String),
    #[error("the API server's answer is {0}")]
    Answer(&'static str),
    #[error("the request cannot be written")]
    Request,
    #[error("the API server does not answer")]
    Timeout,
}

impl ApiServer {
    /// The one that kubelet names in the environment.
    pub(super) fn of_this_pod(nameservers: Vec<Arc<Nameserver>>) -> Result<Self, ApiError> {
        let of_env = |name| std::env::var(name).ok();
        let host = of_env("KUBERNETES_SERVICE_HOST");
        let port = of_env("KUBERNETES_SERVICE_PORT").and_then(|port| port.parse().ok());
        Ok(Self {
            host: host.ok_or(ApiError::NotInPod("no KUBERNETES_SERVICE_HOST"))?,
            port: port.ok_or(ApiError::NotInPod("no KUBERNETES_SERVICE_PORT"))?,
            nameservers,
        })
    }

    /// Reads an object.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let answer = self
            .send(Method::GET, path, "application/json", None)
            .await?;
        serde_json::from_slice(&answer).map_err(|_| ApiError::Answer("not the object"))
    }

    /// Creates an object.
    pub(super) async fn post(&self, path: &str, object: &Value) -> Result<(), ApiError> {
        let sent = self.send(Method::POST, path, "application/json", Some(object));
        sent.await.map(drop)
    }

    /// Applies an object on the server's side.
    pub(super) async fn apply(&self, path: &str, object: &Value) -> Result<(), ApiError> {
        let kind = "application/apply-patch+yaml";
        self.send(Method::PATCH, path, kind, Some(object))
            .await
            .map(drop)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &'static str,
        object: Option<&Value>,
    ) -> Result<Bytes, ApiError> {
        let token = account_file("token")?;
        let authority = account_file("ca.crt")?;
        let token = token.trim_ascii();
        let mut bearer = HeaderValue::from_bytes(&[b"Bearer ", token].concat())
            .map_err(|_| ApiError::Request)?;
        bearer.set_sensitive(true);
        let body = object.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.host)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, kind)
            .header(AUTHORIZATION, bearer)
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| ApiError::Request)?;
        timeout(TIMEOUT, self.exchange(&authority, request))
            .await
            .map_err(|_| ApiError::Timeout)?
    }

    async fn exchange(
        &self,
        authority: &[u8],
        request: Request<Full<Bytes>>,
    ) -> Result<Bytes, ApiError> {
        let unreachable = |error| ApiError::Connection(self.host.clone(), error);
        let connector = connector(authority)?;
        let name = ServerName::try_from(self.host.clone()).map_err(|_| ApiError::Request)?;
        let stream = connect(self.address().await?).await.map_err(unreachable)?;
        let stream = connector.connect(name, stream).await.map_err(unreachable)?;
        match fetch(stream, request, MAX_ANSWER).await? {
            (status, body) if status.is_success() => Ok(body),
            (status, body) => Err(ApiError::Refused(status, reason(&body))),
        }
    }

    async fn address(&self) -> Result<SocketAddr, ApiError> {
        if let Ok(address) = self.host.parse() {
            return Ok(SocketAddr::new(address, self.port));
        }
        for nameserver in &self.nameservers {
            let lookup = lookup(nameserver, &self.host, HowToAsk::within(QUESTION)).await;
            if let Some(address) = lookup.addresses().next() {
                return Ok(SocketAddr::new(address, self.port));
            }
        }
        Err(ApiError::NoAddress(self.host.clone()))
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.connect(address).await
}

fn account_file(name: &'static str) -> Result<Vec<u8>, ApiError> {
    let file = Path::new(ACCOUNT).join(name);
    read_regular(&file, MAX_FILE).map_err(|error| ApiError::File(name, error))
}

fn connector(authority: &[u8]) -> Result<TlsConnector, ApiError> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(authority).flatten();
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        return Err(ApiError::Authority);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| ApiError::Request)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The message of a `Status`, the object in which the API server says why.
fn reason(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Status {
        message: String,
    }
    let status = serde_json::from_slice(body);
    status.map_or_else(|_| "no reason".to_owned(), |Status { message }| message)
}
