//! A relay in front of a sound server that holds back whatever the server says. What the client
//! sends passes at once, so the wait comes once a turn, as with a slow backend.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{self, Instant};

use crate::background::Background;
use crate::fakes::sockets;

/// A running relay; it ends when dropped.
pub struct Relay {
    _server: Background,
}

/// Passes connections on, and what comes back only after a wait.
pub fn late(at: SocketAddr, upstream: SocketAddr, wait: Duration) -> Result<Relay> {
    let server =
        Background::accepting("lab-relay", at, move |client| pass(client, upstream, wait))?;
    Ok(Relay { _server: server })
}

async fn pass(client: TcpStream, upstream: SocketAddr, wait: Duration) -> Result<()> {
    let (mut from_server, mut to_server) = sockets::dial(upstream).await?.into_split();
    let (mut from_client, mut to_client) = client.into_split();
    let asked = copy(&mut from_client, &mut to_server);
    // As on a long way, each piece is late, however many follow it closely.
    let (sender, mut on_the_way) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let read = async move {
        let mut piece = [0; 16 * 1024];
        while let Ok(length @ 1..) = from_server.read(&mut piece).await {
            let _ = sender.send((Instant::now() + wait, piece[..length].to_vec()));
        }
    };
    let answered = async {
        while let Some((due, piece)) = on_the_way.recv().await {
            time::sleep_until(due).await;
            to_client.write_all(&piece).await?;
        }
        to_client.shutdown().await
    };
    // A client that says no more may still listen.
    let _ = tokio::join!(asked, read, answered);
    Ok(())
}
