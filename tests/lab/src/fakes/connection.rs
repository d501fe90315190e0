//! The connections of a fake: a TLS handshake where it has a certificate, and request after request, each
//! answered as the fake decides.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, copy, sink};
use tokio::net::TcpStream;
use tokio::time;
use tokio_rustls::TlsAcceptor;

use super::answer::{Act, Then};
use crate::fakes::http::{Framing, Request};

/// How long an idle client is borne with.
const IDLE: Duration = Duration::from_secs(60);

/// Serves one client until it has enough.
pub(crate) async fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    act: impl FnMut(&Request) -> Act,
) -> Result<()> {
    // As real servers do; else an answer waits 40 ms for the client to acknowledge the tickets.
    let _ = stream.set_nodelay(true);
    // TLS takes the stream away, and a reset must be set on the socket below it.
    let socket = SockRef::from(&stream).try_clone()?;
    let ended = match tls {
        Some(config) => converse(TlsAcceptor::from(config).accept(stream).await?, act).await?,
        None => converse(stream, act).await?,
    };
    if let Ended::WithReset = ended {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}

enum Ended {
    Normally,
    WithReset,
}

/// Answers request after request.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    mut act: impl FnMut(&Request) -> Act,
) -> Result<Ended> {
    let mut stream = BufReader::new(stream);
    loop {
        let request = match time::timeout(IDLE, Request::read(&mut stream)).await? {
            Ok(Some(request)) => request,
            Ok(None) => break,
            Err(_) => return refuse(stream).await,
        };
        match act(&request) {
            Act::Respond(response, framing) => {
                stream
                    .write_all(&response.encode(&request.method, framing))
                    .await?;
                stream.flush().await?;
                if request.is_last || framing == Framing::Http10 {
                    break;
                }
            }
            Act::RespondLate(response, wait) => {
                time::sleep(wait).await;
                stream
                    .write_all(&response.encode(&request.method, Framing::Length))
                    .await?;
                stream.flush().await?;
            }
            Act::RespondSlowly(response, rate) => {
                const STEP: Duration = Duration::from_millis(50);
                let step = rate * STEP.as_millis() as usize / 1000;
                let answer = response.encode(&request.method, Framing::Length);
                for part in answer.chunks(step.max(1)) {
                    stream.write_all(part).await?;
                    stream.flush().await?;
                    time::sleep(STEP).await;
                }
            }
            Act::RespondOnce(response) => {
                stream
                    .write_all(&response.encode(&request.method, Framing::Length))
                    .await?;
                stream.flush().await?;
                time::timeout(IDLE, Request::read(&mut stream)).await??;
                break;
            }
            Act::Raw(bytes, then) => {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
                match then {
                    Then::Close => break,
                    Then::Reset => return Ok(Ended::WithReset),
                    Then::Hang => std::future::pending().await,
                    Then::Repeat(bytes) => loop {
                        stream.write_all(&bytes).await?;
                        stream.flush().await?;
                        time::sleep(Duration::from_millis(1)).await;
                    },
                }
            }
        }
    }
    stream.shutdown().await?;
    Ok(Ended::Normally)
}

/// What a server does with what is no HTTP, such as a ClientHello.
async fn refuse(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<Ended> {
    const NO_REQUEST: &[u8] =
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(NO_REQUEST).await?;
    stream.shutdown().await?;
    // Bytes left unread would turn the close into a reset.
    time::timeout(IDLE, copy(&mut stream, &mut sink())).await??;
    Ok(Ended::Normally)
}
