//! Loopback addresses and free ports. The whole of 127.0.0.0/8 is local on Linux, so every server
//! of a test gets its own address and may listen on 443 or 53 as the real one does.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use anyhow::{Result, bail};

static NEXT: AtomicU8 = AtomicU8::new(1);
static NEXT_PORT: AtomicU32 = AtomicU32::new(0);

/// An address of 127.0.0.0/8 that no other test of this process has, nor, as a rule, one of
/// another process: its middle bytes are the process id.
#[must_use]
pub fn loopback() -> Ipv4Addr {
    let [_, _, high, low] = process::id().to_be_bytes();
    // 127.0.x.y is where everything else on the machine listens.
    Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A port that is free for both TCP and UDP at every address, and that no other test of this process
/// is given. It lies below the ports from which the kernel dials, so that no client takes it meanwhile,
/// and above 10080, the last that browsers refuse to dial.
///
/// # Errors
/// When no port is free.
pub fn free_port() -> Result<u16> {
    const FIRST: u32 = 10_100;
    const PORTS: u32 = 21_900;
    for _ in 0..1000 {
        let turn = process::id().wrapping_mul(500);
        let turn = turn.wrapping_add(NEXT_PORT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + turn % PORTS)?;
        if is_free(port) {
            return Ok(port);
        }
    }
    bail!("no port is free for TCP and UDP alike")
}

/// This port if no server has it, or else a free one.
///
/// # Errors
/// As [`free_port`].
pub fn port_or_free(port: u16) -> Result<u16> {
    // TCP sockets that listen, and UDP sockets that are not connected.
    let serves = |state: &str| matches!(state, "0A" | "07");
    if is_used(port, serves) {
        free_port()
    } else {
        Ok(port)
    }
}

/// Lingering connections use a port as well.
fn is_free(port: u16) -> bool {
    !is_used(port, |_| true)
}

/// Whether a socket in such a state has the port, by the kernel's tables. A socket that was bound to try
/// the port would live on in a program that another thread is just starting.
fn is_used(port: u16, counts: impl Fn(&str) -> bool) -> bool {
    let ending = format!(":{port:04X}");
    ["tcp", "tcp6", "udp", "udp6"].iter().any(|table| {
        let table = format!("/proc/thread-self/net/{table}");
        // There is none where there is no IPv6.
        let table = fs::read_to_string(table).unwrap_or_default();
        table.lines().any(|line| {
            let mut columns = line.split_whitespace().skip(1);
            let (local, state) = (columns.next(), columns.nth(1));
            local.is_some_and(|address| address.ends_with(&ending)) && state.is_some_and(&counts)
        })
    })
}

/// A free port of `ip`, as an address a server can be given.
///
/// # Errors
/// As [`free_port`].
pub fn free_addr(ip: impl Into<IpAddr>) -> Result<SocketAddr> {
    Ok(SocketAddr::new(ip.into(), free_port()?))
}

/// The address as it is, or with a free port in place of port 0.
pub(crate) fn with_port(at: SocketAddr) -> Result<SocketAddr> {
    if at.port() == 0 {
        free_addr(at.ip())
    } else {
        Ok(at)
    }
}
