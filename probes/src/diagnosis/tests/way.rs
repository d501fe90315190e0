//! Stories about the way to a host: addresses, the proxy, TLS.

use super::{
    Story,
    build::{
        FIRST, PRIVATE_DATA, PRIVATE_LOGIN, PUBLIC, bad_chain, certificate_ending_in_days, data,
        dial, expecting_any, found, issued_by, login, no_route, no_such_name, nothing, proxy, tls,
        without_nameserver,
    },
    critical, story, warning,
};
use crate::{
    diagnosis::Code::{
        AddressDown, CertificateExpired, CertificateExpiringSoon, CertificateInvalid,
        CertificateNameMismatch, CertificateNotYetValid, ConnectionRefused, EndpointTimeout,
        LargeClientHelloDropped, NoNameserver, NoRoute, NodeConfigInvalid, NodePolicyBlocked,
        NotTls, PathMtuBlackHole, PrivateEndpointTimeout, ProxyAuthRequired, ProxyBroken,
        ProxyDenied, ProxyUnreachable, TlsDropped, TlsIntercepted, TlsStalled, TlsVersion,
        TrustOutdated,
    },
    net::io_fault::{Errno, IoFault},
    node::unseen::Unseen,
    stages::{
        proxy::ProxyFault,
        resolve::ResolveFault,
        tls::{CertificateProblem, Lost, TlsFault},
    },
    words::{endpoint::Role, reason::Stage},
};

pub(super) fn stories() -> Vec<Story> {
    [addresses(), proxies(), certificates(), handshakes()].concat()
}

const NOT_FOR_SERVERS: &str = "x509: certificate specifies an incompatible key usage";

fn addresses() -> Vec<Story> {
    let timeout = || dial(IoFault::Timeout);
    let second = "10.240.1.14";
    let both = || login().answered(&FIRST, found([], [PRIVATE_LOGIN, second]));
    let dual = || login().answered(&FIRST, found([], [PUBLIC, "2001:db8::10"]));
    vec![
        story(
            "the private endpoint is silent",
            [login().fails(Stage::Connect, timeout())],
        )
        .fails_by([critical(PrivateEndpointTimeout)
            .on(PRIVATE_LOGIN)
            .saying("i/o timeout")]),
        story(
            "the public address is silent",
            [login()
                .resolves_by([], PUBLIC)
                .fails(Stage::Connect, timeout())],
        )
        .under(expecting_any())
        .fails_by([critical(EndpointTimeout).on(PUBLIC).saying("i/o timeout")]),
        story(
            "the data endpoint is down",
            [
                login(),
                data().fails(Stage::Connect, dial(IoFault::Refused)),
            ],
        )
        .fails_by([critical(ConnectionRefused)
            .at(Role::Data)
            .on(PRIVATE_DATA)
            .saying("connection refused")]),
        story(
            "the port is closed",
            [login().fails(Stage::Connect, dial(IoFault::Refused))],
        )
        .fails_by([critical(ConnectionRefused)
            .on(PRIVATE_LOGIN)
            .saying("connection refused")]),
        story(
            "there is no route",
            [login().fails(Stage::Connect, no_route())],
        )
        .fails_by([critical(NoRoute)
            .on(PRIVATE_LOGIN)
            .saying("network is unreachable")]),
        story(
            "the node does not let the packet out",
            [login().fails(Stage::Connect, dial(IoFault::Denied(Errno(13))))],
        )
        .unknown_with([warning(NodePolicyBlocked)
            .on(PRIVATE_LOGIN)
            .showing("permission denied")]),
        story(
            "the node lets packets out to one of two addresses",
            [both().fails_at(
                PRIVATE_LOGIN,
                Stage::Connect,
                dial(IoFault::Denied(Errno(1))),
            )],
        )
        .degraded_by([warning(NodePolicyBlocked).on(PRIVATE_LOGIN)]),
        story(
            "the node has no descriptors left",
            [login().fails(Stage::Connect, dial(IoFault::Local(Errno(24))))],
        )
        .unknown_with([]),
        story(
            "the node does not let questions out to its only nameserver",
            [login().answered(&FIRST, nothing(ResolveFault::Io(IoFault::Denied(Errno(1)))))],
        )
        .unknown_with([warning(NodePolicyBlocked)
            .by(&FIRST)
            .showing("operation not permitted")]),
        story(
            "the authority is in a file that the agent may not read",
            [login().fails(
                Stage::Tls,
                bad_chain(CertificateProblem::UnseenIssuer(Unseen::Bundle)),
            )],
        )
        .unknown_with([]),
        story(
            "the first of two addresses is dead",
            [both().fails_at(PRIVATE_LOGIN, Stage::Connect, timeout())],
        )
        .degraded_by([warning(AddressDown)
            .on(PRIVATE_LOGIN)
            .showing("10.240.1.14 accepts connections")]),
        story(
            "so is the second",
            [both().fails_at(second, Stage::Connect, timeout())],
        )
        .degraded_by([warning(AddressDown).on(second)]),
        story(
            "both are, and that is one finding",
            [both().fails(Stage::Connect, timeout())],
        )
        .fails_by([critical(PrivateEndpointTimeout)
            .on(PRIVATE_LOGIN)
            .saying("i/o timeout")]),
        story(
            "a node without IPv6 does not wait for it",
            [dual().fails_at("2001:db8::10", Stage::Connect, no_route())],
        )
        .under(expecting_any()),
        story(
            "a node with broken IPv6 waits for it",
            [dual().fails_at("2001:db8::10", Stage::Connect, timeout())],
        )
        .under(expecting_any())
        .degraded_by([warning(AddressDown).on("2001:db8::10")]),
    ]
}

