//! The blocks of the runbooks for the node, pasted into a shell on a node that has the finding: they run, and
//! show what the page says.

use std::fs;

use anyhow::{Context, Result, ensure};
use regprobe_harness::need::Need;
use regprobe_harness::program::repository;
use regprobe_harness::suite::{Suite, Test, test};
use regprobe_lab::scenario::Scenario;
use regprobe_lab::world::World;

/// A page, a scenario with its finding, and what the block shows there.
const SHOWN: [(&str, &str, &[&str]); 65] = [
    (
        "AddressDown",
        "tcp-first-of-two-addresses-silent",
        &["10.240.1.3 dead", "10.240.1.4 open"],
    ),
    (
        "BlobCorrupt",
        "image-blob-is-a-page",
        &["401 application/json"],
    ),
    ("BlobUnavailable", "image-blob-gone", &["403 10.240.1.5"]),
    (
        "CertificateExpired",
        "tls-certificate-expired",
        &["notAfter="],
    ),
    (
        "CertificateExpiringSoon",
        "tls-certificate-ends-soon",
        &["== 10.240.1.4", "notAfter="],
    ),
    (
        "CertificateNameMismatch",
        "tls-certificate-for-another-name",
        &["DNS:fabrikam.azurecr.io"],
    ),
    (
        "CertificateNotYetValid",
        "tls-certificate-not-yet-valid",
        &["UTC 20"],
    ),
    ("ClockSkew", "http-clock-skew", &["Date: "]),
    (
        "ConnectionDropped",
        "http-hangs-up",
        &["1 000 10.240.1.4 ", "5 000 10.240.1.4 "],
    ),
    (
        "ConnectionRefused",
        "tcp-refused",
        &["10.240.1.4", "closed"],
    ),
    (
        "CredentialsRequired",
        "token-denied-where-anonymous-pull-is-expected",
        &["401"],
    ),
    (
        "ClientSecretRejected",
        "token-client-secret-expired",
        &["401"],
    ),
    ("PrincipalUnknown", "token-principal-unknown", &["401"]),
    ("PullSecretInvalid", "token-secret-malformed", &["401"]),
    (
        "PullSecretNoMatch",
        "token-secret-for-another-registry",
        &["401"],
    ),
    (
        "IdentityNotOnNode",
        "identity-removed-from-the-scale-set",
        &["Identity not found", "400"],
    ),
    (
        "IdentityAmbiguous",
        "identity-one-of-several",
        &["Multiple user assigned identities exist", "400"],
    ),
    ("MetadataUnreachable", "identity-metadata-closed", &["000"]),
    ("MetadataProxied", "identity-metadata-proxied", &["400"]),
    ("MetadataThrottled", "identity-metadata-throttled", &["429"]),
    (
        "PullRoleMissing",
        "exchange-identity-without-a-role",
        &["401"],
    ),
    ("ExchangeRefused", "exchange-forbidden", &["401", "403"]),
    (
        "RepositoryNotPermitted",
        "token-repository-not-permitted",
        &["401"],
    ),
    (
        "EndpointTimeout",
        "tcp-public-registry-silent",
        &[
            "myregistry.azurecr.io 000",
            "myregistry.westeurope.data.azurecr.io 403",
        ],
    ),
    (
        "Forbidden",
        "http-forbidden",
        &[
            "< HTTP/1.1 403 Forbidden",
            "< X-Ms-Correlation-Request-Id: ",
        ],
    ),
    (
        "HostsFileOverride",
        "drift-hosts-file-pins-dead-address",
        &[
            "10.240.1.99 myregistry.azurecr.io",
            "== 10.240.1.99\n000\n",
            "== 10.240.1.4\n401\n",
        ],
    ),
    (
        "LargeClientHelloDropped",
        "tls-middlebox-drops-large-hello",
        &["Protocol version: TLSv1.3", "exit status 124"],
    ),
    ("MalformedResponse", "http-garbage", &["000"]),
    (
        "MirrorFailing",
        "mirror-closed",
        &["https://mirror.contoso.example 000"],
    ),
    (
        "NameNotFound",
        "dns-no-such-registry",
        &["status: NXDOMAIN", "hostmaster.azurecr.io"],
    ),
    (
        "NameserverDown",
        "dns-first-nameserver-silent",
        &["+notcp is silent", "+notcp answers"],
    ),
    (
        "NameserverFailing",
        "dns-only-nameserver-failing",
        &["status: SERVFAIL", "status: NOERROR"],
    ),
    (
        "NameserversDisagree",
        "dns-nameservers-disagree",
        &["10.240.1.4\n", "10.240.1.14\n"],
    ),
    (
        "NoAddress",
        "dns-public-name-without-address",
        &["status: NOERROR", "hostmaster.cloudapp.azure.com"],
    ),
    ("NoNameserver", "dns-no-nameserver", &["/etc/resolv.conf"]),
    ("NoResponse", "http-no-answer", &["000 tls", "ESTAB"]),
    (
        "NoRoute",
        "tcp-no-default-route",
        &["Network is unreachable"],
    ),
    (
        "NotARegistry",
        "http-captive-portal",
        &["< HTTP/1.1 200 OK", "text/html"],
    ),
    ("NotTls", "tls-plain-http", &["wrong version number"]),
    (
        "PathMtuBlackHole",
        "tls-large-packets-lost",
        &["10.240.1.4 via 198.18.0.1", "backoff:", "exit status 124"],
    ),
    (
        "PlatformMismatch",
        "image-for-another-platform",
        &["architecture"],
    ),
    (
        "PrivateEndpointTimeout",
        "tcp-private-endpoint-silent",
        &["closed", "10.240.1.4 via 198.18.0.1"],
    ),
    (
        "PrivateLinkRecordMissing",
        "drift-login-record-missing",
        &["status: NXDOMAIN", "hostmaster.privatelink.azurecr.io"],
    ),
    (
        "PrivateLinkShadowZone",
        "drift-data-shadow-zone",
        &["hostmaster.westeurope.data.privatelink.azurecr.io"],
    ),
    (
        "PrivateLinkZoneNotLinked",
        "drift-zone-not-linked-public-access-on",
        &["myregistry.privatelink.azurecr.io", "203.0.113.10"],
    ),
    (
        "ProxyAuthRequired",
        "proxy-asks-for-credentials",
        &["HTTPS_PROXY=", "Proxy-Authenticate: Basic", "direct 401"],
    ),
    (
        "ProxyBroken",
        "proxy-hangs-up",
        &["HTTPS_PROXY=", "CONNECT 000", "direct 401"],
    ),
    (
        "ProxyDenied",
        "proxy-denies",
        &[
            "HTTPS_PROXY=",
            "myregistry.azurecr.io CONNECT 403",
            "myregistry.azurecr.io direct 401",
        ],
    ),
    (
        "ProxyUnreachable",
        "proxy-closed",
        &["HTTPS_PROXY=", "closed\n401"],
    ),
    (
        "PublicAddress",
        "drift-no-private-link-at-all",
        &["203.0.113.10"],
    ),
    (
        "RegistryError",
        "http-server-error",
        &["5 500 10.240.1.4", "< X-Ms-Correlation-Request-Id: "],
    ),
    (
        "RegistryFirewall",
        "http-firewall",
        &["client with IP '198.51.100.7' is not allowed"],
    ),
    (
        "Throttled",
        "http-throttled",
        &["429 Too Many Requests", "< Retry-After: 30"],
    ),
    ("TlsDropped", "tls-closed-at-once", &["unexpected eof"]),
    ("TlsIntercepted", "tls-intercepted", &["issuer="]),
    (
        "TlsStalled",
        "tls-stalls",
        &[
            "open",
            "myregistry.azurecr.io: exit status 124",
            "other.example: exit status 124",
        ],
    ),
    ("SlowDownload", "image-layers-come-slowly", &["10.240.1.5 "]),
    (
        "TlsVersion",
        "tls-old-version",
        &["-tls1_3 fails", "-tls1_2 fails"],
    ),
    (
        "UnexpectedAddress",
        "drift-outside-expected-ranges",
        &["10.99.1.4"],
    ),
    (
        "alerts/RegprobeLatencySloBurn",
        "fine-private-registry",
        &["Query time: ", "5 name "],
    ),
    (
        "alerts/RegprobeRegistryFailingOnManyNodes",
        "http-unavailable",
        &["503 10.240.1.4"],
    ),
    (
        "alerts/RegprobeSlowPullsPredicted",
        "tcp-first-of-two-addresses-silent",
        &["10.240.1.3 000 ", "10.240.1.4 401 "],
    ),
    (
        "guides/localdns",
        "drift-local-cache-is-stale",
        &["nameserver 169.254.10.10", "== 168.63.129.16"],
    ),
    (
        "guides/required-egress",
        "fine-private-registry",
        &["mcr.microsoft.com 000 ", "myregistry.azurecr.io 404 "],
    ),
    (
        "guides/unauthorized",
        "token-denied-where-anonymous-pull-is-expected",
        &["000"],
    ),
];

