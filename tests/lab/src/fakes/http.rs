//! HTTP/1.1 by hand, as much of it as the lab's servers need: a request head is read, an answer is
//! bytes. A real server library would keep a fake from being wrong on the wire, which is what the
//! fakes are for.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// More than any client of the lab has a reason to send.
const HEAD_LIMIT: u64 = 64 * 1024;
const BODY_LIMIT: usize = 1024 * 1024;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path with its query, or the authority of a CONNECT.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The client will not send another request on this connection.
    pub(crate) is_last: bool,
}

impl Request {
    /// Reads the next request of a connection; none when the client has closed it.
    pub(crate) async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Self>> {
        let mut head = stream.take(HEAD_LIMIT);
        let mut first = String::new();
        if head.read_line(&mut first).await? == 0 {
            return Ok(None);
        }
        let mut words = first.split_ascii_whitespace();
        let method = words.next().context("an empty request line")?.to_owned();
        let target = words
            .next()
            .context("a request line without a target")?
            .to_owned();
        let is_old = words.next() == Some("HTTP/1.0");
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            ensure!(
                head.read_line(&mut line).await? > 0,
                "the request head is cut off"
            );
            let line = line.trim_end();
            if line.is_empty() {
                let is_last = is_old || header(&headers, "connection") == Some("close");
                let length = header(&headers, "content-length").unwrap_or("0").parse()?;
                ensure!(length <= BODY_LIMIT, "a body of {length} bytes");
                let mut body = vec![0; length];
                head.into_inner().read_exact(&mut body).await?;
                return Ok(Some(Self {
                    is_last,
                    method,
                    target,
                    headers,
                    body,
                }));
            }
            let (name, value) = line.split_once(':').context("a header without a colon")?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A parameter of the query, decoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// A field of the form in the body.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(&self.body)
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// The first header of that name, in any case of letters.
pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// An answer, before it is put on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// How an answer tells where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length,
    Chunked,
    /// HTTP/1.0: by closing the connection.
    Http10,
}

impl Response {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// These headers come before those that it has.
    pub(crate) fn with_first(mut self, headers: &[(String, String)]) -> Self {
        self.headers.splice(..0, headers.iter().cloned());
        self
    }

    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("Content-Type", content_type)
    }

    /// As damaged storage has it.
    pub(crate) fn with_last_byte_changed(mut self) -> Self {
        if let Some(last) = self.body.last_mut() {
            *last ^= 1;
        }
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json; charset=utf-8", body.to_string())
    }

    /// The answer as bytes; to a HEAD without its body.
    pub(crate) fn encode(&self, method: &str, framing: Framing) -> Vec<u8> {
        let version = if framing == Framing::Http10 {
            "1.0"
        } else {
            "1.1"
        };
        let mut head = format!("HTTP/{version} {} {}\r\n", self.status, phrase(self.status));
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        match framing {
            Framing::Length => {
                let _ = write!(head, "Content-Length: {}\r\n\r\n", self.body.len());
            }
            Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n\r\n"),
            Framing::Http10 => head.push_str("Connection: close\r\n\r\n"),
        }
        let mut bytes = head.into_bytes();
        if method == "HEAD" {
            return bytes;
        }
        if framing == Framing::Chunked {
            for chunk in self.body.chunks(16) {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        } else {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        302 => "Found",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        410 => "Gone",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Unnamed",
    }
}
