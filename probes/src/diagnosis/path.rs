//! Findings about what comes after the name: connect, proxy, TLS and requests. A failure on the pull
//! path gives one finding; a working path may still have blemishes.

use std::{net::IpAddr, time::Duration};

use super::{
    advice::{self, critical, warning},
    expectations::Expectations,
    finding::{Code, Finding, Severity},
    remedy,
};
use crate::{
    net::io_fault::IoFault,
    node::ContainerdRelease,
    outcome::{EndpointOutcome, Evidence, Fault, FaultRef, PullPath, StageOutcome},
    stages::{
        challenge::{Access, Challenge},
        http::fault::HttpFault,
        proxy::ProxyFault,
        resolve::ResolveFault,
        tls::{Chain, Lost, TlsFault},
        token::Token,
    },
    words::{
        acr::AcrName,
        endpoint::Scheme,
        reason::{Reason, Stage},
        scope::{Expectation, Scope},
        throughput::ByteCount,
    },
};

/// A clock that is off by more is wrong; a few minutes later tokens and certificates begin to fail.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// The failure that a pull would meet after the name.
pub(super) fn failure(seen: &EndpointOutcome, expectations: &Expectations) -> Option<Finding> {
    // Settings that cannot be used have a finding of their own.
    if matches!(seen.path, PullPath::Blocked { .. }) {
        return None;
    }
    let (stage, fault) = match seen.failure()? {
        (stage, FaultRef::Stage(fault)) => (stage, fault),
        (_, FaultRef::Resolve(fault)) => return proxy_unresolved(seen, fault),
    };
    let address = seen.failed_address();
    let code = match (stage, &seen.proxy) {
        (Stage::Connect, Some(_)) if fault.reason() != Reason::Local => Code::ProxyUnreachable,
        // Accepted and reset at once: the kernel may report it before the dial is over.
        (Stage::Connect, None) if fault.reason() == Reason::Reset => match seen.endpoint.scheme {
            Scheme::Https => Code::TlsDropped,
            Scheme::Http => Code::ConnectionDropped,
        },
        // Azure's registries answer 401 to whoever lacks credentials, and 403 to a manifest for other reasons.
        (Stage::Manifest, _) if is_denial(fault) && !is_azures_403(seen, fault) => {
            Code::CredentialsRequired
        }
        _ => code(stage, fault, address, &expectations.private)?,
    };
    let tolerated = stage == Stage::Token
        && fault.reason() == Reason::Throttled
        && !expectations.anonymous_pull;
    let severity = match tolerated || fault.reason() == Reason::Local {
        true => Severity::Warning,
        false => Severity::Critical,
    };
    let message = advice::of_fault(code, seen, stage, fault);
    let finding = critical(code, seen, stage, message);
    Some(Finding {
        remedy: remedy::of_fault(fault, seen).unwrap_or(finding.remedy),
        severity,
        reason: Some(fault.reason()),
        address,
        evidence: evidence(seen, stage, fault),
        client_error: seen
            .path
            .error()
            .map(str::to_owned)
            .or_else(|| advice::client_error(stage, fault, seen))
            .filter(|_| severity == Severity::Critical),
        ..finding
    })
}

/// What is wrong although the path works.
pub(super) fn blemishes(seen: &EndpointOutcome, expectations: &Expectations) -> Vec<Finding> {
    let others = seen.addresses.iter();
    let others = others.filter(|other| Some(other.address) != seen.path.address());
    let dead = others.filter_map(|address| {
        let failed = address.stages.iter().find(|stage| stage.result.is_err())?;
        address_down(seen, address.address, failed)
    });
    let mut findings: Vec<_> = dead.collect();
    findings.extend(beside(seen, expectations));
    findings.extend(large_hello_lost(seen));
    findings.extend(slow_download(seen, expectations));
    match unreadable_challenge(seen) {
        Some(unreadable) => findings.push(unreadable),
        None => findings.extend(credentials(seen, expectations)),
    }
    findings
}

/// What is wrong whether or not the requests are answered.
pub(super) fn beside(seen: &EndpointOutcome, expectations: &Expectations) -> Vec<Finding> {
    let ends_soon = expiring(seen, expectations).into_iter();
    ends_soon.chain(clock_skew(seen)).collect()
}

/// Whether this node itself does not let the packet out.
fn is_denied_by_node(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Connect(IoFault::Denied(_))
            | Fault::Proxy(ProxyFault::Io(IoFault::Denied(_)))
            | Fault::Http(HttpFault::Io(IoFault::Denied(_)))
    ) || matches!(fault, Fault::Tls(fault) if matches!(**fault, TlsFault::Io(IoFault::Denied(_))))
}

