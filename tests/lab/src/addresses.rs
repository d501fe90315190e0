//! Loopback addresses and free ports. The whole of 127.0.0.0/8 is local on Linux, so every server
//! of a test gets an address of its own and may listen on 443 or 53 as the real one does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result, bail};

static NEXT: AtomicU8 = AtomicU8::new(1);

/// An address of 127.0.0.0/8 that no other test of this process has, nor, as a rule, one of
/// another process: its middle bytes are the process id.
#[must_use]
pub fn loopback() -> Ipv4Addr {
    let [_, _, high, low] = process::id().to_be_bytes();
    // 127.0.x.y is where everything else on the machine listens.
    Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A port that was free for both TCP and UDP on `ip` a moment ago.
///
/// # Errors
/// When the address is not local or no port is free.
pub fn free_port(ip: impl Into<IpAddr>) -> Result<u16> {
    let ip = ip.into();
    for _ in 0..100 {
        let tcp = TcpListener::bind((ip, 0)).with_context(|| format!("failed to bind {ip}"))?;
        let port = tcp.local_addr()?.port();
        if UdpSocket::bind((ip, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port of {ip} is free for TCP and UDP alike")
}

/// A free port of `ip`, as an address a server can be given.
///
/// # Errors
/// As [`free_port`].
pub fn free_addr(ip: impl Into<IpAddr>) -> Result<SocketAddr> {
    let ip = ip.into();
    Ok(SocketAddr::new(ip, free_port(ip)?))
}

/// The address as it is, or with a free port in place of port 0.
pub(crate) fn with_port(at: SocketAddr) -> Result<SocketAddr> {
    if at.port() == 0 {
        free_addr(at.ip())
    } else {
        Ok(at)
    }
}
