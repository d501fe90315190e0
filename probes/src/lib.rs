//! The stages of an image pull as probes, and the path that a pull would take through them.
//!
//! [`run`] walks one registry once and returns an [`Outcome`]: for every endpoint what each
//! nameserver said, and for every address what each stage gave, typed evidence or a typed fault.
//! The crate holds no configuration, no metrics and no state between rounds.
#![warn(missing_docs)]

mod allowance;
mod blob;
mod challenge;
mod connect;
mod diagnosis;
mod endpoint;
mod exchange;
#[cfg(test)]
mod fake;
#[doc(hidden)]
pub mod fuzzed;
mod go_client;
mod go_dialer;
mod go_resolver;
mod hosts_in_turn;
mod http;
mod io_fault;
mod listener;
mod manifest;
#[doc(hidden)]
pub mod measured;
mod node;
mod outcome;
mod privatelink;
mod proxy;
mod pull;
mod pull_path;
mod reason;
mod redact;
mod regular_file;
mod requests;
mod resolve;
mod rfc6724;
mod round;
mod scope;
mod survey;
mod tls;
mod token;
mod visit;
mod wire;
mod www_authenticate;

pub use crate::{
    challenge::{Access, Bearer, Challenge},
    connect::Connected,
    diagnosis::{Code, Diagnosis, Expectations, Finding, Severity, Verdict, diagnose},
    endpoint::{Endpoint, Nameserver, Origin, Role, Scheme},
    exchange::{HttpFault, Refusal},
    hosts_in_turn::Misconfigured,
    http::Answered,
    io_fault::{Errno, IoFault},
    listener::{Ended, Listener},
    manifest::{Descriptor, Digest, Manifest, Platform},
    node::{Hosts, Node, ProxyRules, ResolvConf, Root},
    outcome::{AddressOutcome, EndpointOutcome, Evidence, Fault, FaultRef, Outcome, StageOutcome},
    privatelink::{AcrCloud, AcrEndpoint, AcrName, expand_bare_name},
    proxy::{ProxyFault, Tunnel},
    pull_path::PullPath,
    reason::{Reason, Stage},
    redact::redacted,
    regular_file::read_regular,
    resolve::{Alias, Answer, Lookup, Negative, ResolveFault, lookup},
    round::{Depth, Image, Target, run, run_telling},
    scope::{Expectation, Scope},
    tls::{
        Certificate, CertificateProblem, Chain, Handshake, TlsClients, TlsFault, TrustError,
        TrustStore,
    },
    token::{Secret, Token},
};
