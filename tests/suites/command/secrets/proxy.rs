//! Who gets the password of an HTTPS proxy: only a proxy that the node trusts. For a host with `skip_verify`
//! any proxy gets it, as from containerd: Go's client has one TLS configuration for a host and the way there.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use regprobe_harness::ground::Ground;
use regprobe_harness::program::regprobe;
use regprobe_lab::addresses::loopback;
use regprobe_lab::pki::self_signed;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{CREDENTIALS, PASSWORD};

pub(super) fn impostor() -> Result<()> {
    let ground = Ground::new()?;
    let config = ground.config(&[&ground.contoso_entry()])?;
    let address = loopback();
    let listener = TcpListener::bind((address, 0))?;
    let port = listener.local_addr()?.port();
    let tls = self_signed([address.to_string()])
        .issue()?
        .server_config()?;
    let heads = heads_of(listener, tls);
    let check = || {
        regprobe(["check"])
            .arg(format!("--config.file={}", config.display()))
            .env(
                "HTTPS_PROXY",
                format!("https://agent:{PASSWORD}@{address}:{port}"),
            )
            .output()
    };
    let out = check()?;
    ensure!(out.status.code() == Some(1), "{out:?}");
    // An honest client sends nothing after it has seen the certificate.
    ensure!(heads.recv_timeout(Duration::from_secs(1)).is_err());

    let certs_d = ground.folder.path().join("certs.d");
    let certs_d = certs_d.join(ground.contoso.server());
    fs::create_dir_all(&certs_d)?;
    fs::write(certs_d.join("hosts.toml"), "skip_verify = true\n")?;
    check()?;
    let head = heads.recv_timeout(Duration::from_secs(15))?;
    ensure!(head.contains(CREDENTIALS), "{head}");
    Ok(())
}

/// What clients send after the handshake.
fn heads_of(listener: TcpListener, tls: Arc<ServerConfig>) -> Receiver<String> {
    let (seen, heads) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Ok(session) = ServerConnection::new(tls.clone()) else {
                return;
            };
            let mut stream = StreamOwned::new(session, stream);
            let mut head = [0; 4096];
            if let Ok(length @ 1..) = stream.read(&mut head) {
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n");
                if seen.send(head).is_err() {
                    return;
                }
            }
        }
    });
    heads
}