/// Programs that nodes have, and this machine has not.
const ELSEWHERE: [&str; 3] = ["chronyc", "crictl", "resolvectl"];

/// What a shell or a program prints about words that it does not know.
const NOT_UNDERSTOOD: [&str; 7] = [
    "command not found",
    "syntax error",
    "unexpected token",
    "invalid option",
    "unrecognized option",
    "Permission denied",
    "Operation not permitted",
];

pub(crate) fn suite() -> Suite {
    let tests = SHOWN.into_iter().map(as_test);
    Suite::of(tests).at_a_time(6)
}

fn as_test((page, scenario, shown): (&'static str, &'static str, &'static [&'static str])) -> Test {
    test(format!("{page} is confirmed on the node"), move || {
        let said = paste(page, scenario)?;
        let is_known = |line: &&str| {
            let is_elsewhere = ELSEWHERE.iter().any(|program| line.contains(program));
            is_elsewhere || !NOT_UNDERSTOOD.iter().any(|text| line.contains(text))
        };
        ensure!(said.lines().all(|line| is_known(&line)), "{said}");
        if std::env::var_os("REGPROBE_LAB_TELL").is_some() {
            println!("{page}:\n{said}");
        }
        for text in shown {
            ensure!(said.contains(text), "no {text:?} in\n{said}");
        }
        Ok(())
    })
    .needs(Need::WORLD)
    .needs([Need::CURL, Need::DIG, Need::IPTABLES, Need::OPENSSL])
}

