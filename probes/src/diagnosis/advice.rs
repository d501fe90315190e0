//! The texts of findings: what the fact is, and what containerd prints for it. They put facts first, for someone
//! who has just been woken up.

use super::{
    finding::{Code, Finding, Severity},
    remedy::{self, alert_of, refused_client},
};
use crate::{
    client::go_error,
    outcome::{EndpointOutcome, Fault},
    stages::{http::fault::HttpFault, resolve::Lookup},
    words::{did_you_mean::did_you_mean, endpoint::Endpoint, reason::Stage},
};

/// The fact about a name, according to one nameserver.
pub(super) fn of_name(code: Code, seen: &EndpointOutcome, lookup: &Lookup) -> String {
    let (host, nameserver) = (&seen.endpoint.host, &lookup.nameserver);
    let first = lookup.addresses().next();
    let first = first.map(|address| address.to_string()).unwrap_or_default();
    match code {
        Code::PrivateLinkZoneNotLinked => format!(
            "{host} resolves to the public address {first}: nameserver {nameserver} does not see \
             the private zone"
        ),
        Code::PrivateLinkRecordMissing => {
            format!("{host} has no record in its private zone, so nobody can resolve it")
        }
        Code::PrivateLinkShadowZone => {
            format!("the record of {host} is hidden by a zone below the private zone")
        }
        Code::PublicAddress => {
            format!(
                "{host} resolves to the public address {first} without going through private link"
            )
        }
        Code::UnexpectedAddress => {
            format!("{host} resolves to {first}, which is outside the expected ranges")
        }
        Code::NameNotFound => match did_you_mean(host) {
            Some(meant) => format!("{host} does not exist; did you mean {meant}?"),
            None => format!("{host} does not exist"),
        },
        Code::NoAddress => format!("{host} exists and has no address"),
        Code::AliasBroken => match lookup.chain().last() {
            Some(end) => format!(
                "{host} exists, and {}, where its aliases end, does not exist for nameserver {nameserver}",
                end.name
            ),
            None => format!("{host} exists, and the end of its aliases does not"),
        },
        Code::AnswerFiltered => format!(
            "nameserver {nameserver} leaves the private addresses of {host} out of its answer"
        ),
        Code::SearchDomainAnswer => format!(
            "{first} is the address of {}, by a search domain, and not of {host}",
            lookup.name
        ),
        Code::NameserverDown if lookup.addresses().next().is_some() => {
            let (asked, kind) = match lookup
                .aaaa
                .as_ref()
                .is_err_and(|fault| fault.negative().is_none())
            {
                true => ("AAAA", "IPv6"),
                false => ("A", "IPv4"),
            };
            format!(
                "nameserver {nameserver} does not answer the {asked} ({kind}) question for {host}, and a pull waits for it"
            )
        }
        Code::NameserverDown => format!("nameserver {nameserver} does not answer"),
        Code::NameserverFailing => format!("nameserver {nameserver} cannot answer for {host}"),
        Code::NodePolicyBlocked => {
            format!("this node does not let questions to nameserver {nameserver} out")
        }
        Code::NoNameserver => "this node has no nameserver".to_owned(),
        other => other.meaning().to_owned(),
    }
}

