//! A nameserver that fails, and names that lead nowhere.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use regprobe_harness::contoso::{Contoso, LOGIN};
use regprobe_harness::need::Need;
use regprobe_harness::node::{Node, Report, TIMEOUT};
use regprobe_lab::addresses::{free_addr, loopback};
use regprobe_lab::fakes::dns::{Dns, Fault, OverTcp};
use regprobe_lab::fakes::sockets;
use regprobe_lab::netns::Namespace;
use regprobe_lab::servers::{Bind, Dnsmasq};

use super::{ANY, Case, NOWHERE, fails, starved};

pub(super) fn resolve() -> Vec<Case> {
    vec![
        fails("resolve nxdomain: a zone without the name", || {
            let zone = Bind::at(ANY).zone("azurecr.io", "fabrikam A 192.0.2.8");
            let bind = zone.start()?;
            Node::asking([bind.addr()])?.check(LOGIN)
        })
        .needs([Need::BIND]),
        fails("resolve nodata: a name that has only a text", || {
            let zone = Bind::at(ANY).zone("azurecr.io", "contoso TXT moved");
            let bind = zone.start()?;
            Node::asking([bind.addr()])?.check(LOGIN)
        })
        .needs([Need::BIND]),
        fails("resolve servfail: a zone that cannot be loaded", || {
            let bind = Bind::at(ANY).broken_zone("azurecr.io").start()?;
            Node::asking([bind.addr()])?.check(LOGIN)
        })
        .needs([Need::BIND]),
        fails("resolve servfail: a forwarder to a closed port", || {
            let upstream = sockets::closed(ANY)?;
            let forwarder = Bind::at(ANY).forward("azurecr.io", upstream.addr());
            let bind = forwarder.start()?;
            Node::asking([bind.addr()])?.check(LOGIN)
        })
        .needs([Need::BIND]),
        fails("resolve rejected: BIND without the zone", || {
            let bind = Bind::at(ANY).zone("example", "").start()?;
            Node::asking([bind.addr()])?.check(LOGIN)
        })
        .needs([Need::BIND]),
        fails("resolve rejected: dnsmasq without upstream", || {
            let dnsmasq = Dnsmasq::at((loopback(), 0)).start()?;
            Node::asking([dnsmasq.addr()])?.check(LOGIN)
        })
        .needs([Need::DNSMASQ]),
        fails("resolve refused: a closed UDP port, at once", || {
            let nobody = free_addr(loopback())?;
            let report = Node::asking([nobody])?.check(LOGIN)?;
            let took = report.lookup()?["seconds"].as_f64().context("no time")?;
            ensure!(took < TIMEOUT.as_secs_f64(), "refused only after {took} s");
            Ok(report)
        }),
        fails("resolve timeout: a nameserver that is silent", || {
            asking_one_that_is(Fault::Silent)
        }),
        fails("resolve timeout: one packet lost, not asked again", || {
            let contoso = Contoso::new()?;
            contoso.dns.break_name(LOGIN, Fault::DropNext(1));
            let report = contoso.check()?;
            let asked = contoso.dns.queries_for(LOGIN);
            ensure!(asked == 2, "A and AAAA, and {asked} questions");
            let took = report.lookup()?["seconds"].as_f64().context("no time")?;
            ensure!(took >= TIMEOUT.as_secs_f64(), "gave up after {took} s");
            Ok(report)
        }),
        fails("resolve timeout: TC, and TCP that hangs", || {
            asking_one_that_is(Fault::Truncated(OverTcp::Hangs))
        }),
        fails("resolve refused: TC, and a closed TCP port", || {
            let dns = Dns::start_without_tcp((loopback(), 0))?;
            dns.break_all(Fault::Truncated(OverTcp::Answers));
            Node::asking([dns.addr()])?.check(LOGIN)
        }),
        fails("resolve reset: TC, and TCP that resets", || {
            asking_one_that_is(Fault::Truncated(OverTcp::Resets))
        }),
        fails("resolve closed: TC, and TCP that closes", || {
            asking_one_that_is(Fault::Truncated(OverTcp::Closes))
        }),
        fails("resolve malformed: bytes that are no message", || {
            asking_one_that_is(Fault::Garbage)
        }),
        fails("resolve malformed: an answer with another id", || {
            asking_one_that_is(Fault::WrongId)
        }),
        fails("resolve malformed: an answer to another question", || {
            asking_one_that_is(Fault::WrongQuestion)
        }),
        fails("resolve malformed: two aliases of each other", || {
            asking_one_that_is(Fault::CnameLoop)
        }),
        fails("resolve no_nameserver: an empty resolv.conf", || {
            Node::asking([])?.check(LOGIN)
        }),
        fails("resolve unreachable: no route to the nameserver", || {
            let island = Namespace::new("island")?;
            let node = Node::asking([SocketAddr::from((NOWHERE, 53))])?;
            node.checking(LOGIN).inside(&island).run()
        })
        .needs([Need::Root, Need::IPROUTE]),
        fails("resolve local: no descriptor left for a socket", || {
            let contoso = Contoso::new()?;
            // The agent's files leave one socket for two questions.
            starved(&contoso.node, &contoso.acr.server(), |_| true)
        }),
    ]
}

/// A nameserver that knows the login server, which does not listen.
pub(super) fn dns() -> Result<Dns> {
    let dns = Dns::start((loopback(), 0))?;
    dns.zone("azurecr.io").address(LOGIN, [loopback()], 60);
    Ok(dns)
}

pub(super) fn asking_one_that_is(broken: Fault) -> Result<Report> {
    let dns = dns()?;
    dns.break_all(broken);
    Node::asking([dns.addr()])?.check(LOGIN)
}
