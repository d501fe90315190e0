//! A SOCKS 5 proxy (RFC 1928), open or with a password (RFC 1929). It knows by itself which host is where, so no
//! name is ever looked up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use crate::background::Background;
use crate::fakes::sockets;

/// What the proxy does with those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socks {
    /// Lets everybody connect.
    Opens,
    /// Lets `reader` connect with the password `secret`.
    WantsPassword,
    /// Says that no rule allows it.
    Denies,
}

/// A running proxy; it ends when dropped.
pub struct SocksProxy {
    _server: Background,
}

impl SocksProxy {
    /// A proxy that finds hosts by `find`.
    pub fn start(at: SocketAddr, socks: Socks, find: fn(&str) -> Option<IpAddr>) -> Result<Self> {
        let server =
            Background::accepting("lab-socks", at, move |stream| serve(stream, socks, find))?;
        Ok(Self { _server: server })
    }
}

const VERSION: u8 = 5;
const OPEN: u8 = 0;
const PASSWORD: u8 = 2;
const NOTHING_ACCEPTABLE: u8 = 0xff;
const CREDENTIALS: &[u8] = b"\x01\x06reader\x06secret";

async fn serve(
    mut stream: TcpStream,
    socks: Socks,
    find: fn(&str) -> Option<IpAddr>,
) -> Result<()> {
    ensure!(stream.read_u8().await? == VERSION, "not SOCKS 5");
    let mut methods = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut methods).await?;
    let wanted = match socks {
        Socks::WantsPassword => PASSWORD,
        Socks::Opens | Socks::Denies => OPEN,
    };
    if !methods.contains(&wanted) {
        stream.write_all(&[VERSION, NOTHING_ACCEPTABLE]).await?;
        return Ok(());
    }
    stream.write_all(&[VERSION, wanted]).await?;
    if wanted == PASSWORD {
        let mut sent = vec![0; CREDENTIALS.len()];
        stream.read_exact(&mut sent).await?;
        let is_right = sent == CREDENTIALS;
        stream.write_all(&[1, u8::from(!is_right)]).await?;
        ensure!(is_right, "wrong credentials");
    }
    let to = destination(&mut stream, find).await;
    let (status, upstream) = match to {
        _ if socks == Socks::Denies => (2, None),
        Ok(to) => match sockets::dial(to).await {
            Ok(upstream) => (0, Some(upstream)),
            Err(_) => (5, None),
        },
        Err(_) => (4, None),
    };
    let reply = [VERSION, status, 0, 1, 0, 0, 0, 0, 0, 0];
    stream.write_all(&reply).await?;
    if let Some(mut upstream) = upstream {
        copy_bidirectional(&mut stream, &mut upstream).await?;
    }
    Ok(())
}

/// Where CONNECT leads.
async fn destination(
    stream: &mut TcpStream,
    find: fn(&str) -> Option<IpAddr>,
) -> Result<SocketAddr> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let address = match head {
        [VERSION, 1, 0, 1] => Some(Ipv4Addr::from_bits(stream.read_u32().await?).into()),
        [VERSION, 1, 0, 4] => Some(Ipv6Addr::from_bits(stream.read_u128().await?).into()),
        [VERSION, 1, 0, 3] => {
            let mut name = vec![0; stream.read_u8().await?.into()];
            stream.read_exact(&mut name).await?;
            find(&String::from_utf8_lossy(&name))
        }
        other => bail!("not CONNECT: {other:?}"),
    };
    let port = stream.read_u16().await?;
    Ok(SocketAddr::new(address.context("an unknown host")?, port))
}
