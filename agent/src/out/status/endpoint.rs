//! Endpoints in the status document: what each nameserver said, and what each stage on each address
//! gave.

use std::{borrow::Cow, net::IpAddr};

use jiff::Timestamp;
use regprobe_probes::{
    AddressOutcome, Certificate, Challenge, Depth, EndpointOutcome, Evidence, Expectation, Fault,
    Handshake, HttpAnswer, HttpFault, Lookup, Origin, PullPath, Refusal, ResolveFault, Role, Scope,
    StageOutcome,
};
use serde::{Deserialize, Serialize};

use super::{Word, seconds};
use crate::out::describe;

/// One endpoint.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EndpointStatus<'a> {
    /// `host:port`, as labels and findings have it.
    pub endpoint: String,
    pub scheme: Word,
    pub host: Cow<'a, str>,
    pub port: u16,
    pub role: Word,
    pub up: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Cow<'a, str>>,
    /// What the hosts file says.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub pinned: Cow<'a, [IpAddr]>,
    pub path: PathStatus<'a>,
    pub lookups: Vec<LookupStatus<'a>>,
    pub addresses: Vec<AddressStatus<'a>>,
}

impl<'a> EndpointStatus<'a> {
    pub(super) fn of(seen: &'a EndpointOutcome, of_registry: &Expectation, depth: Depth) -> Self {
        let expectation = seen.expectation(of_registry);
        let host = &seen.endpoint.host;
        let missing = seen.no_lookup();
        let lookups = seen.lookups.iter();
        // Storage is met on the way to an image, and told of until the next round that goes there.
        let depth = match seen.endpoint.role {
            Role::Storage if depth < Depth::Image => None,
            _ => Some(depth),
        };
        let addresses = seen.addresses.iter();
        Self {
            endpoint: seen.endpoint.to_string(),
            scheme: seen.endpoint.scheme.as_str().into(),
            host: (&**host).into(),
            port: seen.endpoint.port,
            role: seen.endpoint.role.as_str().into(),
            up: seen.is_up(),
            proxy: seen.proxy.as_deref().map(Cow::from),
            pinned: (&*seen.pinned).into(),
            path: PathStatus::of(seen),
            lookups: missing
                .map(|fault| LookupStatus::missing(host, fault))
                .into_iter()
                .chain(lookups.map(|l| LookupStatus::of(l, expectation)))
                .collect(),
            addresses: addresses
                .map(|seen| AddressStatus::of(seen, depth))
                .collect(),
        }
    }
}

/// What the node's own client would meet; what it would not get to is absent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PathStatus<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nameserver: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    pub waits_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_error: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<BlockedStatus>,
}

/// A setting of the node that leaves no way.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BlockedStatus {
    /// The stage that it is for.
    pub stage: Word,
    pub reason: Word,
    pub detail: String,
}

impl<'a> PathStatus<'a> {
    fn of(seen: &'a EndpointOutcome) -> Self {
        let path = &seen.path;
        let asked = |lookup: &&Lookup| Some(lookup.nameserver.address) == path.nameserver();
        let lookup = seen.lookups.iter().find(asked);
        Self {
            nameserver: lookup.map(|lookup| lookup.nameserver.to_string()),
            address: path.address(),
            waits_seconds: seconds(path.waits()),
            client_error: path.error().map(Cow::from),
            blocked: match path {
                PullPath::Blocked { stage, fault } => Some(BlockedStatus {
                    stage: stage.as_str().into(),
                    reason: fault.reason().as_str().into(),
                    detail: fault.to_string(),
                }),
                _ => None,
            },
        }
    }
}

/// What one nameserver said.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LookupStatus<'a> {
    /// None where there was none to ask.
    pub nameserver: Option<String>,
    /// Whether the node itself would ask it, and not only this agent.
    pub of_node: bool,
    pub name: Cow<'a, str>,
    pub result: Word,
    pub chain: Vec<AliasStatus<'a>>,
    pub addresses: Vec<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl<'a> LookupStatus<'a> {
    /// Of a lookup that could not be made.
    fn missing(host: &'a str, fault: &ResolveFault) -> Self {
        Self {
            nameserver: None,
            of_node: true,
            name: host.into(),
            result: fault.reason().as_str().into(),
            chain: Vec::new(),
            addresses: Vec::new(),
            private: None,
            expected: None,
            seconds: None,
            detail: Some(fault.to_string()),
        }
    }

    fn of(lookup: &'a Lookup, expectation: &Expectation) -> Self {
        let found = lookup.addresses().next().is_some();
        let chain = lookup.chain().iter();
        let fault = lookup.fault();
        let result = fault.map_or("noerror", |fault| fault.reason().as_str());
        Self {
            nameserver: Some(lookup.nameserver.to_string()),
            of_node: lookup.nameserver.origin == Origin::Node,
            name: (&*lookup.name).into(),
            result: result.into(),
            chain: chain
                .map(|alias| AliasStatus {
                    name: (&*alias.name).into(),
                    ttl: alias.ttl,
                })
                .collect(),
            addresses: lookup.addresses().collect(),
            private: found.then(|| lookup.addresses().all(|a| Scope::of(a).is_private())),
            expected: found.then(|| lookup.addresses().all(|a| expectation.allows(a))),
            seconds: Some(seconds(lookup.took)),
            detail: fault.map(ToString::to_string),
        }
    }
}

