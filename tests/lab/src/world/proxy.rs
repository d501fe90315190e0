//! The proxy of a scene: squid for what proxies do by themselves, and the lab's own for what only
//! broken ones do.

use std::net::SocketAddr;

use anyhow::Result;

use super::{endpoints, nameservers, places};
use crate::fakes::acr::Acr;
use crate::fakes::dns::Dns;
use crate::fakes::proxy::{Proxy, Tunnel};
use crate::fakes::socks::{Socks, SocksProxy};
use crate::scenario::{Names, ProxyIs};
use crate::servers::{Squid, SquidBuilder};

/// Whatever stands where the proxy should, until dropped.
pub(super) enum Server {
    Squid { _squid: Squid, _nameserver: Dns },
    Lab { _proxy: Proxy },
    Interceptor { _proxy: Proxy, _impostor: Acr },
    Socks { _proxy: SocksProxy },
    Nobody,
}

/// Starts the proxy; to be called inside the network.
pub(super) fn start(is: ProxyIs) -> Result<Server> {
    let at = SocketAddr::new(places::PROXY.address(), places::PROXY_PORT);
    match is {
        ProxyIs::Healthy => squid(at, Names::Linked, |squid| squid),
        ProxyIs::Denying => squid(at, Names::Linked, |squid| squid.deny("azurecr.io")),
        ProxyIs::AskingForCredentials => {
            squid(at, Names::Linked, SquidBuilder::ask_for_credentials)
        }
        ProxyIs::CutOff => squid(at, Names::Unknown, |squid| squid),
        ProxyIs::HangingUp => broken(at, Tunnel::Eof),
        ProxyIs::Resetting => broken(at, Tunnel::Reset),
        ProxyIs::Hanging => broken(at, Tunnel::Hangs),
        ProxyIs::Babbling => broken(at, Tunnel::Garbage),
        ProxyIs::Intercepting => intercepting(at),
        ProxyIs::Socks => socks(Socks::Opens),
        ProxyIs::SocksWithPassword => socks(Socks::WantsPassword),
        ProxyIs::SocksDenying => socks(Socks::Denies),
        ProxyIs::Closed => Ok(Server::Nobody),
    }
}

fn squid(
    at: SocketAddr,
    login: Names,
    rules: impl FnOnce(SquidBuilder) -> SquidBuilder,
) -> Result<Server> {
    let nameserver = places::PROXY_NAMESERVER;
    Ok(Server::Squid {
        _nameserver: nameservers::knowing(nameserver, login)?,
        _squid: rules(Squid::at(at, nameserver)).start()?,
    })
}

fn socks(socks: Socks) -> Result<Server> {
    let at = SocketAddr::new(places::PROXY.address(), places::SOCKS_PORT);
    Ok(Server::Socks {
        _proxy: SocksProxy::start(at, socks, places::address_of)?,
    })
}

fn broken(at: SocketAddr, tunnel: Tunnel) -> Result<Server> {
    let proxy = Proxy::start(at)?;
    proxy.tunnel(tunnel);
    Ok(Server::Lab { _proxy: proxy })
}

fn intercepting(at: SocketAddr) -> Result<Server> {
    let impostor = endpoints::impostor(([127, 1, 1, 1], 443).into())?;
    let proxy = Proxy::start(at)?;
    proxy.host(&format!("{}:443", places::LOGIN.host), impostor.addr());
    Ok(Server::Interceptor {
        _proxy: proxy,
        _impostor: impostor,
    })
}
