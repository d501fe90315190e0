//! The stages of an image pull as probes, and the path that a pull would take through them.
//!
//! [`run`] walks one registry once and returns an [`Outcome`]: for every endpoint what each
//! nameserver said, and for every address what each stage gave, typed evidence or a typed fault.
//! The crate holds no configuration, no metrics and no state between rounds.
#![warn(missing_docs)]

#[doc(hidden)]
pub mod bench_support;
mod client;
mod diagnosis;
#[doc(hidden)]
pub mod fuzz_support;
mod net;
mod node;
mod outcome;
mod round;
mod stages;
mod words;

pub use crate::{
    diagnosis::{Code, Diagnosis, Expectations, Finding, Severity, Verdict, diagnose},
    net::{
        io_fault::{Errno, IoFault},
        redact::redacted,
    },
    node::{
        Hosts, Node, ProxyRules, ResolvConf, Root,
        certs_d::Misconfigured,
        regular_file::read_regular,
        trust::{TrustError, TrustStore},
    },
    outcome::{
        AddressOutcome, EndpointOutcome, Evidence, Fault, FaultRef, Outcome, PullPath, StageOutcome,
    },
    round::{
        progress::{Ended, Listener},
        run, run_telling,
    },
    stages::{
        challenge::{Access, Bearer, Challenge},
        connect::Connected,
        http::{
            Answered,
            fault::{HttpFault, Refusal},
        },
        manifest::{Descriptor, Digest, Manifest, Platform},
        proxy::{ProxyFault, Tunnel},
        resolve::{Alias, Answer, Lookup, Negative, ResolveFault, lookup},
        tls::{Certificate, CertificateProblem, Chain, Handshake, TlsClients, TlsFault},
        token::{Secret, Token},
    },
    words::{
        acr::{AcrCloud, AcrEndpoint, AcrName, expand_bare_name},
        endpoint::{Endpoint, Nameserver, Origin, Role, Scheme},
        reason::{Reason, Stage},
        scope::{Expectation, Scope},
        target::{Depth, Image, Target},
    },
};
