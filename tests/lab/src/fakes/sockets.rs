//! TCP endpoints on loopback that misbehave, each a one-liner and each in one way. They are the
//! faults that lie below HTTP; a test holds the [`Trap`] for as long as the fault shall last.

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional, sink};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time;
use tokio_rustls::TlsAcceptor;

use crate::addresses;
use crate::background::Background;
use crate::pki::Identity;

/// The TLS alert that a server sends which is too old for the client (RFC 8446, section 6).
pub const ALERT_PROTOCOL_VERSION: u8 = 70;
/// The TLS alert of a server that agrees to nothing offered.
pub const ALERT_HANDSHAKE_FAILURE: u8 = 40;
/// The TLS alert of a server that does not let this client in.
pub const ALERT_ACCESS_DENIED: u8 = 49;
/// The TLS alert of a server that fails by itself.
pub const ALERT_INTERNAL_ERROR: u8 = 80;
/// The TLS alert of a server that wants a client certificate and gets none.
pub const ALERT_CERTIFICATE_REQUIRED: u8 = 116;
/// The TLS alert of a server that does not know the name asked for.
pub const ALERT_UNRECOGNIZED_NAME: u8 = 112;

/// The largest ClientHello record that [`drops_large_hello`] lets pass: the hello with a hybrid key
/// share is longer than that, the classic one much shorter.
const SMALL_HELLO: u16 = 1000;

/// An endpoint that misbehaves until dropped.
pub struct Trap {
    addr: SocketAddr,
    _sockets: Vec<Socket>,
    _server: Option<Background>,
}

impl Trap {
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// Nobody listens: the kernel refuses. The port stays taken, so that nobody else gets it.
pub fn closed(at: impl Into<SocketAddr>) -> Result<Trap> {
    Trap::holding(vec![bind(at.into(), false)?])
}

/// A listener with a full backlog: the kernel drops every SYN.
pub fn unanswered(at: impl Into<SocketAddr>) -> Result<Trap> {
    let listener = bind(at.into(), true)?;
    listener.listen(0)?;
    let addr = listener.local_addr()?;
    let mut sockets = vec![listener];
    // One connection fills a backlog of nought; the second is sure to find it full.
    for _ in 0..2 {
        let filler = stream_socket(addr.as_socket().context("not an IP address")?)?;
        filler.set_nonblocking(true)?;
        let _ = filler.connect(&addr);
        sockets.push(filler);
    }
    Trap::holding(sockets)
}

/// Accepts and resets at once.
pub fn resets(at: impl Into<SocketAddr>) -> Result<Trap> {
    serve(at, |stream| async move { reset(&stream) })
}

/// Accepts and closes at once.
pub fn closes(at: impl Into<SocketAddr>) -> Result<Trap> {
    serve(at, |mut stream| async move {
        let _ = stream.shutdown().await;
        // Bytes left unread would turn the close into a reset.
        let _ = copy(&mut stream, &mut sink()).await;
    })
}

/// Accepts, and never says a word.
pub fn stalls(at: impl Into<SocketAddr>) -> Result<Trap> {
    serve(at, |stream| async move {
        let _stream = stream;
        pending().await
    })
}

/// A server of SSH, which speaks first.
pub fn ssh(at: impl Into<SocketAddr>) -> Result<Trap> {
    serve(at, |mut stream| async move {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n").await;
        let _ = stream.read(&mut [0; 4096]).await;
    })
}

/// Answers whatever comes with plain HTTP, as a wrong port behind a load balancer does.
pub fn plain_http(at: impl Into<SocketAddr>) -> Result<Trap> {
    serve(at, |mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream
            .write_all(
                b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            )
            .await;
    })
}

/// Reads the ClientHello, and never says a word.
pub fn tls_stalls(at: impl Into<SocketAddr>) -> Result<Trap> {
    after_hello(at, |stream| async move {
        let _stream = stream;
        pending().await
    })
}

/// Reads the ClientHello and closes.
pub fn tls_closes(at: impl Into<SocketAddr>) -> Result<Trap> {
    after_hello(at, |_stream| async {})
}

/// Reads the ClientHello and resets.
pub fn tls_resets(at: impl Into<SocketAddr>) -> Result<Trap> {
    after_hello(at, |stream| async move { reset(&stream) })
}

/// Reads the ClientHello and answers with a fatal alert, such as [`ALERT_HANDSHAKE_FAILURE`].
pub fn tls_alerts(at: impl Into<SocketAddr>, description: u8) -> Result<Trap> {
    const ALERT: u8 = 21;
    const FATAL: u8 = 2;
    after_hello(at, move |mut stream| async move {
        let record = [ALERT, 3, 3, 0, 2, FATAL, description];
        let _ = stream.write_all(&record).await;
        let _ = stream.shutdown().await;
    })
}

/// What a server that ends at TLS 1.1 shows to a client that begins at 1.2.
pub fn tls11_only(at: impl Into<SocketAddr>) -> Result<Trap> {
    tls_alerts(at, ALERT_PROTOCOL_VERSION)
}

