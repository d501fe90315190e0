//! A server that cannot be reached.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use anyhow::{Result, ensure};
use regprobe_harness::contoso::{Contoso, LOGIN};
use regprobe_harness::need::Need;
use regprobe_harness::node::{Node, Report};
use regprobe_lab::addresses::loopback;
use regprobe_lab::fakes::acr::Challenge;
use regprobe_lab::fakes::sockets;
use regprobe_lab::netns::{Direction, Namespace};

use super::{ANY, AUTH, Case, NOWHERE, at, dialling, fails, pinned_to, starved};

pub(super) fn connect() -> Vec<Case> {
    vec![
        fails("connect refused: a closed port", || {
            dialling(sockets::closed((loopback(), 0))?.addr())
        }),
        fails(
            "connect refused: a server gone between two requests",
            || {
                let server = gone_after_challenge()?;
                let node = Node::pinning(LOGIN, server.ip())?;
                let report = node.check(&format!("http://{LOGIN}:{}", server.port()))?;
                ensure!(report.stage("login", "challenge")?["ok"] == true);
                Ok(report)
            },
        ),
        fails("connect refused: a token host without a server", || {
            let contoso = Contoso::new()?;
            let nobody = sockets::closed((loopback(), 0))?.addr();
            contoso.dns.zone(AUTH).address(AUTH, [nobody.ip()], 60);
            contoso.challenges(Challenge::Realm(format!(
                "https://{AUTH}:{}/",
                nobody.port()
            )))
        })
        .at("token"),
        fails("connect timeout: a SYN that nobody answers", || {
            let deaf = sockets::unanswered((loopback(), 0))?;
            dialling(deaf.addr())
        }),
        fails(
            "connect reset: a firewall that rejects after SYN-ACK",
            || {
                let node = Namespace::new("node")?;
                let server = node.enter(|| sockets::stalls(ANY))?;
                let acknowledgement = "tcp flags & (syn | ack) == ack";
                let server_side = format!("tcp dport {} {acknowledgement}", server.addr().port());
                node.filter(
                    Direction::In,
                    &format!("{server_side} reject with tcp reset"),
                )?;
                pinned_to(server.addr())?
                    .checking(&at(server.addr()))
                    .inside(&node)
                    .run()
            },
        )
        .needs([Need::Root, Need::IPROUTE, Need::NFTABLES]),
        fails("connect unreachable: no route to the registry", || {
            let island = Namespace::new("island")?;
            let node = Node::pinning(LOGIN, NOWHERE)?;
            node.checking(LOGIN).inside(&island).run()
        })
        .needs([Need::Root, Need::IPROUTE]),
        fails("connect unreachable: a router that says so by ICMP", || {
            let node = Namespace::new("node")?;
            node.address("192.0.2.7/32")?;
            node.filter(
                Direction::In,
                "tcp dport 443 reject with icmp host-unreachable",
            )?;
            Node::pinning(LOGIN, NOWHERE)?
                .checking(LOGIN)
                .inside(&node)
                .run()
        })
        .needs([Need::Root, Need::IPROUTE, Need::NFTABLES]),
        fails("connect local: no descriptor left for a connection", || {
            let contoso = Contoso::at_addresses(3)?;
            // Just enough for the two questions is too little for three dials at once.
            let found = |report: &Report| report.lookup().is_ok_and(|l| l["result"] == "noerror");
            starved(&contoso.node, &contoso.acr.server(), found)
        }),
    ]
}

/// A plain HTTP registry that answers one request and ends.
pub(super) fn gone_after_challenge() -> Result<SocketAddr> {
    let listener = TcpListener::bind((loopback(), 0))?;
    let addr = listener.local_addr()?;
    let port = addr.port();
    thread::spawn(move || -> Result<()> {
        let (mut client, _) = listener.accept()?;
        drop(listener);
        let _ = client.read(&mut [0; 4096])?;
        let challenge = format!("Bearer realm=\"http://{LOGIN}:{port}/token\"");
        write!(
            client,
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\n\
            Content-Length: 0\r\nConnection: close\r\n\r\n"
        )?;
        Ok(())
    });
    Ok(addr)
}