/// The fact about a stage that failed.
pub(super) fn of_fault(code: Code, seen: &EndpointOutcome, stage: Stage, fault: &Fault) -> String {
    let endpoint = &seen.endpoint;
    let at = seen.failed_address();
    let at = at
        .map(|address| format!(" at {address}"))
        .unwrap_or_default();
    match code {
        Code::PrivateEndpointTimeout => {
            format!("nothing answers{at}, the private address of {endpoint}")
        }
        Code::EndpointTimeout => format!("nothing answers{at}, an address of {endpoint}"),
        Code::ProxyUnreachable => match &seen.proxy {
            Some(proxy) => format!("the node's proxy {proxy} cannot be reached: {fault}"),
            None => format!("the node's proxy cannot be reached: {fault}"),
        },
        Code::ConnectionRefused => format!("{endpoint} refuses connections{at}"),
        Code::NoRoute => format!("this node has no route to {endpoint}{at}"),
        Code::NodePolicyBlocked => {
            format!("this node does not let packets to {endpoint}{at} out: {fault}")
        }
        Code::TlsIntercepted => {
            format!("the certificate of {endpoint} is not from an authority that this node trusts")
        }
        Code::CertificateInvalid => {
            format!("containerd does not take the certificate of {endpoint}: {fault}")
        }
        Code::TlsDropped if alert_of(fault).is_some() => {
            format!("{endpoint} ends the TLS handshake{at}: {fault}")
        }
        Code::TrustOutdated => format!(
            "the certificate of {endpoint} is from a public authority, and this node knows no way from it to a root"
        ),
        Code::ImageLocked => match seen.failed_subject() {
            Some(image) => format!("{image} is locked in {endpoint}: {fault}"),
            None => format!("an image is locked in {endpoint}: {fault}"),
        },
        Code::TlsStalled => {
            format!("{endpoint} accepts connections{at} and never answers the TLS handshake")
        }
        Code::TlsDropped => format!("the connection to {endpoint} is cut during the TLS handshake"),
        Code::NoResponse => format!("{endpoint} does not answer a request{at}"),
        Code::ClientCertificateRequired => {
            format!(
                "{endpoint} asks for a client certificate, and this node shows none that it takes"
            )
        }
        Code::ConnectionDropped => format!("{endpoint} drops the connection instead of answering"),
        Code::NotARegistry => format!("what answers at {endpoint} is not a registry: {fault}"),
        Code::RegistryFirewall => match refused_client(fault) {
            Some(ip) => format!("{endpoint} turns away this node, which it sees as {ip}"),
            None => format!("{endpoint} turns away this node"),
        },
        Code::ImageNotFound => match seen.failed_subject() {
            Some(image) => format!("the image {image} is not in {endpoint}"),
            None => format!("an image is not in {endpoint}"),
        },
        Code::PathMtuBlackHole => {
            format!(
                "large packets between this node and {endpoint}{at} get lost, and small ones pass"
            )
        }
        Code::PlatformMismatch | Code::BlobUnavailable | Code::BlobCorrupt => {
            match seen.failed_subject() {
                Some(subject) => format!("{subject} at {endpoint}: {fault}"),
                None => format!("{stage} at {endpoint} fails: {fault}"),
            }
        }
        Code::CredentialsRequired if stage == Stage::Manifest => match seen.failed_subject() {
            Some(image) => format!("{endpoint} does not give {image} without credentials: {fault}"),
            None => format!("{endpoint} does not give an image without credentials: {fault}"),
        },
        Code::CredentialsRequired => {
            format!("{endpoint} gives no anonymous token, and one is expected")
        }
        _ => format!("{stage} at {endpoint} fails: {fault}"),
    }
}

/// What containerd prints if TLS or a request fails.
pub(super) fn client_error(stage: Stage, fault: &Fault, seen: &EndpointOutcome) -> Option<String> {
    let host = &seen.endpoint.host;
    if let Some(text) = go_error::text(fault, host) {
        return Some(match stage {
            Stage::Blob => format!("failed to copy: httpReadSeeker: failed open: {text}"),
            _ => text,
        });
    }
    match (stage, fault) {
        (Stage::Token, Fault::Http(HttpFault::Refused(refusal))) => Some(format!(
            "failed to fetch anonymous token: unexpected status…: {}",
            short(refusal.status)
        )),
        (Stage::Challenge, Fault::Http(HttpFault::Refused(refusal))) if refusal.status == 404 => {
            Some("<reference>: not found".to_owned())
        }
        (Stage::Challenge, Fault::Http(HttpFault::Refused(refusal))) => Some(format!(
            "unexpected status from HEAD request to {}/v2/<repository>/manifests/<tag>: {}",
            origin(&seen.endpoint),
            short(refusal.status)
        )),
        _ => None,
    }
}

/// The beginning of the endpoint's URLs, without the scheme's default port.
fn origin(endpoint: &Endpoint) -> String {
    format!("{}://{}", endpoint.scheme.as_str(), endpoint.authority())
}

/// A finding that by itself makes a pull fail, with its remedy.
pub(super) fn critical(
    code: Code,
    seen: &EndpointOutcome,
    stage: Stage,
    message: impl Into<String>,
) -> Finding {
    let (endpoint, remedy) = (&seen.endpoint, remedy::of(code, seen, None));
    Finding::new(code, Severity::Critical, endpoint, stage, message, remedy)
}

/// A finding about what is wrong or slow, with its remedy.
pub(super) fn warning(
    code: Code,
    seen: &EndpointOutcome,
    stage: Stage,
    message: impl Into<String>,
) -> Finding {
    Finding {
        severity: Severity::Warning,
        ..critical(code, seen, stage, message)
    }
}

fn short(status: u16) -> String {
    let known = hyper::StatusCode::from_u16(status).ok();
    let reason = known.and_then(|status| status.canonical_reason());
    format!("{status} {}", reason.unwrap_or_default())
}
