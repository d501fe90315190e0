//! What the builders are given: nameservers' answers, faults, and the evidence of healthy stages.

use std::{net::IpAddr, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::build::PUBLIC;
use crate::{
    net::io_fault::{Errno, IoFault},
    outcome::{Evidence, Fault, WalkEnd},
    stages::{
        challenge::{Access, Bearer, Challenge},
        http::{
            HttpAnswer,
            fault::{HttpFault, Refusal},
        },
        proxy::ProxyFault,
        resolve::{Alias, Answer, Negative, ResolveFault},
        tls::{Certificate, CertificateProblem, Chain, Handshake, TlsFault},
        token::Token,
    },
    words::{digest::Digest, reason::Stage, throughput::Download},
};

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A nameserver's answers for a name.
#[derive(Clone, Debug)]
pub(super) struct NameserverSays {
    pub(super) a: Result<Answer, ResolveFault>,
    pub(super) aaaa: Result<Answer, ResolveFault>,
}

impl NameserverSays {
    /// The question for IPv6 addresses gets no answer.
    pub(super) fn without_ipv6_answer(self) -> Self {
        Self {
            aaaa: Err(ResolveFault::Io(IoFault::Timeout)),
            ..self
        }
    }
}

/// Addresses of both families, behind these aliases.
pub(super) fn found<'a>(
    chain: impl IntoIterator<Item = &'a str>,
    addresses: impl IntoIterator<Item = &'a str>,
) -> NameserverSays {
    let chain = aliases(chain);
    let (v4, v6) = addresses.into_iter().map(ip).partition(IpAddr::is_ipv4);
    let answer = |addresses: Vec<IpAddr>| match addresses.is_empty() {
        true => Err(ResolveFault::NoData(Negative {
            chain: chain.clone(),
            soa: None,
        })),
        false => Ok(Answer {
            chain: chain.clone(),
            addresses,
            ttl: 60,
            is_cut: false,
        }),
    };
    NameserverSays {
        a: answer(v4),
        aaaa: answer(v6),
    }
}

/// Through private link.
pub(super) fn private(address: &str) -> NameserverSays {
    found(["contoso.privatelink.azurecr.io"], [address])
}

/// Through private link and out again.
pub(super) fn not_linked() -> NameserverSays {
    found(
        ["contoso.privatelink.azurecr.io", "eus1.fe.azcr.io"],
        [PUBLIC],
    )
}

pub(super) fn no_such_name<const N: usize>(chain: [&str; N], zone: &str) -> NameserverSays {
    nothing(ResolveFault::NxDomain(negative(chain, zone)))
}

pub(super) fn no_address<const N: usize>(chain: [&str; N], zone: &str) -> NameserverSays {
    nothing(ResolveFault::NoData(negative(chain, zone)))
}

pub(super) fn record_missing() -> NameserverSays {
    no_such_name(["contoso.privatelink.azurecr.io"], "privatelink.azurecr.io")
}

pub(super) fn silence() -> NameserverSays {
    nothing(ResolveFault::Io(IoFault::Timeout))
}

/// Nobody, where nobody was named.
pub(super) fn nobody() -> NameserverSays {
    nothing(ResolveFault::NoNameserver(IoFault::Refused))
}

pub(super) fn servfail() -> NameserverSays {
    nothing(ResolveFault::ServFail)
}

/// The answer to both questions.
pub(super) fn nothing(fault: ResolveFault) -> NameserverSays {
    NameserverSays {
        a: Err(fault.clone()),
        aaaa: Err(fault),
    }
}

fn negative<const N: usize>(chain: [&str; N], zone: &str) -> Negative {
    Negative {
        chain: aliases(chain),
        soa: Some(zone.to_owned()),
    }
}

fn aliases<'a>(chain: impl IntoIterator<Item = &'a str>) -> Vec<Alias> {
    let alias = |name: &str| Alias {
        name: name.to_owned(),
        ttl: 60,
    };
    chain.into_iter().map(alias).collect()
}

pub(super) fn dial(fault: IoFault) -> Fault {
    Fault::Connect(fault)
}

pub(super) fn no_route() -> Fault {
    Fault::Connect(IoFault::Unreachable(Errno(libc::ENETUNREACH)))
}

pub(super) fn proxy(fault: ProxyFault) -> Fault {
    Fault::Proxy(fault)
}

pub(super) fn tls(fault: TlsFault) -> Fault {
    Fault::Tls(Box::new(fault))
}

pub(super) fn bad_chain(problem: CertificateProblem) -> Fault {
    let chain = Chain {
        certificates: vec![certificate(30 * DAY)],
    };
    tls(TlsFault::Certificate { problem, chain })
}

/// A chain that leads to no root, issued by this authority.
pub(super) fn issued_by(issuer: &str) -> Fault {
    let certificate = Certificate {
        issuer: issuer.to_owned(),
        ..certificate(30 * DAY)
    };
    tls(TlsFault::Certificate {
        problem: CertificateProblem::UnknownIssuer,
        chain: Chain {
            certificates: vec![certificate],
        },
    })
}

pub(super) fn http(fault: IoFault) -> Fault {
    Fault::Http(HttpFault::Io(fault))
}

