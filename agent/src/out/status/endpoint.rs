//! Endpoints in the status document: what each nameserver answered, and the result of each stage on each
//! address.

use std::{net::IpAddr, time::Duration};

use jiff::Timestamp;
use regprobe_probes::{
    AddressOutcome, Certificate, Challenge, Depth, EndpointOutcome, Evidence, Expectation, Fault,
    Handshake, HttpAnswer, HttpFault, Lookup, PullPath, Refusal, ResolveFault, Role, Scope, Stage,
    StageOutcome,
};
use serde::Serialize;

use crate::{out::describe, state::condition::Condition};

/// In whole microseconds. No stage is timed more precisely, and more digits only take space.
pub(super) fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct EndpointStatus {
    /// `host:port`, as in labels and findings.
    pub endpoint: String,
    pub scheme: &'static str,
    pub host: String,
    pub port: u16,
    pub role: &'static str,
    pub up: bool,
    /// The word for it in strips and on pages: what the findings that concern it make of it.
    pub condition: &'static str,
    /// The stages that a round may run on it, whether or not this one reached them.
    #[serde(skip)]
    pub stages: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The addresses that the hosts file pins the name to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pinned: Vec<IpAddr>,
    pub path: PathStatus,
    pub lookups: Vec<LookupStatus>,
    pub addresses: Vec<AddressStatus>,
}

impl EndpointStatus {
    pub(super) fn of(
        seen: &EndpointOutcome,
        condition: Condition,
        of_registry: &Expectation,
        depth: Depth,
    ) -> Self {
        let expectation = seen.expectation(of_registry);
        let host = &seen.endpoint.host;
        let missing = seen.no_lookup();
        let lookups = seen.lookups.iter();
        // Only rounds that read an image reach its storage; until the next one its results are earlier ones.
        let depth = match seen.endpoint.role {
            Role::Storage if depth < Depth::Image => None,
            _ => Some(depth),
        };
        let addresses = seen.addresses.iter();
        Self {
            endpoint: seen.endpoint.to_string(),
            scheme: seen.endpoint.scheme.as_str(),
            host: host.to_string(),
            port: seen.endpoint.port,
            role: seen.endpoint.role.as_str(),
            up: seen.is_up(),
            condition: condition.as_str(),
            stages: seen.endpoint.stages().map(Stage::as_str).collect(),
            proxy: seen.proxy.clone(),
            pinned: seen.pinned.clone(),
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

    /// The address on the pull path.
    pub(crate) fn on_path(&self) -> Option<&AddressStatus> {
        let address = self.path.address?;
        self.addresses.iter().find(|seen| seen.address == address)
    }

    /// The answer that a pull uses, or else the first failure that stops it.
    pub(crate) fn lookup_of_path(&self) -> Option<&LookupStatus> {
        let used = |lookup: &&LookupStatus| {
            lookup.nameserver.is_some() && lookup.nameserver == self.path.nameserver
        };
        let gives = |lookup: &&LookupStatus| !lookup.addresses.is_empty();
        let own = || self.lookups.iter().filter(|lookup| lookup.of_node);
        let used = || own().filter(used);
        used()
            .find(gives)
            .or_else(|| used().next())
            .or_else(|| own().next())
    }
}

/// What the node's own client would find. What it would not reach is absent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PathStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nameserver: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    pub waits_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<BlockedStatus>,
}

/// A setting of the node that leaves the client no way to connect.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct BlockedStatus {
    /// The stage that the setting is for.
    pub stage: &'static str,
    pub reason: &'static str,
    pub detail: String,
}

impl PathStatus {
    fn of(seen: &EndpointOutcome) -> Self {
        let path = &seen.path;
        let asked = |lookup: &&Lookup| Some(lookup.nameserver.address) == path.nameserver();
        let lookup = seen.lookups.iter().find(asked);
        Self {
            nameserver: lookup.map(|lookup| lookup.nameserver.to_string()),
            address: path.address(),
            waits_seconds: seconds(path.waits()),
            client_error: path.error().map(str::to_owned),
            blocked: match path {
                PullPath::Blocked { stage, fault } => Some(BlockedStatus {
                    stage: stage.as_str(),
                    reason: fault.reason().as_str(),
                    detail: fault.to_string(),
                }),
                _ => None,
            },
        }
    }
}

/// What one nameserver answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct LookupStatus {
    /// `None` where there was no nameserver to ask.
    pub nameserver: Option<String>,
    /// Whether the node's resolv.conf names it; if not, only this agent asks it.
    pub of_node: bool,
    pub name: String,
    pub result: &'static str,
    pub chain: Vec<AliasStatus>,
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

impl LookupStatus {
    /// A lookup that could not be made.
    fn missing(host: &str, fault: &ResolveFault) -> Self {
        Self {
            nameserver: None,
            of_node: true,
            name: host.to_owned(),
            result: fault.reason().as_str(),
            chain: Vec::new(),
            addresses: Vec::new(),
            private: None,
            expected: None,
            seconds: None,
            detail: Some(fault.to_string()),
        }
    }