fn proxies() -> Vec<Story> {
    let behind = || login().behind_the_proxy();
    let at_proxy = "198.18.2.30";
    vec![
        story(
            "behind a proxy no private address is expected",
            [behind(), data().behind_the_proxy()],
        ),
        story(
            "the proxy is silent",
            [
                behind().fails(Stage::Connect, dial(IoFault::Timeout)),
                data()
                    .behind_the_proxy()
                    .fails(Stage::Connect, dial(IoFault::Timeout)),
            ],
        )
        .fails_by([critical(ProxyUnreachable)
            .on(at_proxy)
            .saying("proxyconnect tcp")
            .showing("also contoso.westeurope.data.azurecr.io:443")]),
        story(
            "the proxy has no name",
            [behind().answered(&FIRST, no_such_name([], "contoso.example"))],
        )
        .fails_by([critical(ProxyUnreachable).saying("no such host")]),
        story(
            "no name at all can be resolved, the proxy's among them",
            [without_nameserver(behind())],
        )
        .fails_by([critical(NoNameserver).saying("connection refused")]),
        story(
            "the proxy forbids it",
            [behind().fails(
                Stage::Proxy,
                proxy(ProxyFault::Denied("403 Forbidden".to_owned())),
            )],
        )
        .fails_by([critical(ProxyDenied).on(at_proxy).saying("Forbidden")]),
        story(
            "the proxy wants credentials",
            [behind().fails(
                Stage::Proxy,
                proxy(ProxyFault::AuthRequired { sent: false }),
            )],
        )
        .fails_by([critical(ProxyAuthRequired)
            .on(at_proxy)
            .saying("Proxy Authentication Required")]),
        story(
            "the proxy cannot connect",
            [behind().fails(
                Stage::Proxy,
                proxy(ProxyFault::Failed("503 Service Unavailable".to_owned())),
            )],
        )
        .fails_by([critical(ProxyBroken)
            .on(at_proxy)
            .saying("Service Unavailable")]),
        story(
            "the proxy hangs up",
            [behind().fails(Stage::Proxy, proxy(ProxyFault::Io(IoFault::Closed)))],
        )
        .fails_by([critical(ProxyBroken).on(at_proxy).saying("EOF")]),
        story("Go drops the URL of the proxy and goes direct", [login()])
            .with_misread_proxy("Go cannot read HTTPS_PROXY as a URL")
            .degraded_by([warning(NodeConfigInvalid).showing("cannot read HTTPS_PROXY")]),
        story(
            "Go talks HTTP to a proxy that speaks something else",
            [
                behind().fails(Stage::Proxy, proxy(ProxyFault::Io(IoFault::Closed))),
                data()
                    .behind_the_proxy()
                    .fails(Stage::Proxy, proxy(ProxyFault::Io(IoFault::Closed))),
            ],
        )
        .with_misread_proxy("Go does not know the scheme \"socks\" of HTTPS_PROXY")
        .fails_by([critical(NodeConfigInvalid)
            .saying_nothing("releases differ in what they make of such a URL")
            .showing("does not know the scheme \"socks\"")]),
        story(
            "a SOCKS proxy has no rule for the registry",
            [behind().fails(
                Stage::Proxy,
                proxy(ProxyFault::SocksDenied(
                    "connection not allowed by ruleset".to_owned(),
                )),
            )],
        )
        .fails_by([critical(ProxyDenied)
            .on(at_proxy)
            .saying("unknown error connection not allowed by ruleset")]),
    ]
}

