//! A token service for the real registry, since Debian has none: it signs tokens as the
//! distribution's token authentication wants them, for anonymous pulls of chosen repositories.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time;

use crate::addresses;
use crate::background::Background;
use crate::fakes::http::{Framing, Request, Response};
use crate::pki::{Identity, Pki};

/// How long a token is good for, in seconds.
const LIFETIME: i64 = 300;

/// How long an idle client is borne with.
const IDLE: Duration = Duration::from_secs(60);

/// A running token service; it ends when dropped.
pub struct TokenServer {
    addr: SocketAddr,
    realm: String,
    pki: Pki,
    desk: Arc<Desk>,
    _server: Background,
}

/// Who may have what, and the key to sign it with.
struct Desk {
    signer: Identity,
    granted: Mutex<BTreeSet<String>>,
}

impl TokenServer {
    /// A service of plain HTTP that grants nothing yet.
    pub fn start(at: impl Into<SocketAddr>) -> Result<Self> {
        let addr = addresses::with_port(at.into())?;
        let pki = Pki::new()?;
        let desk = Arc::new(Desk {
            signer: pki.leaf(["token.lab.example"]).issue()?,
            granted: Mutex::default(),
        });
        let served = Arc::clone(&desk);
        let server = Background::accepting("lab-token", addr, move |stream| {
            serve(Arc::clone(&served), stream)
        })?;
        Ok(Self {
            addr,
            realm: format!("http://{addr}/token"),
            pki,
            desk,
            _server: server,
        })
    }

    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its realm is that of a TLS front, a host with its port.
    #[must_use]
    pub fn behind(mut self, front: &str) -> Self {
        self.realm = format!("https://{front}/token");
        self
    }

    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    #[must_use]
    pub fn service(&self) -> &'static str {
        SERVICE
    }

    #[must_use]
    pub fn issuer(&self) -> &'static str {
        ISSUER
    }

    /// The authority behind the signing key: the registry's `rootcertbundle`.
    #[must_use]
    pub fn issuer_pem(&self) -> String {
        self.pki.ca_pem()
    }

    /// Lets everybody pull this repository.
    pub fn grant(&self, repository: &str) -> &Self {
        self.desk.granted().insert(repository.to_owned());
        self
    }

    /// Lets nobody pull this repository.
    pub fn deny(&self, repository: &str) -> &Self {
        self.desk.granted().remove(repository);
        self
    }

    /// A token for these actions, whatever is granted.
    pub fn token(&self, repository: &str, actions: &[&str]) -> Result<String> {
        self.desk.sign(&[access(repository, actions)])
    }
}

const SERVICE: &str = "lab-registry";
const ISSUER: &str = "lab-issuer";

async fn serve(desk: Arc<Desk>, stream: TcpStream) -> Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = time::timeout(IDLE, Request::read(&mut stream)).await?? {
        let response = desk.respond(&request);
        stream
            .write_all(&response.encode(&request.method, Framing::Length))
            .await?;
        if request.is_last {
            break;
        }
    }
    Ok(())
}

impl Desk {
    fn granted(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.granted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn respond(&self, request: &Request) -> Response {
        if request.path() != "/token" {
            return Response::new(404);
        }
        let scope = request.parameter("scope").unwrap_or_default();
        let access = match scope.split(':').collect::<Vec<_>>()[..] {
            ["repository", repository, "pull"] if self.granted().contains(repository) => {
                vec![access(repository, &["pull"])]
            }
            // Without a scope, a token is good for `GET /v2/`.
            [""] => Vec::new(),
            _ => return Response::new(401).json(&json!({"details": "access denied"})),
        };
        match self.sign(&access) {
            Ok(token) => Response::new(200).json(&json!({"token": token, "expires_in": LIFETIME})),
            Err(error) => Response::new(500).body("text/plain", error.to_string()),
        }
    }

    /// A JSON Web Token with its certificate in the header, as the distribution's "Docker Registry
    /// v2 authentication via central service" specifies.
    fn sign(&self, access: &[Value]) -> Result<String> {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let certificate = self.signer.chain_der().first().context("no certificate")?;
        let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(certificate)]});
        let now = Timestamp::now().as_second();
        let claims = json!({
            "iss": ISSUER,
            "sub": "",
            "aud": SERVICE,
            "iat": now,
            "nbf": now - 10,
            "exp": now + LIFETIME,
            "jti": SERIAL.fetch_add(1, Ordering::Relaxed).to_string(),
            "access": access,
        });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let key = self.signer.key_der();
        let signature =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_der())
                .map_err(|rejected| anyhow!("a key that is none: {rejected}"))?
                .sign(&SystemRandom::new(), signed.as_bytes())
                .map_err(|_| anyhow!("failed to sign"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn access(repository: &str, actions: &[&str]) -> Value {
    json!({"type": "repository", "name": repository, "actions": actions})
}