/// Rather than by somebody who intercepts TLS.
fn is_by_public_authority(fault: &Fault) -> bool {
    fault.chain().is_some_and(Chain::is_by_public_authority)
}

fn is_azures_403(seen: &EndpointOutcome, fault: &Fault) -> bool {
    fault.reason() == Reason::Forbidden && AcrName::parse(&seen.endpoint.host).is_some()
}

/// Whether the registry wants credentials, or better ones.
fn is_denial(fault: &Fault) -> bool {
    matches!(fault, Fault::Http(fault) if fault.is_denial())
}

/// What gets lost on the way where less passes.
fn lost(fault: &Fault) -> Option<Code> {
    match fault {
        Fault::Tls(fault) => match **fault {
            TlsFault::Lost(lost) => Some(code_of_lost(lost)),
            _ => None,
        },
        _ => None,
    }
}

fn code_of_lost(lost: Lost) -> Code {
    match lost {
        Lost::LargePackets => Code::PathMtuBlackHole,
        Lost::LargeHello => Code::LargeClientHelloDropped,
    }
}

/// 407: for plain HTTP a proxy answers in the endpoint's place.
fn is_of_proxy(fault: &Fault) -> bool {
    matches!(fault, Fault::Http(HttpFault::Refused(refusal)) if refusal.status == 407)
}

/// Rather than the settings by which it is checked.
fn is_certificate(fault: &Fault) -> bool {
    matches!(fault, Fault::Tls(fault) if matches!(**fault, TlsFault::Certificate { .. }))
}

fn code(stage: Stage, fault: &Fault, to: Option<IpAddr>, expected: &Expectation) -> Option<Code> {
    let reason = fault.reason();
    if reason == Reason::Local {
        return is_denied_by_node(fault).then_some(Code::NodePolicyBlocked);
    }
    // Where the client would go on, and a probe does not, neither can tell what it would meet.
    if is_not_followed(stage, reason) {
        return None;
    }
    if reason == Reason::CertificateRequired {
        return Some(Code::ClientCertificateRequired);
    }
    Some(match stage {
        // No part of a pull; the walks say what comes of them.
        Stage::Resolve | Stage::Identity | Stage::Exchange => return None,
        Stage::Connect => match reason {
            Reason::Timeout if is_private(to, expected) => Code::PrivateEndpointTimeout,
            Reason::Timeout => Code::EndpointTimeout,
            Reason::Unreachable => Code::NoRoute,
            _ => Code::ConnectionRefused,
        },
        Stage::Proxy => match reason {
            Reason::Denied => Code::ProxyDenied,
            Reason::AuthRequired => Code::ProxyAuthRequired,
            _ => Code::ProxyBroken,
        },
        Stage::Tls => match reason {
            Reason::Timeout => lost(fault).unwrap_or(Code::TlsStalled),
            Reason::Expired => Code::CertificateExpired,
            Reason::NotYetValid => Code::CertificateNotYetValid,
            Reason::NameMismatch => Code::CertificateNameMismatch,
            Reason::BadCertificate if is_certificate(fault) => Code::CertificateInvalid,
            Reason::UnknownIssuer if is_by_public_authority(fault) => Code::TrustOutdated,
            Reason::UnknownIssuer | Reason::BadCertificate => Code::TlsIntercepted,
            Reason::Version => Code::TlsVersion,
            Reason::Alert if matches!(fault, Fault::Tls(fault) if fault.is_about_parameters()) => {
                Code::TlsVersion
            }
            Reason::NotTls => Code::NotTls,
            _ => Code::TlsDropped,
        },
        _ if is_of_proxy(fault) => Code::ProxyAuthRequired,
        Stage::Manifest | Stage::Blob if reason == Reason::Locked => Code::ImageLocked,
        Stage::Manifest | Stage::Blob if reason == Reason::Corrupt => Code::BlobCorrupt,
        Stage::Manifest | Stage::Blob if reason == Reason::PlatformMismatch => {
            Code::PlatformMismatch
        }
        // The registry's own words, whatever it is asked for.
        Stage::Blob if reason == Reason::Firewall => Code::RegistryFirewall,
        Stage::Blob if reason == Reason::Throttled => Code::Throttled,
        Stage::Blob => Code::BlobUnavailable,
        Stage::Manifest if reason == Reason::NotFound => Code::ImageNotFound,
        Stage::Token if is_denial(fault) => Code::CredentialsRequired,
        Stage::Challenge | Stage::Token | Stage::Manifest | Stage::Http => match reason {
            Reason::Timeout => Code::NoResponse,
            Reason::Firewall => Code::RegistryFirewall,
            Reason::Forbidden => Code::Forbidden,
            Reason::Throttled => Code::Throttled,
            Reason::ServerError => Code::RegistryError,
            Reason::Malformed | Reason::TooLarge => Code::MalformedResponse,
            Reason::Unauthorized => Code::CredentialsRequired,
            Reason::Refused | Reason::Reset | Reason::Closed | Reason::Unreachable => {
                Code::ConnectionDropped
            }
            _ => Code::NotARegistry,
        },
    })
}

