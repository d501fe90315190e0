//! Every way in which a stage can fail, each produced by a real server or socket that does exactly that,
//! and read from `regprobe check --output=json`. Also: what looks odd and is healthy.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::contoso::{Contoso, LOGIN};
use regprobe_harness::json::{items, text};
use regprobe_harness::need::Need;
use regprobe_harness::node::{Node, Report, TIMEOUT};
use regprobe_harness::openssl::{OpensslServer, Running};
use regprobe_harness::suite::{Suite, Test, test};
use regprobe_lab::acr::{Acr, Answer, Challenge, Route};
use regprobe_lab::addresses::{free_addr, loopback};
use regprobe_lab::dns::{Dns, Fault, OverTcp};
use regprobe_lab::netns::{Direction, Namespace};
use regprobe_lab::pki::{Identity, Leaf, Pki, self_signed};
use regprobe_lab::servers::{Bind, Dnsmasq, Nginx};
use regprobe_lab::sockets::{self, ALERT_UNRECOGNIZED_NAME};
use regprobe_lab::wait;

const AUTH: &str = "auth.lab.example";

/// A free port of the address on which BIND listens as well.
const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);
/// Addresses for documentation: unused, and without a route from a new namespace.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

pub(crate) fn suite() -> Suite {
    let failing = cases().into_iter().map(Case::into_test);
    let closed_set = test(
        "every reason of every stage is produced or explained",
        the_set_is_closed,
    );
    Suite::of(failing.chain(healthy()).chain([closed_set]))
}

fn cases() -> Vec<Case> {
    [resolve(), connect(), tls(), challenge(), token(), http()]
        .into_iter()
        .flatten()
        .collect()
}

/// What no server can cause, and why.
const NEVER: &[(&str, &[&str], &str)] = &[
    (
        "challenge token http",
        &["platform_mismatch"],
        "only a manifest has platforms; the fault lab has one that fits no node",
    ),
    (
        "connect",
        &["closed"],
        "a dial is answered by SYN-ACK, RST, ICMP or not at all; none of them is a FIN",
    ),
    (
        "tls challenge token http",
        &["refused"],
        "an open connection cannot be refused; dialling again is another `connect`",
    ),
    (
        "tls challenge token http",
        &["unreachable"],
        "ICMP is no more than a hint to a connection that stands (RFC 5461): it times out",
    ),
    (
        "tls challenge token http",
        &["local"],
        "descriptor, port and permission were there for `connect`, and no more is needed",
    ),
    (
        "challenge",
        &["unauthorized"],
        "401 is what is hoped for, and without a challenge it is `no_challenge`",
    ),
    (
        "token",
        &["no_challenge"],
        "a token service is not asked for a challenge",
    ),
    (
        "token",
        &["too_many_redirects"],
        "a token service's first redirect is denied",
    ),
    (
        "http",
        &[
            "unauthorized",
            "forbidden",
            "firewall",
            "not_found",
            "throttled",
            "server_error",
            "unexpected_status",
            "no_challenge",
            "too_many_redirects",
            "redirect_denied",
        ],
        "any status of a data endpoint is an answer, redirects among them",
    ),
];