/// One step of an alias chain.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AliasStatus<'a> {
    pub name: Cow<'a, str>,
    pub ttl: u32,
}

/// One address.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AddressStatus<'a> {
    pub address: IpAddr,
    pub stages: Vec<StageStatus<'a>>,
}

impl<'a> AddressStatus<'a> {
    /// In a round of this depth, or in one before.
    fn of(seen: &'a AddressOutcome, depth: Option<Depth>) -> Self {
        let stages = seen.stages.iter();
        Self {
            address: seen.address,
            stages: stages.map(|stage| StageStatus::of(stage, depth)).collect(),
        }
    }
}

/// One stage on one address.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StageStatus<'a> {
    pub stage: Word,
    pub ok: bool,
    /// Whether it is from a round before this one, which did not go so far.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub earlier: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Word>,
    pub seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshake: Option<HandshakeStatus>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateStatus<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseStatus<'a>>,
}

impl<'a> StageStatus<'a> {
    fn of(outcome: &'a StageOutcome, depth: Option<Depth>) -> Self {
        let fault = outcome.result.as_ref().err();
        let asked = depth.is_some_and(|depth| Depth::of(outcome.stage) <= depth);
        let handshake = match &outcome.result {
            Ok(Evidence::Tls(handshake)) => Some(&**handshake),
            _ => None,
        };
        let chain = handshake.map(|handshake| &*handshake.chain);
        let chain = chain.or_else(|| fault?.chain());
        Self {
            stage: outcome.stage.as_str().into(),
            ok: fault.is_none(),
            earlier: !asked,
            reason: fault.map(|fault| fault.reason().as_str().into()),
            seconds: seconds(outcome.took),
            detail: Some(describe::stage(outcome)).filter(|detail| !detail.is_empty()),
            handshake: handshake.map(HandshakeStatus::of),
            certificates: chain.map_or_else(Vec::new, |chain| {
                let certificates = chain.certificates.iter();
                certificates.map(CertificateStatus::of).collect()
            }),
            response: ResponseStatus::of(outcome),
        }
    }
}

/// What a TLS handshake settled.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HandshakeStatus {
    pub version: Word,
    pub cipher: Word,
    pub group: Word,
}

impl HandshakeStatus {
    fn of(handshake: &Handshake) -> Self {
        Self {
            version: handshake.version.into(),
            cipher: handshake.cipher.into(),
            group: handshake.group.into(),
        }
    }
}

/// One certificate of a chain.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CertificateStatus<'a> {
    pub subject: Cow<'a, str>,
    pub issuer: Cow<'a, str>,
    pub names: Cow<'a, [String]>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub sha256: Cow<'a, str>,
}

impl<'a> CertificateStatus<'a> {
    fn of(certificate: &'a Certificate) -> Self {
        let Certificate {
            subject,
            issuer,
            names,
            not_before,
            not_after,
            sha256,
        } = certificate;
        Self {
            subject: (&**subject).into(),
            issuer: (&**issuer).into(),
            names: (&**names).into(),
            not_before: *not_before,
            not_after: *not_after,
            sha256: (&**sha256).into(),
        }
    }
}

/// What is kept of an HTTP answer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct ResponseStatus<'a> {
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Cow<'a, str>>,
    /// By how much the node's clock is ahead of the header `Date`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_skew_seconds: Option<f64>,
}

impl<'a> ResponseStatus<'a> {
    fn of(outcome: &'a StageOutcome) -> Option<Self> {
        match &outcome.result {
            Ok(Evidence::Challenge(challenge)) => Some(Self::of_challenge(challenge)),
            Ok(Evidence::Blob(answered) | Evidence::Http(answered)) => {
                Some(Self::of_answer(answered))
            }
            Err(Fault::Http(HttpFault::Refused(refusal))) => Some(Self::of_refusal(refusal)),
            _ => None,
        }
    }

    fn of_challenge(challenge: &'a Challenge) -> Self {
        Self {
            status: challenge.status,
            server: challenge.server.as_deref().map(Cow::from),
            correlation_id: challenge.correlation_id.as_deref().map(Cow::from),
            clock_skew_seconds: challenge.clock_skew,
            ..Self::default()
        }
    }

    fn of_answer(answered: &'a HttpAnswer) -> Self {
        Self {
            status: answered.status,
            server: answered.server.as_deref().map(Cow::from),
            correlation_id: answered.correlation_id.as_deref().map(Cow::from),
            ..Self::default()
        }
    }

    fn of_refusal(refusal: &'a Refusal) -> Self {
        Self {
            status: refusal.status,
            server: refusal.server.as_deref().map(Cow::from),
            correlation_id: refusal.correlation_id.as_deref().map(Cow::from),
            retry_after: refusal.retry_after.as_deref().map(Cow::from),
            ..Self::default()
        }
    }
}