/// Whether a probe keeps away from where this leads a pull. Of `/v2/` no pull asks.
pub(super) fn is_not_followed(stage: Stage, reason: Reason) -> bool {
    reason == Reason::NotFollowed && stage != Stage::Challenge
}

/// The finding about a proxy whose name does not resolve.
fn proxy_unresolved(seen: &EndpointOutcome, fault: &ResolveFault) -> Option<Finding> {
    let proxy = seen.proxy.as_ref()?;
    let (code, severity) = match fault {
        // Then no name resolves: a separate finding reports that.
        ResolveFault::NoNameserver(_) => return None,
        ResolveFault::Io(IoFault::Denied(_)) => (Code::NodePolicyBlocked, Severity::Warning),
        _ if fault.reason() == Reason::Local => return None,
        _ => (Code::ProxyUnreachable, Severity::Critical),
    };
    let message = format!("the name of the node's proxy {proxy} cannot be resolved");
    let printed = seen.path.error().filter(|_| severity == Severity::Critical);
    Some(Finding {
        severity,
        reason: Some(fault.reason()),
        evidence: vec![fault.to_string()],
        client_error: printed.map(str::to_owned),
        ..critical(code, seen, Stage::Resolve, message)
    })
}

/// Whether the address is private by its scope or by the configuration.
fn is_private(address: Option<IpAddr>, expected: &Expectation) -> bool {
    address.is_some_and(|address| {
        let configured = matches!(expected, Expectation::Ranges(_)) && expected.allows(address);
        Scope::of(address).is_private() || configured
    })
}

fn evidence(seen: &EndpointOutcome, stage: Stage, fault: &Fault) -> Vec<String> {
    let mut evidence = vec![match seen.failed_address() {
        Some(address) => format!("{stage} at {address}: {fault}"),
        None => format!("{stage}: {fault}"),
    }];
    if let Some(chain) = fault.chain() {
        evidence.extend(chain.leaf().map(|leaf| {
            format!(
                "certificate of {} issued by {}, for {}, valid {} to {}",
                leaf.subject,
                leaf.issuer,
                leaf.names.join(" "),
                leaf.not_before.strftime("%Y-%m-%d"),
                leaf.not_after.strftime("%Y-%m-%d"),
            )
        }));
    }
    if let Fault::Http(HttpFault::Refused(refusal)) = fault {
        let seen_as = refusal.client_ip;
        evidence.extend(seen_as.map(|ip| format!("the registry saw this node as {ip}")));
        for (header, value) in [
            ("Retry-After", &refusal.retry_after),
            ("Server", &refusal.server),
            ("X-Ms-Correlation-Request-Id", &refusal.correlation_id),
        ] {
            evidence.extend(value.as_ref().map(|value| format!("{header}: {value}")));
        }
    }
    let passed = seen.passed_stages();
    if !passed.is_empty() {
        evidence.push(format!("before that: {passed}"));
    }
    evidence
}

fn address_down(seen: &EndpointOutcome, address: IpAddr, failed: &StageOutcome) -> Option<Finding> {
    let fault = failed.result.as_ref().err()?;
    let used = seen.path.address()?;
    // Without a route for this family, the client never waits for it.
    let no_family = address.is_ipv6() != used.is_ipv6() && fault.reason() == Reason::Unreachable;
    let host = &seen.endpoint.host;
    let (code, message) = match is_denied_by_node(fault) {
        true => (
            Code::NodePolicyBlocked,
            format!("this node does not let packets to {address}, an address of {host}, out"),
        ),
        false if fault.reason() == Reason::Local => return None,
        false => (
            Code::AddressDown,
            format!("{address}, one of the addresses of {host}, is dead"),
        ),
    };
    // An address that only a nameserver off the path gives belongs to the finding about that
    // nameserver.
    (seen.offers(address) && !no_family).then(|| Finding {
        reason: Some(fault.reason()),
        address: Some(address),
        evidence: vec![
            format!("{} at {address}: {fault}", failed.stage),
            format!("{used} accepts connections"),
        ],
        ..warning(code, seen, failed.stage, message)
    })
}