    /// The condition of this answer alone, by name.
    pub(crate) fn condition(&self) -> &'static str {
        match (self.addresses.is_empty(), self.expected) {
            (true, _) => "failing",
            (false, Some(false)) => "degraded",
            (false, _) => "ok",
        }
    }

    fn of(lookup: &Lookup, expectation: &Expectation) -> Self {
        let found = lookup.addresses().next().is_some();
        let chain = lookup.chain().iter();
        let fault = lookup.fault();
        let result = fault.map_or("noerror", |fault| fault.reason().as_str());
        Self {
            nameserver: Some(lookup.nameserver.to_string()),
            of_node: lookup.nameserver.origin.is_of_node(),
            name: lookup.name.to_string(),
            result,
            chain: chain
                .map(|alias| AliasStatus {
                    name: alias.name.clone(),
                    ttl: alias.ttl,
                })
                .collect(),
            addresses: lookup.addresses().collect(),
            private: found.then(|| lookup.addresses().all(|a| Scope::of(a).is_private())),
            expected: found.then(|| lookup.addresses().all(|a| expectation.allows(a))),
            seconds: Some(seconds(lookup.took())),
            detail: fault.map(ToString::to_string),
        }
    }
}

/// One step of an alias chain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct AliasStatus {
    pub name: String,
    pub ttl: u32,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct AddressStatus {
    pub address: IpAddr,
    pub stages: Vec<StageStatus>,
}

impl AddressStatus {
    /// The results of a round of this `depth`; deeper stages are those of an earlier round.
    fn of(seen: &AddressOutcome, depth: Option<Depth>) -> Self {
        let stages = seen.stages.iter();
        Self {
            address: seen.address,
            stages: stages.map(|stage| StageStatus::of(stage, depth)).collect(),
        }
    }
}

/// One stage on one address.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct StageStatus {
    pub stage: &'static str,
    pub ok: bool,
    /// Whether the result is that of an earlier round, because this one did not go that far.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub earlier: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    pub seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshake: Option<HandshakeStatus>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download: Option<DownloadStatus>,
}

impl StageStatus {
    fn of(outcome: &StageOutcome, depth: Option<Depth>) -> Self {
        let fault = outcome.result.as_ref().err();
        let asked = depth.is_some_and(|depth| Depth::of(outcome.stage) <= depth);
        let handshake = match &outcome.result {
            Ok(Evidence::Tls(handshake)) => Some(&**handshake),
            _ => None,
        };
        let chain = handshake.map(|handshake| &*handshake.chain);
        let chain = chain.or_else(|| fault?.chain());
        Self {
            stage: outcome.stage.as_str(),
            ok: fault.is_none(),
            earlier: !asked,
            reason: fault.map(|fault| fault.reason().as_str()),
            seconds: seconds(outcome.took),
            detail: Some(describe::stage(outcome)).filter(|detail| !detail.is_empty()),
            handshake: handshake.map(HandshakeStatus::of),
            certificates: chain.map_or_else(Vec::new, |chain| {
                let certificates = chain.certificates.iter();
                certificates.map(CertificateStatus::of).collect()
            }),
            response: ResponseStatus::of(outcome),
            download: DownloadStatus::of(outcome),
        }
    }
}

/// What a TLS handshake negotiated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct HandshakeStatus {
    pub version: &'static str,
    pub cipher: &'static str,
    pub group: &'static str,
}

impl HandshakeStatus {
    fn of(handshake: &Handshake) -> Self {
        Self {
            version: handshake.version,
            cipher: handshake.cipher,
            group: handshake.group,
        }
    }
}

/// One certificate of a chain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct CertificateStatus {
    pub subject: String,
    pub issuer: String,
    pub names: Vec<String>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub sha256: String,
}

impl CertificateStatus {
    fn of(certificate: &Certificate) -> Self {
        let Certificate {
            subject,
            issuer,
            names,
            not_before,
            not_after,
            sha256,
        } = certificate.clone();
        Self {
            subject,
            issuer,
            names,
            not_before,
            not_after,
            sha256,
        }
    }
}

/// How fast a part of a layer came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct DownloadStatus {
    pub bytes: u64,
    pub seconds: f64,
    pub bytes_per_second: f64,
}

impl DownloadStatus {
    fn of(outcome: &StageOutcome) -> Option<Self> {
        let Ok(Evidence::Blob(_, Some(download))) = outcome.result else {
            return None;
        };
        Some(Self {
            bytes: download.bytes,
            seconds: seconds(download.took),
            bytes_per_second: download.rate().round(),
        })
    }
}

/// What is kept of an HTTP response.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct ResponseStatus {
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<String>,
    /// How far the node's clock is ahead of the header `Date`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_skew_seconds: Option<f64>,
}

impl ResponseStatus {
    fn of(outcome: &StageOutcome) -> Option<Self> {
        match &outcome.result {
            Ok(Evidence::Challenge(challenge)) => Some(Self::of_challenge(challenge)),
            Ok(Evidence::Blob(answered, _) | Evidence::Http(answered)) => {
                Some(Self::of_answer(answered))
            }
            Err(Fault::Http(HttpFault::Refused(refusal))) => Some(Self::of_refusal(refusal)),
            _ => None,
        }
    }

    fn of_challenge(challenge: &Challenge) -> Self {
        Self {
            status: challenge.status,
            server: challenge.server.clone(),
            correlation_id: challenge.correlation_id.clone(),
            clock_skew_seconds: challenge.clock_skew,
            ..Self::default()
        }
    }

    fn of_answer(answered: &HttpAnswer) -> Self {
        Self {
            status: answered.status,
            server: answered.server.clone(),
            correlation_id: answered.correlation_id.clone(),
            ..Self::default()
        }
    }

    fn of_refusal(refusal: &Refusal) -> Self {
        Self {
            status: refusal.status,
            server: refusal.server.clone(),
            correlation_id: refusal.correlation_id.clone(),
            retry_after: refusal.retry_after.clone(),
            ..Self::default()
        }
    }
}
