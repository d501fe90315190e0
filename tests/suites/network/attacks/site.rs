//! A registry with one image, healthy except for the paths at which it attacks.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest as sha};
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use super::attack::{Site, Talk, Turn};
use super::speech::{self, say};

pub(crate) const REALM: &str = "https://attacked.registry.example/token";
/// Where challenges are.
pub(crate) const CHALLENGES: &str = "challenges";
/// Where the layer is.
pub(crate) const LAYER: &str = "layer";
/// So large that its download is measured.
pub(crate) const LAYER_SIZE: usize = 1 << 20;
pub(crate) const CONFIG: &str = r#"{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#;
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
                let speech = match is_attacked(at, path, &head) {
                    true => says.clone(),
                    false => say(sound(path, &head)).listen(),
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

/// Whether the request is one for `at`: a path, or a method and a path. A challenge of `/v2/` is also that of its
/// manifests.
fn is_attacked(at: &str, path: &str, head: &str) -> bool {
    if let Some((method, at)) = at.split_once(' ') {
        return head.starts_with(method) && is_attacked(at, path, head);
    }
    match at {
        "/v2/" => path == at,
        LAYER => path.ends_with(&digest(LAYER)) && has_token(head),
        CHALLENGES => path == "/v2/" || path.contains("/manifests/") && !has_token(head),
        prefix => path.starts_with(prefix) && (prefix == "/token" || has_token(head)),
    }
}

fn has_token(head: &str) -> bool {
    head.to_lowercase().contains("\r\nauthorization: ")
}

fn sound(path: &str, head: &str) -> String {
    let answer = match path.split(['?', '/']).nth(1).unwrap_or_default() {
        "token" => answer("200 OK", &[], r#"{"token":"lab"}"#),
        _ if !has_token(head) => {
            let challenge = format!("Www-Authenticate: {}", bearer(REALM));
            answer("401 Unauthorized", &[&challenge], "{}")
        }
        _ if path.ends_with(&digest(CONFIG)) => answer("200 OK", &[], CONFIG),
        _ if path.contains("/blobs/") => match last_asked_for(head) {
            Some(last) => {
                let range = format!("Content-Range: bytes 0-{last}/{LAYER_SIZE}");
                answer("206 Partial Content", &[&range], &"l".repeat(last + 1))
            }
            None => answer("200 OK", &[], &"l".repeat(LAYER_SIZE)),
        },
        _ => manifest(),
    };
    match head.starts_with("HEAD ") {
        true => answer
            .split_inclusive("\r\n\r\n")
            .next()
            .unwrap_or_default()
            .to_owned(),
        false => answer,
    }
}

/// The last byte of the part that a request asks for, if it asks for one.
fn last_asked_for(head: &str) -> Option<usize> {
    let head = head.to_lowercase();
    let (_, range) = head.split_once("\r\nrange: bytes=0-")?;
    range.lines().next()?.trim().parse().ok()
}

pub(crate) fn bearer(realm: &str) -> String {
    format!("Bearer realm=\"{realm}\",service=\"attacked.registry.example\"")
}

pub(crate) fn manifest() -> String {
    manifest_with(CONFIG.len())
}

/// Its configuration is said to be this large.
pub(crate) fn manifest_with(size: usize) -> String {
    let entry = |kind: &str, content: &str, size: usize| {
        let digest = digest(content);
        format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size}}}"#)
    };
    let config = entry("application/vnd.oci.image.config.v1+json", CONFIG, size);
    let layer = entry("application/vnd.oci.image.layer.v1.tar", LAYER, LAYER_SIZE);
    let body = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
    let named = format!("Docker-Content-Digest: {}", digest(&body));
    let kind = format!("Content-Type: {MANIFEST_TYPE}");
    answer("200 OK", &[&kind, &named], &body)
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