fn certificates() -> Vec<Story> {
    let refused = |problem| login().fails(Stage::Tls, bad_chain(problem));
    vec![
        story(
            "the node does not know a public authority",
            [login().fails(
                Stage::Tls,
                issued_by("C=US, O=Microsoft Corporation, CN=Microsoft TLS G2 RSA CA OCSP 02"),
            )],
        )
        .fails_by([critical(TrustOutdated)
            .on(PRIVATE_LOGIN)
            .saying("certificate signed by unknown authority")
            .showing("Microsoft TLS G2 RSA CA OCSP 02")]),
        story(
            "somebody intercepts TLS by a similar name",
            [login().fails(
                Stage::Tls,
                issued_by("O=Microsoft Corporation of Fabrikam, CN=x"),
            )],
        )
        .fails_by([critical(TlsIntercepted)
            .on(PRIVATE_LOGIN)
            .saying("certificate signed by unknown authority")]),
        story(
            "somebody intercepts TLS",
            [
                refused(CertificateProblem::UnknownIssuer),
                data().fails(Stage::Tls, bad_chain(CertificateProblem::UnknownIssuer)),
            ],
        )
        .fails_by([critical(TlsIntercepted)
            .on(PRIVATE_LOGIN)
            .saying("x509: certificate signed by unknown authority")
            .showing("issued by CN=Contoso Issuing CA")]),
        story(
            "the certificate has expired",
            [refused(CertificateProblem::Expired)],
        )
        .fails_by([critical(CertificateExpired)
            .on(PRIVATE_LOGIN)
            .saying("x509: certificate has expired or is not yet valid")]),
        story(
            "it is not valid yet",
            [refused(CertificateProblem::NotYetValid)],
        )
        .fails_by([critical(CertificateNotYetValid)
            .on(PRIVATE_LOGIN)
            .saying("x509: certificate has expired or is not yet valid")]),
        story(
            "it is for other names",
            [refused(CertificateProblem::NameMismatch)],
        )
        .fails_by([critical(CertificateNameMismatch)
            .on(PRIVATE_LOGIN)
            .saying("x509: certificate is valid for *.azurecr.io, not contoso.azurecr.io")]),
        story(
            "it is not for servers",
            [refused(CertificateProblem::Bad(NOT_FOR_SERVERS.to_owned()))],
        )
        .fails_by([critical(CertificateInvalid)
            .on(PRIVATE_LOGIN)
            .saying(NOT_FOR_SERVERS)]),
        story(
            "this agent cannot check its key",
            [refused(CertificateProblem::Uncheckable(
                "an RSA key of 1024 bits".to_owned(),
            ))],
        )
        .unknown_with([]),
        story(
            "it ends in 13 days",
            [login().shows(certificate_ending_in_days(13))],
        )
        .degraded_by([warning(CertificateExpiringSoon)
            .on(PRIVATE_LOGIN)
            .showing("expires in 13 days")]),
        story(
            "it ends in 15 days",
            [login().shows(certificate_ending_in_days(15))],
        ),
    ]
}

fn handshakes() -> Vec<Story> {
    let fails = |fault| login().fails(Stage::Tls, tls(fault));
    vec![
        story(
            "the handshake stalls",
            [fails(TlsFault::Io(IoFault::Timeout))],
        )
        .fails_by([critical(TlsStalled)
            .on(PRIVATE_LOGIN)
            .saying("TLS handshake timeout")]),
        story(
            "only a small hello passes",
            [fails(TlsFault::Lost(Lost::LargeHello))],
        )
        .fails_by([critical(LargeClientHelloDropped)
            .on(PRIVATE_LOGIN)
            .saying("TLS handshake timeout")]),
        story(
            "only small packets pass",
            [fails(TlsFault::Lost(Lost::LargePackets))],
        )
        .fails_by([critical(PathMtuBlackHole)
            .on(PRIVATE_LOGIN)
            .saying("TLS handshake timeout")]),
        story(
            "the handshake is reset",
            [fails(TlsFault::Io(IoFault::Reset))],
        )
        .fails_by([critical(TlsDropped)
            .on(PRIVATE_LOGIN)
            .saying("connection reset by peer")]),
        story(
            "the handshake is cut off",
            [fails(TlsFault::Io(IoFault::Closed))],
        )
        .fails_by([critical(TlsDropped).on(PRIVATE_LOGIN).saying("EOF")]),
        story(
            "the peer does not speak TLS",
            [fails(TlsFault::Broken("HTTP".to_owned()))],
        )
        .fails_by([critical(NotTls)
            .on(PRIVATE_LOGIN)
            .saying_nothing("Go has one text for HTTP and one for the rest")]),
        story(
            "there is no common TLS version",
            [fails(TlsFault::Version("TLS 1.0".to_owned()))],
        )
        .fails_by([critical(TlsVersion)
            .on(PRIVATE_LOGIN)
            .saying("remote error: tls")]),
        story(
            "there is no common cipher",
            [fails(TlsFault::Alert("handshake_failure".to_owned()))],
        )
        .fails_by([critical(TlsVersion)
            .on(PRIVATE_LOGIN)
            .saying("remote error: tls: handshake failure")]),
        story(
            "a gateway does not serve the name",
            [fails(TlsFault::Alert("unrecognized_name".to_owned()))],
        )
        .fails_by([critical(TlsDropped)
            .on(PRIVATE_LOGIN)
            .saying("remote error: tls: unrecognized name")
            .advising("does not serve contoso.azurecr.io")]),
    ]
}