/// What appears if the block of a page is pasted where a scenario holds.
fn paste(page: &str, scenario: &str) -> Result<String> {
    let scenarios = repository("tests/scenarios");
    let text = fs::read_to_string(scenarios.join(format!("{scenario}.yaml")))?;
    // The pages ask Azure's nameserver. Most scenarios have one of their own in its place.
    let text = text.replace("198.18.0.53", AZURE);
    let mut scenario = Scenario::parse(&text)?;
    let nameservers = &mut scenario.world.nameservers;
    if nameservers.is_empty() {
        let healthy = format!("world: {{nameservers: [{{at: {AZURE}}}]}}\n{REST}");
        nameservers.append(&mut Scenario::parse(&healthy)?.world.nameservers);
    }
    let mut world = World::new()?;
    world.set(&scenario)?.paste(&block(page)?)
}

const AZURE: &str = "168.63.129.16";
const REST: &str = "story: Nothing is wrong.\ncontainerd: {does: pulls}\nverdict: ok\n";

/// The block for the node, with the names of the lab for those of the page.
fn block(page: &str) -> Result<String> {
    let text = fs::read_to_string(repository("deploy/runbooks").join(format!("{page}.md")))?;
    let (_, node) = text
        .split_once("\n### Node\n")
        .context("nothing for the node")?;
    let (node, _) = node.split_once("\n##").context("nothing after it")?;
    // The first block opens the shell.
    let mut blocks = node.split("```sh\n").skip(2);
    let block = blocks.next().context("no block")?;
    ensure!(blocks.next().is_none(), "{page}: more than one block");
    let (block, _) = block.split_once("```").context("no end")?;
    let names = [
        ("contoso", "myregistry"),
        ("proxy.example", "proxy.contoso.example"),
    ];
    Ok(names
        .iter()
        .fold(block.to_owned(), |block, (theirs, ours)| {
            block.replace(theirs, ours)
        }))
}
