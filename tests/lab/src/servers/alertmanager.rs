//! `prometheus-alertmanager`, and the receiver that it notifies: what arrives there is what wakes
//! somebody.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time;

use crate::addresses;
use crate::background::Background;
use crate::fakes::http::{Framing, Request, Response};
use crate::process::Process;

/// How long an idle client is borne with.
const IDLE: Duration = Duration::from_secs(60);

/// A running Alertmanager, a cluster of one; it ends when dropped.
pub struct Alertmanager {
    addr: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Alertmanager {
    /// Starts one with this configuration.
    pub fn configured(text: &str, at: impl Into<SocketAddr>) -> Result<Self> {
        let addr = addresses::with_port(at.into())?;
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("alertmanager.yml");
        fs::write(&config, text)?;
        let mut command = Command::new("/usr/bin/prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={addr}"))
            .args(["--cluster.listen-address=", "--log.level=warn"]);
        let process = Process::answering(command, folder.path(), (addr, "/-/ready"))?;
        Ok(Self {
            addr,
            process,
            _folder: folder,
        })
    }

    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// A receiver of webhooks that keeps what it is sent; it ends when dropped.
pub struct Webhook {
    addr: SocketAddr,
    received: Arc<Mutex<Vec<Value>>>,
    _server: Background,
}

impl Webhook {
    pub fn start(at: impl Into<SocketAddr>) -> Result<Self> {
        let addr = addresses::with_port(at.into())?;
        let received = Arc::<Mutex<Vec<Value>>>::default();
        let kept = Arc::clone(&received);
        let server = Background::accepting("lab-webhook", addr, move |stream| {
            serve(Arc::clone(&kept), stream)
        })?;
        Ok(Self {
            addr,
            received,
            _server: server,
        })
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }

    /// Every notification so far, in the order in which they came.
    #[must_use]
    pub fn received(&self) -> Vec<Value> {
        lock(&self.received).clone()
    }
}

async fn serve(received: Arc<Mutex<Vec<Value>>>, stream: TcpStream) -> Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = time::timeout(IDLE, Request::read(&mut stream)).await?? {
        // Told with an error, Alertmanager tries again: nothing is lost unseen.
        let response = match serde_json::from_slice(&request.body) {
            Ok(notification) => {
                lock(&received).push(notification);
                Response::new(200)
            }
            Err(error) => Response::new(400).body("text/plain", error.to_string()),
        };
        stream
            .write_all(&response.encode(&request.method, Framing::Length))
            .await?;
        if request.is_last {
            break;
        }
    }
    Ok(())
}

fn lock(received: &Mutex<Vec<Value>>) -> std::sync::MutexGuard<'_, Vec<Value>> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}