fn resolve() -> Vec<Case> {
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
            ensure!(took < 0.05, "refused only after {took} s");
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

fn connect() -> Vec<Case> {
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

fn tls() -> Vec<Case> {
    vec![
        presents("tls expired: a certificate of last month", |leaf| {
            leaf.expired()
        }),
        presents("tls not_yet_valid: a certificate of next week", |leaf| {
            leaf.not_yet_valid()
        }),
        presents("tls name_mismatch: a name in the subject only", |leaf| {
            leaf.without_san()
        }),
        presents(
            "tls unknown_issuer: an intermediate not sent along",
            |leaf| leaf.via_unsent_intermediate(),
        ),
        fails("tls unknown_issuer: an authority nobody knows", || {
            let identity = Pki::new()?.leaf([LOGIN]).issue()?;
            let nginx = nginx(&identity)?;
            pinned_to(nginx.addr())?.check(&at(nginx.addr()))
        })
        .needs([Need::NGINX]),
        fails(
            "tls name_mismatch: the certificate of the private name",
            || {
                let pki = Pki::new()?;
                let identity = pki.leaf(["contoso.privatelink.azurecr.io"]).issue()?;
                let nginx = nginx(&identity)?;
                pinned_to(nginx.addr())?
                    .trusting(&pki.ca_pem())?
                    .check(&at(nginx.addr()))
            },
        )
        .needs([Need::NGINX]),
        fails("tls bad_certificate: a certificate for clients", || {
            OpensslServer::certified("-addext extendedKeyUsage=clientAuth", &[])?.check()
        })
        .needs([Need::OPENSSL]),
        fails("tls bad_certificate: a signature with SHA-1", || {
            OpensslServer::certified("-sha1", &["-cipher", "ALL:@SECLEVEL=0"])?.check()
        })
        .needs([Need::OPENSSL]),
        fails("tls version: TLS 1.1 at most", || {
            OpensslServer::start(&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"])?.check()
        })
        .needs([Need::OPENSSL]),
        fails("tls alert: no cipher in common", || {
            OpensslServer::start(&["-tls1_2", "-cipher", "AES128-SHA"])?.check()
        })
        .needs([Need::OPENSSL]),
        fails("tls alert: a front that does not know the name", || {
            dialling(sockets::tls_alerts((loopback(), 0), ALERT_UNRECOGNIZED_NAME)?.addr())
        }),
        fails("tls not_tls: plain HTTP on the port", || {
            let nginx = Nginx::at((loopback(), 0)).start()?;
            dialling(nginx.addr())
        })
        .needs([Need::NGINX]),
        fails("tls timeout: silence after the dial", || {
            let server = sockets::stalls((loopback(), 0))?;
            dialling(server.addr())
        }),
        fails("tls reset: RST upon the ClientHello", || {
            let server = sockets::tls_resets((loopback(), 0))?;
            dialling(server.addr())
        }),
        fails("tls closed: FIN upon the ClientHello", || {
            let server = sockets::tls_closes((loopback(), 0))?;
            dialling(server.addr())
        }),
    ]
}

fn challenge() -> Vec<Case> {
    let answers = [
        ("timeout", Answer::HangBeforeHeaders),
        ("timeout", Answer::HangInBody),
        ("reset", Answer::Reset),
        ("closed", Answer::Eof),
        ("malformed", Answer::Garbage),
        ("forbidden", Answer::Status(403)),
        ("firewall", Answer::Firewall([203, 0, 113, 9].into())),
        ("not_found", Answer::Status(404)),
        (
            "throttled",
            Answer::Throttled(Some(Duration::from_secs(30))),
        ),
        ("throttled", Answer::Throttled(None)),
        ("server_error", Answer::Status(500)),
        ("server_error", Answer::Status(503)),
        ("unexpected_status", Answer::Status(400)),
        ("no_challenge", Answer::Status(401)),
        ("no_challenge", Answer::CaptivePortal),
        ("too_large", Answer::HugeHeaders),
        ("too_large", Answer::EndlessHeaders),
        ("too_large", Answer::EndlessBody),
        ("too_many_redirects", Answer::RedirectLoop),
        (
            "redirect_denied",
            Answer::RedirectTo("https://login.example/".to_owned()),
        ),
    ];
    let mut cases = answering("challenge", Route::Ping, answers);
    cases.push(
        fails(
            "challenge malformed: TLS 1.3 that wants a client certificate",
            || OpensslServer::start(&["-tls1_3", "-Verify", "1"])?.check(),
        )
        .needs([Need::OPENSSL]),
    );
    cases
}

fn token() -> Vec<Case> {
    let answers = [
        ("timeout", Answer::HangBeforeHeaders),
        ("timeout", Answer::HangInBody),
        ("reset", Answer::Reset),
        ("closed", Answer::Eof),
        ("malformed", Answer::Garbage),
        ("malformed", Answer::NotJson),
        ("malformed", Answer::EmptyJson),
        ("forbidden", Answer::Status(403)),
        ("firewall", Answer::Firewall([203, 0, 113, 9].into())),
        ("not_found", Answer::Status(404)),
        ("throttled", Answer::Throttled(None)),
        ("server_error", Answer::Status(500)),
        ("unexpected_status", Answer::Status(400)),
        ("too_large", Answer::EndlessBody),
        ("too_large", Answer::HugeHeaders),
        (
            "redirect_denied",
            Answer::RedirectTo(format!("https://{LOGIN}/login")),
        ),
    ];
    let mut cases = answering("token", Route::Token, answers);
    cases.extend([
        fails(
            "token unauthorized: a denial where a grant is expected",
            || {
                let contoso = Contoso::new()?;
                contoso.checking().setting("anonymous_pull: true").run()
            },
        ),
        fails("token redirect_denied: a realm of plain HTTP", || {
            let metadata = "http://169.254.169.254/metadata/identity/oauth2/token";
            Contoso::new()?.challenges(Challenge::Realm(metadata.to_owned()))
        }),
        fails("token malformed: a realm that is no URL", || {
            Contoso::new()?.challenges(Challenge::Realm("oauth2/token".to_owned()))
        }),
        fails(
            "token redirect_denied: a realm at the metadata service",
            || {
                let (node, pki, ip) = (Namespace::new("node")?, Pki::new()?, [10, 240, 1, 4]);
                node.address("10.240.1.4/32")?;
                let acr = node.enter(|| Acr::at(LOGIN, (ip, 443)).tls(&pki).start())?;
                let realm = "https://169.254.169.254/token".to_owned();
                acr.answer(Route::Ping, Answer::Challenge(Challenge::Realm(realm)));
                let pinned = Node::pinning(LOGIN, ip)?.trusting(&pki.ca_pem())?;
                pinned.checking(LOGIN).inside(&node).run()
            },
        )
        .at("token")
        .needs([Need::Root, Need::IPROUTE]),
    ]);
    cases
}

fn http() -> Vec<Case> {
    let answers = [
        ("timeout", Answer::HangBeforeHeaders),
        ("reset", Answer::Reset),
        ("closed", Answer::Eof),
        ("malformed", Answer::Garbage),
        ("too_large", Answer::HugeHeaders),
        ("too_large", Answer::EndlessHeaders),
    ];
    let cases = answering("http", Route::Data, answers).into_iter();
    cases.map(|case| case.at("data")).collect()
}

fn healthy() -> Vec<Test> {
    let mut tests = vec![
        thrives("a truncated answer is asked for again over TCP", || {
            let contoso = Contoso::new()?;
            contoso.dns.break_all(Fault::Truncated(OverTcp::Answers));
            let report = contoso.check()?;
            let asked = contoso.dns.asked();
            ensure!(asked.iter().any(|asked| asked.over_tcp), "{asked:?}");
            Ok(report)
        }),
        thrives("an answer of BIND's too long for a packet", || {
            let contoso = Contoso::new()?;
            let zone = aliases(10, &"x".repeat(60), contoso.ip());
            let bind = Bind::at(ANY).zone("azurecr.io", &zone).max_udp_size(512);
            contoso.through(bind.start()?.addr())
        })
        .needs([Need::BIND]),
        thrives("a chain of five aliases", || {
            let contoso = Contoso::new()?;
            let zone = aliases(5, "alias", contoso.ip());
            let bind = Bind::at(ANY).zone("azurecr.io", &zone).start()?;
            let report = contoso.through(bind.addr())?;
            let chain = &report.lookup()?["chain"];
            ensure!(items(chain).count() == 5, "{chain}");
            ensure!(items(chain).all(|alias| alias["ttl"] == 60), "{chain}");
            Ok(report)
        })
        .needs([Need::BIND]),
        thrives("dnsmasq between the node and the zone", || {
            let contoso = Contoso::new()?;
            let cache = Dnsmasq::at((loopback(), 0)).forward_all(contoso.dns.addr());
            contoso.through(cache.start()?.addr())
        })
        .needs([Need::DNSMASQ]),
        thrives("addresses that rotate", || {
            let contoso = Contoso::at_addresses(3)?;
            contoso.dns.break_all(Fault::Rotate);
            let report = contoso.check()?;
            let addresses = &report.endpoint("login")?["addresses"];
            ensure!(items(addresses).count() == 3, "{addresses}");
            Ok(report)
        }),
        thrives("garbage before the answer", || {
            let contoso = Contoso::new()?;
            contoso.dns.break_all(Fault::GarbageThenTruth);
            contoso.check()
        }),
        thrives("a slow nameserver", || {
            let contoso = Contoso::new()?;
            let slow = Duration::from_millis(300);
            contoso.dns.break_all(Fault::Delay(slow));
            let report = contoso.check()?;
            let took = report.lookup()?["seconds"].as_f64().context("no time")?;
            ensure!(took >= slow.as_secs_f64(), "{took} s");
            Ok(report)
        }),
        thrives("TLS 1.2 at most", || {
            let pki = Pki::new()?;
            let front = Nginx::at((loopback(), 0)).tls(&pki.leaf([LOGIN]).issue()?);
            let nginx = front
                .protocols("TLSv1.2")
                .answer("/v2/", 200, "{}")
                .start()?;
            let node = pinned_to(nginx.addr())?.trusting(&pki.ca_pem())?;
            let report = node.check(&at(nginx.addr()))?;
            let version = text(&report.stage("login", "tls")?["detail"]);
            ensure!(version.starts_with("TLS1.2"), "{version}");
            Ok(report)
        })
        .needs([Need::NGINX]),
        thrives("a chain with an intermediate", || {
            let pki = Pki::new()?;
            let nginx = nginx(&pki.leaf([LOGIN]).via_intermediate().issue()?)?;
            let node = pinned_to(nginx.addr())?.trusting(&pki.ca_pem())?;
            let report = node.check(&at(nginx.addr()))?;
            let chain = &report.stage("login", "tls")?["certificates"];
            ensure!(items(chain).count() == 2, "{chain}");
            Ok(report)
        })
        .needs([Need::NGINX]),
        thrives("a certificate that signs itself, CA:TRUE, trusted", || {
            let identity = self_signed([LOGIN]).with_ca_true().issue()?;
            let nginx = nginx(&identity)?;
            let node = pinned_to(nginx.addr())?.trusting(identity.chain_pem())?;
            node.check(&at(nginx.addr()))
        })
        .needs([Need::NGINX]),
        thrives("a registry without a name", || {
            let (pki, ip) = (Pki::new()?, loopback());
            let nginx = nginx_at(ip, &pki.leaf([ip.to_string()]).issue()?)?;
            let node = Node::asking([])?.trusting(&pki.ca_pem())?;
            node.check(&nginx.addr().to_string())
        })
        .needs([Need::NGINX]),
        thrives("a token service on another host", || {
            let contoso = Contoso::new()?;
            let auth = Acr::at(AUTH, (loopback(), 0)).tls(&contoso.pki).start()?;
            contoso.dns.zone(AUTH).address(AUTH, [auth.addr().ip()], 60);
            let realm = format!("https://{}/oauth2/token", auth.server());
            let report = contoso.challenges(Challenge::Realm(realm))?;
            ensure!(auth.seen_on(Route::Token).len() == 1);
            ensure!(report.endpoint("token")?["host"] == AUTH);
            ensure!(report.stage("token", "token")?["ok"] == true);
            Ok(report)
        }),
        thrives("a private registry that denies the anonymous token", || {
            let report = Contoso::new()?.check()?;
            let detail = text(&report.stage("login", "token")?["detail"]);
            ensure!(detail.starts_with("denied"), "{detail}");
            Ok(report)
        }),
        thrives("a registry for everybody", || {
            let contoso = Contoso::new()?;
            contoso.acr.allow_anonymous_pull(true);
            let image = "images: [\"probe/hello:v1\"], anonymous_pull: true";
            let report = contoso.checking().setting(image).run()?;
            ensure!(report.stage("login", "token")?["detail"] == "granted");
            Ok(report)
        }),
        test(
            "read and yet failing: several challenges in one line",
            || {
                let report = Contoso::new()?.challenges(Challenge::Several)?;
                ensure!(report.stage("login", "token")?["ok"] == true);
                // containerd only reads the first challenge of a line.
                ensure!(report.verdict() == "failing");
                Ok(())
            },
        ),
        thrives("Basic alone: there is no token to ask for", || {
            let report = Contoso::new()?.challenges(Challenge::BasicOnly)?;
            ensure!(report.stage("login", "token").is_err());
            Ok(report)
        }),
    ];
    for challenge in [
        Challenge::MixedCase,
        Challenge::QuotedPairs,
        Challenge::ExtraParameters,
        Challenge::BasicAndBearer,
    ] {
        let story = format!("an odd and legal challenge, {challenge:?}");
        tests.push(thrives(&story, move || {
            let report = Contoso::new()?.challenges(challenge)?;
            ensure!(report.stage("login", "token")?["ok"] == true);
            Ok(report)
        }));
    }
    for (route, answers) in [
        (
            Route::Ping,
            vec![
                Answer::Mcr,
                Answer::EmptyJson,
                Answer::Chunked,
                Answer::Http10,
            ],
        ),
        (Route::Token, vec![Answer::Chunked, Answer::Http10]),
        (
            Route::Data,
            [400, 403, 404, 429, 500].map(Answer::Status).to_vec(),
        ),
        (
            Route::Data,
            vec![
                Answer::RedirectTo("https://elsewhere.example/".to_owned()),
                Answer::HangInBody,
                Answer::EndlessBody,
                Answer::Http10,
            ],
        ),
    ] {
        for answer in answers {
            tests.push(thrives(
                &format!("{route:?} answers {answer:?}"),
                move || {
                    let contoso = Contoso::new()?;
                    contoso.acr.answer(route, answer);
                    contoso.check()
                },
            ));
        }
    }
    tests
}

/// The metric has the set of reasons: the first failure of a stage creates a series for each of its reasons.
fn the_set_is_closed() -> Result<()> {
    let mut never = BTreeSet::new();
    for (stages, reasons, _) in NEVER {
        for stage in stages.split(' ') {
            never.extend(
                reasons
                    .iter()
                    .map(|reason| (stage.to_owned(), (*reason).to_owned())),
            );
        }
    }
    let produced: BTreeSet<_> = cases().iter().map(Case::stage_and_reason).collect();
    let set = reasons_of_a_running_agent()?;
    let both: Vec<_> = produced.intersection(&never).collect();
    ensure!(
        both.is_empty(),
        "produced, though said never to be: {both:?}"
    );
    let told: BTreeSet<_> = produced.union(&never).cloned().collect();
    let untold: Vec<_> = set.difference(&told).collect();
    ensure!(
        untold.is_empty(),
        "neither produced nor told why not: {untold:?}"
    );
    let unknown: Vec<_> = told.difference(&set).collect();
    ensure!(unknown.is_empty(), "no such reason: {unknown:?}");
    Ok(())
}

/// Every (stage, reason) in `/metrics` of an agent that sees each stage fail.
fn reasons_of_a_running_agent() -> Result<BTreeSet<(String, String)>> {
    let (refused, closed) = (sockets::closed(ANY)?, sockets::tls_closes(ANY)?);
    let plain = |route, answer| {
        let (ip, data) = (loopback(), loopback());
        let acr = Acr::at(&ip.to_string(), (ip, 0))
            .data(&data.to_string(), (data, 0))
            .start()?;
        acr.answer(route, answer);
        anyhow::Ok(acr)
    };
    let challenge = plain(Route::Ping, Answer::Status(503))?;
    let token = plain(Route::Token, Answer::Status(503))?;
    let http = plain(Route::Data, Answer::Eof)?;
    let data = http.data_addr(0).context("no data endpoint")?;
    let node = Node::asking([])?;
    let config = node.configure(&[
        format!("{{server: {LOGIN}}}"),
        format!("{{server: \"{}\"}}", refused.addr()),
        format!("{{server: \"{}\"}}", closed.addr()),
        format!("{{server: \"http://{}\"}}", challenge.addr()),
        format!("{{server: \"http://{}\"}}", token.addr()),
        format!(
            "{{server: \"http://{}\", data_endpoints: [\"http://{data}\"]}}",
            http.addr()
        ),
    ])?;
    let web = free_addr(loopback())?;
    let mut agent = node.regprobe(["run", "--log.level=error"]);
    agent.arg("--config.file").arg(config);
    agent.arg(format!("--web.listen-address={web}"));
    let _agent = Running::start(&mut agent)?;
    wait::until("every stage has failed", Duration::from_secs(30), || {
        let set = reasons_in(&scrape(web)?);
        let stages: BTreeSet<_> = set.iter().map(|(stage, _)| stage).collect();
        ensure!(stages.len() == 6, "only {stages:?}");
        Ok(set)
    })
}

fn reasons_in(metrics: &str) -> BTreeSet<(String, String)> {
    let label = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\""))?;
        Some(rest.split('"').next()?.to_owned())
    };
    metrics
        .lines()
        .filter(|line| line.starts_with("regprobe_stage_failures_total{"))
        .filter_map(|line| Some((label(line, "stage")?, label(line, "reason")?)))
        .collect()
}

