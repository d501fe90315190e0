//! An HTTP/1.1 client that keeps its connection and accepts compressed responses, as Prometheus does.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;

const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) struct KeepAlive {
    server: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl KeepAlive {
    pub(crate) fn to(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            server,
            stream: BufReader::with_capacity(64 * 1024, stream),
        })
    }

    /// The body of a 200 response, decompressed if necessary.
    pub(crate) fn get(&mut self, target: &str) -> Result<Vec<u8>> {
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: {}\r\nAccept-Encoding: gzip\r\n\r\n",
            self.server
        );
        self.stream.get_mut().write_all(head.as_bytes())?;
        let status = self.line()?;
        ensure!(status.contains(" 200 "), "{target}: {status}");
        let (mut length, mut chunked, mut gzip) = (None, false, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("content-length", value)) => length = Some(value.parse()?),
                Some(("transfer-encoding", value)) => chunked = value == "chunked",
                Some(("content-encoding", value)) => gzip = value == "gzip",
                Some(_) => {}
                None => break,
            }
        }
        let mut body = Vec::new();
        if chunked {
            loop {
                let size = usize::from_str_radix(&self.line()?, 16)?;
                self.read(size, &mut body)?;
                self.line()?;
                if size == 0 {
                    break;
                }
            }
        } else {
            self.read(length.context("an answer of unknown length")?, &mut body)?;
        }
        if !gzip {
            return Ok(body);
        }
        let mut plain = Vec::new();
        GzDecoder::new(&*body).read_to_end(&mut plain)?;
        Ok(plain)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn read(&mut self, length: usize, body: &mut Vec<u8>) -> Result<()> {
        let start = body.len();
        body.resize(start + length, 0);
        self.stream.read_exact(&mut body[start..])?;
        Ok(())
    }
}
