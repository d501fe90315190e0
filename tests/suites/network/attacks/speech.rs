//! What a hostile server says: bytes, and how it goes on after them.

use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::time::{sleep, timeout};

/// What a connection is done with.
pub(crate) type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// More than a client of ours has to say at a time.
const HEAD: usize = 128 * 1024;
/// For a client that does not go away by itself.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two bytes of one that takes its time.
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
    /// And takes the next request, as sound servers do.
    pub(crate) fn listen(self) -> Self {
        self.then(Then::Listen)
    }

    /// And no word more, but the connection stays.
    pub(crate) fn hang(self) -> Self {
        self.then(Then::Hang)
    }

    /// And these, for ever, as fast as they are taken.
    pub(crate) fn endless(self, more: impl AsRef<[u8]>) -> Self {
        let more = more.as_ref();
        // In large pieces: the attacker is not to be what is slow.
        let times = (64 * 1024 / more.len().max(1)).max(1);
        self.then(Then::Repeat(more.repeat(times)))
    }

    /// And these, one byte at a time, for ever.
    pub(crate) fn drip(self, more: impl Into<Vec<u8>>) -> Self {
        self.then(Then::Drip(more.into()))
    }

    fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }

    /// The bytes, if the connection goes on after them.
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
                    // What is left unread would turn the close into a reset.
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
        // The client goes away when it has had enough.
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