pub(super) fn malformed() -> Fault {
    Fault::Http(HttpFault::Malformed("not HTTP".to_owned()))
}

pub(super) fn no_registry() -> Fault {
    Fault::Http(HttpFault::NotARegistry {
        status: 200,
        why: "no version header",
    })
}

pub(super) fn other_platform() -> Fault {
    Fault::Http(HttpFault::PlatformMismatch {
        platform: "linux/amd64".to_owned(),
        offered: "linux/arm64".to_owned(),
    })
}

pub(super) fn refused(status: u16) -> Fault {
    Fault::Http(HttpFault::Refused(Box::new(refusal(status))))
}

/// Refused by the registry's network rules, which saw this address.
pub(super) fn turned_away(seen: &str) -> Fault {
    let client_ip = Some(ip(seen));
    Fault::Http(HttpFault::Refused(Box::new(Refusal {
        client_ip,
        ..refusal(403)
    })))
}

/// By the registry's own code.
pub(super) fn locked() -> Fault {
    Fault::Http(HttpFault::Refused(Box::new(Refusal {
        code: Some("REGISTRY_DISALLOWED_OPERATION".to_owned()),
        ..refusal(405)
    })))
}

fn refusal(status: u16) -> Refusal {
    Refusal {
        status,
        code: None,
        is_json: false,
        message: None,
        client_ip: None,
        server: Some("nginx".to_owned()),
        correlation_id: Some("3b1c".to_owned()),
        retry_after: None,
    }
}

pub(super) fn challenge() -> Evidence {
    Evidence::Challenge(bearer())
}

pub(super) fn challenge_with_clock_off_by(seconds: f64) -> Evidence {
    Evidence::Challenge(Challenge {
        clock_skew: Some(seconds),
        ..bearer()
    })
}

pub(super) fn challenge_that_containerd_misreads() -> Evidence {
    Evidence::Challenge(Challenge {
        readable_by_client: false,
        ..bearer()
    })
}

pub(super) fn basic_challenge() -> Evidence {
    Evidence::Challenge(Challenge {
        access: Access::Basic,
        ..bearer()
    })
}

fn bearer() -> Challenge {
    Challenge {
        status: 401,
        access: Access::Bearer(Bearer {
            realm: "https://contoso.azurecr.io/oauth2/token".to_owned(),
            service: Some("contoso.azurecr.io".to_owned()),
        }),
        readable_by_client: true,
        server: None,
        correlation_id: None,
        clock_skew: Some(0.4),
    }
}

pub(super) fn granted() -> Evidence {
    Evidence::Token(Token::Granted)
}

pub(super) fn denied() -> Evidence {
    Evidence::Token(Token::Denied)
}

pub(super) fn pulled() -> WalkEnd {
    WalkEnd::Pulled {
        manifest: Digest::of(b"a manifest"),
        platform: None,
        layers: 1,
    }
}

pub(super) fn answered(status: u16) -> HttpAnswer {
    HttpAnswer {
        status,
        server: None,
        correlation_id: None,
    }
}

/// A layer that comes so fast.
pub(super) fn layer_at(bytes_per_second: u64) -> Evidence {
    let download = Download {
        bytes: 2 * bytes_per_second,
        took: Duration::from_secs(2),
    };
    Evidence::Blob(answered(206), Some(download))
}

/// A handshake with a certificate that expires in this many days and an hour.
pub(super) fn certificate_ending_in_days(days: u32) -> Evidence {
    certificate_for(DAY * days + HOUR)
}

pub(super) fn certificate_for(left: Duration) -> Evidence {
    Evidence::Tls(Box::new(Handshake {
        version: "TLS1.3",
        cipher: "TLS13_AES_256_GCM_SHA384",
        group: "X25519MLKEM768",
        lost: None,
        chain: Arc::new(Chain {
            certificates: vec![certificate(left)],
        }),
    }))
}

fn certificate(left: Duration) -> Certificate {
    Certificate {
        subject: "CN=*.azurecr.io".to_owned(),
        issuer: "CN=Contoso Issuing CA".to_owned(),
        names: vec!["*.azurecr.io".to_owned()],
        not_before: now() - SignedDuration::from_hours(24),
        not_after: now() + SignedDuration::try_from(left).unwrap(),
        sha256: String::new(),
    }
}

/// 2026-01-15, noon.
pub(super) fn now() -> Timestamp {
    Timestamp::constant(1_768_478_400, 0)
}

pub(super) fn stage_of(evidence: &Evidence) -> Stage {
    match evidence {
        Evidence::Connect(_) => Stage::Connect,
        Evidence::Proxy(_) => Stage::Proxy,
        Evidence::Tls(_) => Stage::Tls,
        Evidence::Challenge(_) => Stage::Challenge,
        Evidence::Identity => Stage::Identity,
        Evidence::Exchange => Stage::Exchange,
        Evidence::Token(_) => Stage::Token,
        Evidence::Manifest(_) => Stage::Manifest,
        Evidence::Blob(..) => Stage::Blob,
        Evidence::Http(_) => Stage::Http,
    }
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
