//! An HTTP proxy as a node's `HTTPS_PROXY` names one: it answers CONNECT with a tunnel, or fails in
//! one chosen way. It knows by itself which host is where, so no name is ever looked up.

use std::collections::HashMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use tokio::io::{AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::TcpStream;

use crate::addresses;
use crate::background::Background;
use crate::fakes::http::{Framing, Request, Response};
use crate::fakes::sockets;

/// What the proxy does with a CONNECT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tunnel {
    /// Opens it; 502 where it does not know the host or cannot reach it.
    #[default]
    Opens,
    /// 403, as for a host that no rule allows.
    Denied,
    /// 407 with a challenge.
    AuthRequired,
    /// Any other status.
    Status(u16),
    /// This as the status line, and no headers.
    Line(String),
    /// Closes the connection in place of an answer.
    Eof,
    Reset,
    /// Never answers.
    Hangs,
    /// Answers with bytes that are not HTTP.
    Garbage,
}

/// A running proxy; it ends when dropped.
pub struct Proxy {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
    _server: Background,
}

#[derive(Default)]
struct State {
    hosts: HashMap<String, SocketAddr>,
    tunnel: Tunnel,
    asked: Vec<String>,
}

impl Proxy {
    pub fn start(at: impl Into<SocketAddr>) -> Result<Self> {
        let addr = addresses::with_port(at.into())?;
        let state = Arc::new(Mutex::new(State::default()));
        let served = Arc::clone(&state);
        let server = Background::accepting("lab-proxy", addr, move |stream| {
            serve(Arc::clone(&served), stream)
        })?;
        Ok(Self {
            addr,
            state,
            _server: server,
        })
    }

    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// As `HTTPS_PROXY` names it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Tells where `host:port` leads.
    pub fn host(&self, authority: &str, at: SocketAddr) -> &Self {
        lock(&self.state).hosts.insert(authority.to_owned(), at);
        self
    }

    /// From now on every CONNECT meets this.
    pub fn tunnel(&self, tunnel: Tunnel) -> &Self {
        lock(&self.state).tunnel = tunnel;
        self
    }

    /// What CONNECT was asked for, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        lock(&self.state).asked.clone()
    }
}

async fn serve(state: Arc<Mutex<State>>, stream: TcpStream) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let Some(request) = Request::read(&mut stream).await? else {
        return Ok(());
    };
    let (tunnel, upstream) = {
        let mut state = lock(&state);
        state.asked.push(request.target.clone());
        let known = state.hosts.get(&request.target).copied();
        (
            state.tunnel.clone(),
            known.or_else(|| request.target.parse().ok()),
        )
    };
    let response = match tunnel {
        Tunnel::Opens => match dial(upstream).await {
            Ok(mut upstream) => {
                stream
                    .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    .await?;
                copy_bidirectional(&mut stream, &mut upstream).await?;
                return Ok(());
            }
            Err(_) => Response::new(502),
        },
        Tunnel::Denied => Response::new(403),
        Tunnel::AuthRequired => {
            Response::new(407).header("Proxy-Authenticate", "Basic realm=\"proxy\"")
        }
        Tunnel::Status(status) => Response::new(status),
        Tunnel::Line(line) => {
            let head = format!("HTTP/1.1 {line}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            return Ok(());
        }
        Tunnel::Eof => return Ok(()),
        Tunnel::Reset => {
            stream.get_ref().set_zero_linger()?;
            return Ok(());
        }
        Tunnel::Hangs => pending().await,
        Tunnel::Garbage => {
            stream
                .write_all(b"\x00\x01 this is not HTTP\r\n\r\n")
                .await?;
            return Ok(());
        }
    };
    stream
        .write_all(&response.encode("CONNECT", Framing::Length))
        .await?;
    Ok(())
}

async fn dial(upstream: Option<SocketAddr>) -> Result<TcpStream> {
    sockets::dial(upstream.context("an unknown host")?).await
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::fakes::acr::Acr;

    #[test]
    fn tunnels_and_fails() {
        let ip = addresses::loopback();
        let acr = Acr::at("contoso.azurecr.io", (ip, 0)).start().unwrap();
        let proxy = Proxy::start((ip, 0)).unwrap();
        proxy.host(&acr.server(), acr.addr());
        let curl = || {
            let out = Command::new("curl")
                .args([
                    "-sSip",
                    "--noproxy",
                    "",
                    "--max-time",
                    "1",
                    "--proxy",
                    &proxy.url(),
                ])
                .arg(format!("http://{}/v2/", acr.server()))
                .output()
                .unwrap();
            String::from_utf8([out.stdout, out.stderr].concat()).unwrap()
        };
        let cases = [
            (Tunnel::Opens, "HTTP/1.1 401"),
            (Tunnel::Denied, "HTTP/1.1 403"),
            (Tunnel::AuthRequired, "Proxy-Authenticate: Basic"),
            (Tunnel::Status(502), "HTTP/1.1 502"),
            (Tunnel::Eof, "Proxy CONNECT aborted"),
            (Tunnel::Reset, "reset by peer"),
            (Tunnel::Hangs, "timed out"),
            (Tunnel::Garbage, "curl: ("),
        ];
        for (tunnel, expected) in cases {
            proxy.tunnel(tunnel.clone());
            let said = curl();
            assert!(
                said.contains(expected),
                "{tunnel:?}: expected {expected:?} in {said}"
            );
        }
        assert!(proxy.asked().iter().all(|asked| *asked == acr.server()));
    }
}
