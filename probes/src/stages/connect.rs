//! The stage `connect`: one TCP dial to one address, with a deadline, and what the kernel measured. It
//! never resolves a name and never tries a second address.

use std::{io, net::SocketAddr, os::fd::AsRawFd, time::Duration};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout_at},
};

use crate::net::{io_fault::IoFault, wire::Wire};

/// The segments that every host takes (RFC 9293, section 3.7.1).
const SMALL_SEGMENT: u32 = 536;

/// Dials `address`; returns the connection and what the kernel measured.
pub(crate) async fn dial(
    address: SocketAddr,
    deadline: Instant,
) -> Result<(Wire, Connected), IoFault> {
    connect(socket(address)?, address, deadline).await
}

/// Like [`dial`], but both sides send only small packets.
pub(crate) async fn dial_for_small_packets(
    address: SocketAddr,
    deadline: Instant,
) -> Result<Wire, IoFault> {
    let socket = socket(address)?;
    socket.set_tcp_mss(SMALL_SEGMENT)?;
    let (wire, _) = connect(socket, address, deadline).await?;
    Ok(wire)
}

async fn connect(
    socket: Socket,
    address: SocketAddr,
    deadline: Instant,
) -> Result<(Wire, Connected), IoFault> {
    let socket = TcpSocket::from_std_stream(socket.into());
    let stream = timeout_at(deadline, socket.connect(address))
        .await
        .map_err(|_| IoFault::Timeout)??;
    let connected = Connected::of(&stream);
    Ok((Wire::new(stream), connected))
}

/// What the kernel measured of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// Smoothed round-trip time; `None` if the kernel does not report it.
    pub rtt: Option<Duration>,
    /// Retransmits so far, including lost SYNs.
    pub retransmits: u32,
    /// How long the client tried TLS over another connection before, where it fell back to plain HTTP.
    pub fell_back_after: Option<Duration>,
}

impl Connected {
    /// The time from SYN to SYN/ACK of a new connection. `None` if the SYN was retransmitted, because
    /// the kernel does not know which one was answered.
    pub(crate) fn took(&self) -> Option<Duration> {
        self.rtt
            .filter(|rtt| self.retransmits == 0 && !rtt.is_zero())
    }

    /// Reads the kernel's `TCP_INFO` of this moment.
    pub fn of(stream: &TcpStream) -> Self {
        match tcp_info(stream) {
            Ok(info) => Self {
                rtt: Some(Duration::from_micros(info.tcpi_rtt.into())),
                retransmits: info.tcpi_total_retrans,
                fell_back_after: None,
            },
            Err(_) => Self {
                rtt: None,
                retransmits: 0,
                fell_back_after: None,
            },
        }
    }
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

#[expect(unsafe_code, reason = "neither nix nor socket2 wraps TCP_INFO")]
fn tcp_info(stream: &TcpStream) -> io::Result<libc::tcp_info> {
    // SAFETY: `tcp_info` is plain integers, for which all zeroes is a value; the kernel writes at most
    // `length` bytes of it and older kernels write fewer.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the descriptor is open while `stream` is borrowed; both pointers outlive the call.
    let status = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    match status {
        0 => Ok(info),
        _ => Err(io::Error::last_os_error()),
    }
}
