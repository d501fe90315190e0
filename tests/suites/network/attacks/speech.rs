//! What a hostile server sends: bytes, and what it does after them.

use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::time::{sleep, timeout};

/// What a connection is done with.
pub(crate) type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// More than our client sends at a time.
const HEAD: usize = 128 * 1024;
/// Timeout for a client that does not close by itself.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time between two bytes of a slow server.
const DRIP: Duration = Duration::from_millis(50);

/// Bytes, and what comes after them.
#[derive(Clone)]
pub(crate) struct Speech {
    bytes: Vec<u8>,
    then: Then,
}

#[derive(Clone)]
enum Then {
    Listen,
    Close,
    Hang,
    Repeat(Vec<u8>),
    Drip(Vec<u8>),
}

pub(crate) fn say(bytes: impl Into<Vec<u8>>) -> Speech {
    Speech {
        bytes: bytes.into(),
        then: Then::Close,
    }
}

impl Speech {
    /// And reads the next request, as healthy servers do.
    pub(crate) fn listen(self) -> Self {
        self.then(Then::Listen)
    }

    /// And nothing more, but the connection stays open.
    pub(crate) fn hang(self) -> Self {
        self.then(Then::Hang)
    }

    /// And these, forever, as fast as the client reads.
    pub(crate) fn endless(self, more: impl AsRef<[u8]>) -> Self {
        let more = more.as_ref();
        // In large pieces, so that the attacker is not the bottleneck.
        let times = (64 * 1024 / more.len().max(1)).max(1);
        self.then(Then::Repeat(more.repeat(times)))
    }

    /// And these, one byte at a time, forever.
    pub(crate) fn drip(self, more: impl Into<Vec<u8>>) -> Self {
        self.then(Then::Drip(more.into()))
    }

    fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }

    /// The bytes, if the connection continues after them.
    pub(crate) fn in_passing(&self) -> Option<&[u8]> {
        matches!(self.then, Then::Listen).then_some(&self.bytes)
    }

    pub(crate) async fn deliver(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let said = async {
            stream.write_all(&self.bytes).await?;
            stream.flush().await?;
            match self.then {
                Then::Listen | Then::Close => {
                    stream.shutdown().await?;
                    // Unread bytes would turn the close into a reset.
                    copy(&mut stream, &mut sink()).await.map(drop)
                }
                Then::Hang => copy(&mut stream, &mut sink()).await.map(drop),
                Then::Repeat(more) => loop {
                    stream.write_all(&more).await?;
                },
                Then::Drip(more) => loop {
                    for byte in &more {
                        stream.write_all(&[*byte]).await?;
                        stream.flush().await?;
                        sleep(DRIP).await;
                    }
                },
            }
        };
        // The client closes at its limit.
        let _ = timeout(PATIENCE, said).await;
    }
}

/// The first TLS record of a client.
pub(crate) async fn record(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut record = vec![0; 5];
    stream.read_exact(&mut record).await.ok()?;
    let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
    record.resize(5 + length, 0);
    stream.read_exact(&mut record[5..]).await.ok()?;
    Some(record)
}

/// The head of a request.
pub(crate) async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}