fn scrape(web: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&web, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// One failure and its cause.
struct Case {
    /// `stage reason: story`
    name: String,
    role: &'static str,
    needs: Vec<Need>,
    run: Box<dyn FnOnce() -> Result<Report> + Send>,
}

/// At the login server for this reason, and nowhere else.
fn fails(name: &str, run: impl FnOnce() -> Result<Report> + Send + 'static) -> Case {
    Case {
        name: name.to_owned(),
        role: "login",
        needs: Vec::new(),
        run: Box::new(run),
    }
}

impl Case {
    /// At the endpoint of this role instead.
    fn at(self, role: &'static str) -> Self {
        Self { role, ..self }
    }

    fn needs(mut self, needs: impl IntoIterator<Item = Need>) -> Self {
        self.needs.extend(needs);
        self
    }

    fn stage_and_reason(&self) -> (String, String) {
        let (place, _) = self
            .name
            .split_once(": ")
            .expect("a colon before the story");
        let (stage, reason) = place.split_once(' ').expect("a stage and a reason");
        (stage.to_owned(), reason.to_owned())
    }

    fn into_test(self) -> Test {
        let (stage, reason) = self.stage_and_reason();
        let expected = BTreeSet::from([(self.role.to_owned(), stage, reason)]);
        test(self.name, move || {
            let report = (self.run)()?;
            let failures = report.failures();
            ensure!(failures == expected, "{failures:?} in {}", report.document);
            Ok(())
        })
        .needs(self.needs)
    }
}

/// Nothing fails, even if it looks odd.
fn thrives(story: &str, run: impl FnOnce() -> Result<Report> + Send + 'static) -> Test {
    test(format!("healthy: {story}"), || {
        let report = run()?;
        let failures = report.failures();
        ensure!(failures.is_empty(), "{failures:?} in {}", report.document);
        ensure!(report.verdict() == "ok", "{}", report.document);
        ensure!(report.status == Some(0), "exit status {:?}", report.status);
        Ok(())
    })
}

/// A case for each answer of this part of an otherwise healthy registry.
fn answering<const N: usize>(stage: &str, route: Route, answers: [(&str, Answer); N]) -> Vec<Case> {
    let case = |(reason, answer): (_, Answer)| {
        fails(&format!("{stage} {reason}: {answer:?}"), move || {
            let contoso = Contoso::new()?;
            contoso.acr.answer(route, answer);
            contoso.check()
        })
    };
    answers.into_iter().map(case).collect()
}

/// A certificate of a trusted authority with one flaw.
fn presents(
    name: &str,
    flaw: impl for<'pki> FnOnce(Leaf<'pki>) -> Leaf<'pki> + Send + 'static,
) -> Case {
    fails(name, || {
        let pki = Pki::new()?;
        let nginx = nginx(&flaw(pki.leaf([LOGIN])).issue()?)?;
        let node = pinned_to(nginx.addr())?.trusting(&pki.ca_pem())?;
        node.check(&at(nginx.addr()))
    })
    .needs([Need::NGINX])
}

