//! A registry with one image, healthy except for the paths at which it attacks.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest as sha};
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use super::attack::{Site, Talk, Turn};
use super::speech::{self, say};

pub(crate) const REALM: &str = "https://attacked.registry.example/token";
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Over TLS, request after request.
pub(crate) fn talk(site: &Site, tls: Arc<ServerConfig>) -> Talk {
    let (at, says) = (site.at, site.says.clone());
    let acceptor = TlsAcceptor::from(tls);
    Arc::new(move |stream| {
        let (acceptor, says) = (acceptor.clone(), says.clone());
        Box::pin(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            while let Some(head) = speech::head(&mut stream).await {
                let path = head.split(' ').nth(1).unwrap_or_default();
                let speech = match path.starts_with(at) && (at != "/v2/" || path == at) {
                    true => says.clone(),
                    false => say(sound(path)).listen(),
                };
                let Some(bytes) = speech.in_passing() else {
                    return speech.deliver(stream).await;
                };
                if stream.write_all(bytes).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
        })
    })
}

/// Over TLS, anything.
pub(crate) fn session(turn: &Turn, tls: ServerConfig) -> Talk {
    let (acceptor, turn) = (TlsAcceptor::from(Arc::new(tls)), turn.clone());
    Arc::new(move |stream| {
        let (acceptor, turn) = (acceptor.clone(), turn.clone());
        Box::pin(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                turn(stream).await;
            }
        })
    })
}

fn sound(path: &str) -> String {
    let challenge = format!("Www-Authenticate: {}", bearer(REALM));
    match path.split(['?', '/']).nth(1).unwrap_or_default() {
        "token" => answer("200 OK", &[], r#"{"token":"lab"}"#),
        _ if path.contains("/manifests/") => manifest(),
        _ if path.contains("/blobs/") => answer("206 Partial Content", &[], "x"),
        _ => answer("401 Unauthorized", &[&challenge], "{}"),
    }
}

pub(crate) fn bearer(realm: &str) -> String {
    format!("Bearer realm=\"{realm}\",service=\"attacked.registry.example\"")
}

pub(crate) fn manifest() -> String {
    let digest = digest("config");
    let descriptor = format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":6}}"#);
    let body = format!(r#"{{"schemaVersion":2,"config":{descriptor},"layers":[{descriptor}]}}"#);
    answer(
        "200 OK",
        &[&format!("Content-Type: {MANIFEST_TYPE}")],
        &body,
    )
}

pub(crate) fn digest(content: impl AsRef<[u8]>) -> String {
    let digest = sha(&SHA256, content.as_ref());
    let hex: String = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// An answer with a body of known length.
pub(crate) fn answer(status: &str, headers: &[&str], body: &str) -> String {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}
