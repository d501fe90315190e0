//! The least HTTP client that the lab and its tests can do with: one request over plain TCP, and the
//! whole answer. It waits for nothing longer than a few seconds.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(5);

/// A request about to be sent.
#[must_use]
pub struct Call<'a> {
    server: SocketAddr,
    head: String,
    body: &'a [u8],
}

pub fn get<'a>(server: SocketAddr, target: &str) -> Call<'a> {
    call("GET", server, target)
}

/// In HTTP/1.0, so that the answer ends with the connection and never comes in chunks.
pub fn call<'a>(method: &str, server: SocketAddr, target: &str) -> Call<'a> {
    Call {
        server,
        head: format!("{method} {target} HTTP/1.0\r\nHost: {server}\r\n"),
        body: &[],
    }
}

impl<'a> Call<'a> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub fn body(mut self, content_type: &str, body: &'a [u8]) -> Self {
        self.body = body;
        self.header("Content-Type", content_type)
    }

    pub fn send(self) -> Result<Reply> {
        let mut stream = TcpStream::connect_timeout(&self.server, PATIENCE)
            .with_context(|| format!("failed to dial {}", self.server))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{}Content-Length: {}\r\n\r\n",
            self.head,
            self.body.len()
        )?;
        stream.write_all(self.body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Reply::parse(&answer)
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn parse(answer: &[u8]) -> Result<Self> {
        let end = answer
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n")
            .context("the answer has no end of headers")?;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head
            .split_ascii_whitespace()
            .nth(1)
            .and_then(|status| status.parse().ok())
            .context("the answer has no status")?;
        Ok(Self {
            status,
            head,
            body: answer[end + 4..].to_vec(),
        })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// The answer itself, if its status is the one that was hoped for.
    pub fn expect_status(self, status: u16) -> Result<Self> {
        ensure!(
            self.status == status,
            "{} instead of {status}: {}",
            self.status,
            self.text()
        );
        Ok(self)
    }
}
