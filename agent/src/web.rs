//! The agent's HTTP server. It reads snapshots and the history and never waits for a probe. The files of
//! this folder answer the requests.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::TcpListener, time::Instant};

use self::connections::Connections;
pub(crate) use self::{connections::MAX_CONNECTIONS, settings::CurrentSettings, site::Site};

mod answer;
mod can_pull;
mod connections;
mod fleet;
mod history;
mod page_cache;
mod pages;
pub(crate) mod peers;
mod rate;
mod reply;
mod settings;
mod site;
mod users;

const BACKLOG: i32 = 512;
/// The least time between two warnings that connections cannot be accepted.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Binds `address`. Without a host it listens on every address of both families.
pub(crate) fn listen(address: &str) -> io::Result<TcpListener> {
    let addresses = addresses(address).ok_or_else(|| {
        let text = "not an address to listen on; write :9118, 127.0.0.1:9118 or [::1]:9118";
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })?;
    let mut bound = addresses.into_iter().map(bind);
    let first = bound
        .next()
        .unwrap_or_else(|| Err(io::ErrorKind::InvalidInput.into()));
    // A node without IPv6 has no socket of that family; then it listens on IPv4 only.
    first.or_else(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Err(error),
        _ => bound.next().unwrap_or(Err(error)),
    })
}

/// Serves until `stop` resolves, then finishes the answers that are in progress.
pub(crate) async fn serve(listener: TcpListener, site: Arc<Site>, stop: impl Future<Output = ()>) {
    let mut connections = Connections::of(site);
    tokio::pin!(stop);
    let mut warned: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => connections.add(stream, peer.ip()),
            Err(error) => {
                if warned.is_none_or(|at| at.elapsed() >= WARNING_INTERVAL) {
                    tracing::warn!(%error, "cannot accept a connection");
                    warned = Some(Instant::now());
                }
                // If no file descriptor is left, close an idle connection.
                if !connections.close_idle() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
    drop(listener);
    connections.finish().await;
}

/// The port is what follows the last colon, so an IPv6 address needs no brackets: a pod can only put the
/// node's address before `:9118`, whatever its family.
fn addresses(text: &str) -> Option<Vec<SocketAddr>> {
    if let Ok(address) = text.parse() {
        return Some(vec![address]);
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let hosts = match host {
        "" => vec![Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()],
        host => vec![host.parse::<IpAddr>().ok()?],
    };
    let addresses = hosts.into_iter().map(|host| SocketAddr::new(host, port));
    Some(addresses.collect())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_listen_on() {
        for (text, expected) in [
            (":9118", &["[::]:9118", "0.0.0.0:9118"][..]),
            ("10.240.0.4:9118", &["10.240.0.4:9118"]),
            ("[fd00::4]:9118", &["[fd00::4]:9118"]),
            ("fd00::4:9118", &["[fd00::4]:9118"]),
        ] {
            let addresses = addresses(text).unwrap();
            let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            assert_eq!(texts, expected, "{text}");
        }
        for text in [
            "",
            ":",
            "9118",
            "fd00::9118",
            "node:9118",
            ":65536",
            "[fd00::4]",
        ] {
            assert_eq!(addresses(text), None, "{text}");
        }
    }
}
