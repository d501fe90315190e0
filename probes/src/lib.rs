//! The stages of an image pull as probes, and the path that a pull would take through them.
//!
//! [`run`] walks one registry once and returns an [`Outcome`]: for every endpoint what each
//! nameserver said, and for every address what each stage gave, typed evidence or a typed fault.
//! The crate holds no configuration, no metrics and no state between rounds.
#![warn(missing_docs)]

#[cfg_attr(not(test), expect(dead_code, reason = "round.rs calls it next"))]
mod blob;
mod challenge;
mod connect;
mod diagnosis;
mod endpoint;
mod exchange;
#[cfg(test)]
mod fake;
mod http;
mod io_fault;
#[cfg_attr(not(test), expect(dead_code, reason = "round.rs calls it next"))]
mod manifest;
mod node;
mod outcome;
mod privatelink;
#[cfg_attr(not(test), expect(dead_code, reason = "round.rs calls it next"))]
mod proxy;
mod pull;
mod pull_path;
mod reason;
mod redact;
mod resolve;
mod round;
mod scope;
mod survey;
mod tls;
mod token;
mod www_authenticate;

pub use crate::{
    challenge::{Access, Bearer, Challenge},
    connect::Connected,
    diagnosis::{Verdict, verdict},
    endpoint::{Endpoint, Nameserver, Origin, Role, Scheme},
    exchange::{HttpFault, Refusal},
    http::Answered,
    io_fault::{Errno, IoFault},
    manifest::{Descriptor, Digest, Manifest, Platform},
    node::{
        Hosts, Node, ProxyCredentials, ProxyError, ProxyRules, ProxyScheme, ProxyUrl, ResolvConf,
    },
    outcome::{AddressOutcome, EndpointOutcome, Evidence, Fault, FaultRef, Outcome, StageOutcome},
    privatelink::{AcrEndpoint, AcrName, expand_bare_name},
    proxy::{ProxyFault, Tunnel},
    reason::{Reason, Stage},
    redact::redacted,
    resolve::{Alias, Answer, Lookup, Negative, ResolveFault, lookup},
    round::{Depth, Target, run},
    scope::{Expectation, Scope},
    tls::{
        Certificate, CertificateProblem, Chain, Handshake, TlsClient, TlsFault, TrustError,
        TrustStore,
    },
    token::{Secret, Token},
};