/// A nameserver that knows the login server, which does not listen.
fn dns() -> Result<Dns> {
    let dns = Dns::start((loopback(), 0))?;
    dns.zone("azurecr.io").address(LOGIN, [loopback()], 60);
    Ok(dns)
}

fn asking_one_that_is(broken: Fault) -> Result<Report> {
    let dns = dns()?;
    dns.break_all(broken);
    Node::asking([dns.addr()])?.check(LOGIN)
}

/// Records that lead from the login server through this many aliases to its address.
fn aliases(count: usize, word: &str, ip: IpAddr) -> String {
    let names: Vec<_> = (1..=count).map(|n| format!("{word}{n}")).collect();
    let owners = std::iter::once("contoso").chain(names.iter().map(String::as_str));
    let chain: String = owners
        .zip(&names)
        .map(|(owner, target)| format!("{owner} CNAME {target}\n"))
        .collect();
    format!("{chain}{word}{count} A {ip}\n")
}

/// A node whose hosts file has the login server at this address.
fn pinned_to(addr: SocketAddr) -> Result<Node> {
    Node::pinning(LOGIN, addr.ip())
}

/// The login server on the port of this address.
fn at(addr: SocketAddr) -> String {
    format!("{LOGIN}:{}", addr.port())
}

fn dialling(addr: SocketAddr) -> Result<Report> {
    pinned_to(addr)?.check(&at(addr))
}

/// The report with the smallest sufficient number of descriptors.
fn starved(node: &Node, server: &str, enough: impl Fn(&Report) -> bool) -> Result<Report> {
    for limit in 4..64 {
        let output = node.checking(server).with_descriptors(limit).output()?;
        if let Some(report) = Report::of(&output).ok().filter(&enough) {
            return Ok(report);
        }
    }
    anyhow::bail!("no number of descriptors is enough")
}

/// A plain HTTP registry that answers one request and ends.
fn gone_after_challenge() -> Result<SocketAddr> {
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

fn nginx(identity: &Identity) -> Result<Nginx> {
    nginx_at(loopback(), identity)
}

/// It answers like a registry without authentication.
fn nginx_at(ip: Ipv4Addr, identity: &Identity) -> Result<Nginx> {
    Nginx::at((ip, 0))
        .tls(identity)
        .answer("/v2/", 200, "{}")
        .start()
}
