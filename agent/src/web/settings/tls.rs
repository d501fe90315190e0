//! `tls_server_config`: what the web server presents to clients, and what it requires from them.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use serde::Deserialize;
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{
    error::{SettingsError, TlsError},
    sources::FileReader,
};

/// TLS for a connection.
pub(crate) struct TlsSettings {
    /// Turns an accepted stream into a TLS stream.
    pub acceptor: TlsAcceptor,
    /// If a client has to present a certificate.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// A client's certificate must have one of these, if there are any.
    allowed_sans: Vec<String>,
}

impl TlsSettings {
    /// Whether a client with these certificates may send requests.
    pub(crate) fn admits(&self, certificates: &[CertificateDer<'_>]) -> bool {
        let Some(verifier) = &self.verifier else {
            return true;
        };
        let Some((leaf, others)) = certificates.split_first() else {
            return false;
        };
        // The handshake may be long ago, and its settings older than these.
        let verified = verifier.verify_client_cert(leaf, others, UnixTime::now());
        let is_named = |san: &String| self.allowed_sans.contains(san);
        verified.is_ok() && (self.allowed_sans.is_empty() || sans(leaf).iter().any(is_named))
    }
}

/// As it was typed.
#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys cert_file and key_file"
)]
pub(super) struct TlsFile {
    cert: Option<String>,
    key: Option<String>,
    client_ca: Option<String>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    client_ca_file: Option<PathBuf>,
    client_auth_type: Option<String>,
    client_allowed_sans: Vec<String>,
    min_version: Option<String>,
    max_version: Option<String>,
    cipher_suites: Vec<String>,
    prefer_server_cipher_suites: Option<bool>,
    curve_preferences: Vec<String>,
}

/// What clients have to present.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientAuth {
    Nothing,
    /// For every request except the kubelet's, which has none.
    IfGiven,
    /// For every connection.
    Required,
}

impl TlsFile {
    /// The settings; reads the files that they name.
    pub(super) fn settings(self, files: &mut FileReader<'_>) -> Result<TlsSettings, SettingsError> {
        let mut pem = |name, text, file| pem(name, text, file, files);
        let cert = pem("cert", self.cert, self.cert_file)?.ok_or(TlsError::Missing("cert"))?;
        let key = pem("key", self.key, self.key_file)?.ok_or(TlsError::Missing("key"))?;
        let client_ca = pem("client_ca", self.client_ca, self.client_ca_file)?;
        let client_auth = client_auth(self.client_auth_type.as_deref(), client_ca.is_some())?;
        if !self.client_allowed_sans.is_empty() && client_auth == ClientAuth::Nothing {
            return Err(TlsError::SansOfNobody.into());
        }
        let provider = provider(&self.cipher_suites, &self.curve_preferences)?;
        let versions = versions(self.min_version.as_deref(), self.max_version.as_deref())?;
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions)
            .map_err(TlsError::Unusable)?;
        let verifier: Option<Arc<dyn ClientCertVerifier>> = match client_auth {
            ClientAuth::Nothing => None,
            how => {
                let roots = roots(&client_ca.unwrap_or_default())?;
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                let verifier = match how {
                    ClientAuth::IfGiven => verifier.allow_unauthenticated(),
                    _ => verifier,
                };
                let verifier = verifier.build();
                let verifier = verifier.map_err(|error| TlsError::ClientCa(error.to_string()))?;
                Some(verifier)
            }
        };
        let builder = match &verifier {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
        };
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| TlsError::NoKey)?;
        let mut config = builder
            .with_single_cert(certificates("cert", &cert)?, key)
            .map_err(TlsError::Unusable)?;
        config.ignore_client_order = self.prefer_server_cipher_suites.unwrap_or(true);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // No session is kept after its connection.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(TlsSettings {
            acceptor: Arc::new(config).into(),
            verifier,
            allowed_sans: self.client_allowed_sans,
        })
    }
}

fn pem(
    name: &'static str,
    text: Option<String>,
    file: Option<PathBuf>,
    files: &mut FileReader<'_>,
) -> Result<Option<Vec<u8>>, SettingsError> {
    match (text, file) {
        (Some(_), Some(_)) => Err(TlsError::Twice(name).into()),
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, Some(file)) => {
            let key = match name {
                "cert" => "tls_server_config.cert_file",
                "key" => "tls_server_config.key_file",
                _ => "tls_server_config.client_ca_file",
            };
            files.read(key, &file).map(Some)
        }
        (None, None) => Ok(None),
    }
}