fn expiring(seen: &EndpointOutcome, expectations: &Expectations) -> Option<Finding> {
    let certificates = &seen.handshake()?.chain.certificates;
    let first = certificates.iter().min_by_key(|one| one.not_after)?;
    let left = Duration::try_from(first.not_after.duration_since(expectations.now)).ok()?;
    (left < expectations.expiry_warning).then(|| {
        let days = left.as_secs() / (24 * 60 * 60);
        let ends = first.not_after.strftime("%Y-%m-%d %H:%M UTC");
        let host = &seen.endpoint.host;
        let (subject, issuer) = (&first.subject, &first.issuer);
        let message = format!("a certificate of {host} expires in {days} days");
        Finding {
            address: seen.path.address(),
            evidence: vec![format!("{subject} issued by {issuer}, until {ends}")],
            ..warning(Code::CertificateExpiringSoon, seen, Stage::Tls, message)
        }
    })
}

/// Which ClientHello the node's client sends depends on its release, and that is not known.
fn large_hello_lost(seen: &EndpointOutcome) -> Option<Finding> {
    let first = ContainerdRelease::FIRST_WITH_LARGE_HELLO;
    let lost = seen.handshake()?.lost?;
    let host = &seen.endpoint.host;
    let message =
        format!("a large TLS hello to {host} is lost: containerd {first} and later fail here");
    Some(Finding {
        address: seen.path.address(),
        evidence: vec![
            format!("to a large hello {}", TlsFault::Lost(lost)),
            "a small hello was answered, as containerd before sends it".to_owned(),
            "which containerd this node runs is not known: set node.containerd".to_owned(),
        ],
        ..warning(code_of_lost(lost), seen, Stage::Tls, message)
    })
}

fn slow_download(seen: &EndpointOutcome, expectations: &Expectations) -> Option<Finding> {
    let floor = expectations.floor? as f64;
    let download = seen.download()?;
    (download.rate() < floor).then(|| {
        let [rate, floor, came] = [download.rate(), floor, download.bytes as f64].map(ByteCount);
        let endpoint = &seen.endpoint;
        let message =
            format!("layers come from {endpoint} at {rate}/s, below the floor of {floor}/s");
        let seconds = download.took.as_secs_f64();
        Finding {
            address: seen.path.address(),
            evidence: vec![format!("{came} of a layer in {seconds:.2} s")],
            ..warning(Code::SlowDownload, seen, Stage::Blob, message)
        }
    })
}

fn clock_skew(seen: &EndpointOutcome) -> Option<Finding> {
    let skew = challenge(seen)?.clock_skew?;
    (skew.abs() > CLOCK_TOLERANCE.as_secs_f64()).then(|| {
        let seconds = skew.abs().round();
        let way = if skew > 0.0 { "ahead of" } else { "behind" };
        let message = format!("this node's clock is {seconds} s {way} the registry's");
        Finding {
            address: seen.path.address(),
            evidence: vec!["from the header Date of the registry's answer".to_owned()],
            ..warning(Code::ClockSkew, seen, Stage::Challenge, message)
        }
    })
}

fn credentials(seen: &EndpointOutcome, expectations: &Expectations) -> Option<Finding> {
    let (stage, said) = match seen.evidence(Stage::Token) {
        Some(Evidence::Token(Token::Denied)) => (
            Stage::Token,
            "401 from the token service, as from most private registries",
        ),
        _ if challenge(seen)?.access == Access::Basic => (
            Stage::Challenge,
            "the registry asks for a user name and password, and issues no tokens",
        ),
        _ => return None,
    };
    let (severity, client_error) = match expectations.anonymous_pull {
        true => (Severity::Critical, Some("401 Unauthorized".to_owned())),
        false => (Severity::Info, None),
    };
    let message = "the registry gives no anonymous token; pulls need credentials";
    Some(Finding {
        severity,
        address: seen.path.address(),
        evidence: vec![said.to_owned()],
        client_error,
        ..warning(Code::CredentialsRequired, seen, stage, message)
    })
}

/// The finding about a challenge that RFC 9110 allows and containerd cannot read.
fn unreadable_challenge(seen: &EndpointOutcome) -> Option<Finding> {
    (!challenge(seen)?.readable_by_client).then(|| Finding {
        address: seen.path.address(),
        evidence: vec![
            "the challenge it needs is not the first in its Www-Authenticate line".to_owned(),
        ],
        client_error: Some("401 Unauthorized".to_owned()),
        ..Finding::new(
            Code::NotARegistry,
            Severity::Critical,
            &seen.endpoint,
            Stage::Challenge,
            format!("containerd cannot read the challenge of {}", seen.endpoint),
            "Have the registry send each challenge in its own header line.",
        )
    })
}

fn challenge(seen: &EndpointOutcome) -> Option<&Challenge> {
    match seen.evidence(Stage::Challenge) {
        Some(Evidence::Challenge(challenge)) => Some(challenge),
        _ => None,
    }
}