/// A sound server of TLS 1.2 that knows no 1.3; it answers any request with an empty 200.
pub fn tls12_only(at: impl Into<SocketAddr>, identity: &Identity) -> Result<Trap> {
    let acceptor = TlsAcceptor::from(identity.server_config_for(&[&rustls::version::TLS12], None)?);
    serve(at, move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .await;
            let _ = stream.shutdown().await;
        }
    })
}

/// A middlebox in front of a sound server: it passes every connection on, but one whose
/// ClientHello is too long for a packet hears nothing.
pub fn drops_large_hello(at: impl Into<SocketAddr>, upstream: SocketAddr) -> Result<Trap> {
    serve(at, move |mut stream| async move {
        let Ok(length) = peek_record_length(&stream).await else {
            return;
        };
        if length > SMALL_HELLO {
            pending::<()>().await;
        }
        if let Ok(mut upstream) = dial(upstream).await {
            let _ = copy_bidirectional(&mut stream, &mut upstream).await;
        }
    })
}

impl Trap {
    /// The first socket is the one to dial.
    fn holding(sockets: Vec<Socket>) -> Result<Self> {
        let addr = sockets.first().context("no socket")?.local_addr()?;
        Ok(Self {
            addr: addr.as_socket().context("not an IP address")?,
            _sockets: sockets,
            _server: None,
        })
    }
}

fn serve<F, Fut>(at: impl Into<SocketAddr>, handle: F) -> Result<Trap>
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let addr = addresses::with_port(at.into())?;
    let server = Background::accepting("lab-trap", addr, handle)?;
    Ok(Trap {
        addr,
        _sockets: Vec::new(),
        _server: Some(server),
    })
}

/// Serves connections from the moment their first TLS record has been read.
fn after_hello<F, Fut>(at: impl Into<SocketAddr>, handle: F) -> Result<Trap>
where
    F: Fn(TcpStream) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    serve(at, move |mut stream| {
        let handle = handle.clone();
        async move {
            let mut header = [0; 5];
            if stream.read_exact(&mut header).await.is_err() {
                return;
            }
            let mut hello = vec![0; usize::from(record_length(header))];
            if stream.read_exact(&mut hello).await.is_ok() {
                handle(stream).await;
            }
        }
    })
}

/// The length of the first TLS record, which stays in the socket.
async fn peek_record_length(stream: &TcpStream) -> Result<u16> {
    let mut header = [0; 5];
    while stream.peek(&mut header).await? < header.len() {
        time::sleep(Duration::from_millis(1)).await;
    }
    Ok(record_length(header))
}

fn record_length([_, _, _, high, low]: [u8; 5]) -> u16 {
    u16::from_be_bytes([high, low])
}

pub(crate) async fn dial(addr: SocketAddr) -> Result<TcpStream> {
    let socket = if addr.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    Ok(time::timeout(Duration::from_secs(5), socket.connect(addr)).await??)
}

fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

/// With `reuse`, connections of a listener that was there before do not stand in the way; without
/// it, nobody else gets the port.
fn bind(at: SocketAddr, reuse: bool) -> Result<Socket> {
    let at = addresses::with_port(at)?;
    let socket = stream_socket(at)?;
    socket.set_reuse_address(reuse)?;
    socket
        .bind(&at.into())
        .with_context(|| format!("failed to bind {at}"))?;
    Ok(socket)
}

fn stream_socket(at: SocketAddr) -> Result<Socket> {
    Ok(Socket::new(Domain::for_address(at), Type::STREAM, None)?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::pki::Pki;

    const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

    /// What curl, which knows all of this, makes of an endpoint.
    fn curl(trap: &Trap) -> String {
        let url = format!("https://{}/", trap.addr());
        let out = Command::new("curl")
            .args(["--noproxy", "*", "-svk", "--max-time", "1", &url])
            .output()
            .unwrap();
        String::from_utf8_lossy(&out.stderr).into_owned()
    }

    #[test]
    fn each_trap_shows_its_fault() {
        let cases = [
            (closed(ANY), "Connection refused"),
            (unanswered(ANY), "timed out after"),
            (resets(ANY), "Connection reset by peer"),
            (closes(ANY), "SSL_ERROR_SYSCALL"),
            (stalls(ANY), "timed out after"),
            (plain_http(ANY), "wrong version number"),
            (tls_stalls(ANY), "timed out after"),
            (tls_closes(ANY), "SSL_ERROR_SYSCALL"),
            (tls_resets(ANY), "Connection reset by peer"),
            (
                tls_alerts(ANY, ALERT_HANDSHAKE_FAILURE),
                "handshake failure",
            ),
            (tls11_only(ANY), "alert protocol version"),
        ];
        for (n, (trap, expected)) in cases.into_iter().enumerate() {
            let said = curl(&trap.unwrap());
            assert!(
                said.contains(expected),
                "case {n}: expected {expected:?} in {said}"
            );
        }
    }

    #[test]
    fn old_tls_and_small_hellos_work() {
        let identity = Pki::new().unwrap().leaf(["127.0.0.1"]).issue().unwrap();
        let old = tls12_only(ANY, &identity).unwrap();
        assert!(curl(&old).contains("TLSv1.2"));
        let middlebox = drops_large_hello(ANY, old.addr()).unwrap();
        assert!(
            curl(&middlebox).contains("200 OK"),
            "curl's hello is a small one"
        );
    }
}