/// Source of the names: Go's `crypto/tls`, `ClientAuthType`.
fn client_auth(typed: Option<&str>, has_ca: bool) -> Result<ClientAuth, TlsError> {
    let auth = match typed.unwrap_or_default() {
        "" | "NoClientCert" => ClientAuth::Nothing,
        "VerifyClientCertIfGiven" => ClientAuth::IfGiven,
        "RequireAndVerifyClientCert" => ClientAuth::Required,
        "RequestClientCert" | "RequireAnyClientCert" => {
            let why = "this type verifies nothing; write RequireAndVerifyClientCert";
            return Err(TlsError::ClientAuth(why));
        }
        _ => {
            return Err(TlsError::ClientAuth(
                "write NoClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert",
            ));
        }
    };
    match (auth, has_ca) {
        (ClientAuth::Nothing, true) => Err(TlsError::ClientAuth(
            "client_ca is set, but no certificate is requested; write RequireAndVerifyClientCert",
        )),
        (ClientAuth::IfGiven | ClientAuth::Required, false) => Err(TlsError::ClientAuth(
            "there is no CA to verify with; write client_ca_file",
        )),
        _ => Ok(auth),
    }
}

fn versions(
    min: Option<&str>,
    max: Option<&str>,
) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let place = |key, typed: Option<&str>, default| match typed.unwrap_or_default() {
        "" => Ok(default),
        "TLS12" => Ok(0),
        "TLS13" => Ok(1),
        other => Err(TlsError::Version {
            key,
            value: other.to_owned(),
        }),
    };
    let (min, max) = (place("min_version", min, 0)?, place("max_version", max, 1)?);
    let versions = [&TLS12, &TLS13];
    match versions.get(min..=max) {
        Some(versions) if !versions.is_empty() => Ok(versions.to_vec()),
        _ => Err(TlsError::NoVersion),
    }
}

/// The list does not apply to TLS 1.3, which has other cipher suites.
fn provider(suites: &[String], groups: &[String]) -> Result<Arc<CryptoProvider>, TlsError> {
    let mut provider = aws_lc_rs::default_provider();
    if !suites.is_empty() {
        let all = std::mem::take(&mut provider.cipher_suites);
        let (old, new): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|suite| suite.tls13().is_none());
        let named: Vec<_> = old
            .into_iter()
            .map(|s| (format!("{:?}", s.suite()), s))
            .collect();
        provider.cipher_suites = new;
        provider
            .cipher_suites
            .extend(chosen("cipher_suites", suites, &named)?);
    }
    if !groups.is_empty() {
        let all = std::mem::take(&mut provider.kx_groups);
        let name = |name: String| match &*name {
            "secp256r1" => "CurveP256".to_owned(),
            "secp384r1" => "CurveP384".to_owned(),
            _ => name,
        };
        let named = all
            .into_iter()
            .map(|g| (name(format!("{:?}", g.name())), g));
        let named: Vec<_> = named.collect();
        provider.kx_groups = chosen("curve_preferences", groups, &named)?;
    }
    Ok(Arc::new(provider))
}

/// The named values, in the order given.
fn chosen<T: Copy>(
    key: &'static str,
    typed: &[String],
    there: &[(String, T)],
) -> Result<Vec<T>, TlsError> {
    let choose = |typed: &String| {
        let found = there.iter().find(|(name, _)| name == typed);
        found
            .map(|(_, what)| *what)
            .ok_or_else(|| TlsError::Unknown {
                key,
                value: typed.clone(),
                there: there
                    .iter()
                    .map(|(name, _)| &**name)
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    };
    typed.iter().map(choose).collect()
}

fn certificates(name: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    certificates
        .ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or(TlsError::NoCertificate(name))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client_ca", pem)? {
        let added = roots.add(certificate);
        added.map_err(|error| TlsError::ClientCa(error.to_string()))?;
    }
    Ok(roots)
}

/// The subject alternative names, as Go's `x509.Certificate` formats them.
fn sans(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let Ok(Some(extension)) = parsed.subject_alternative_name() else {
        return Vec::new();
    };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            Some((*text).to_owned())
        }
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(v4) => Some(std::net::Ipv4Addr::from(v4).to_string()),
            Err(_) => {
                let v6 = <[u8; 16]>::try_from(*bytes).ok()?;
                Some(std::net::Ipv6Addr::from(v6).to_string())
            }
        },
        _ => None,
    };
    extension
        .value
        .general_names
        .iter()
        .filter_map(text)
        .collect()
}
