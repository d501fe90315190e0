//! The stages of an image pull as probes, and the path that a pull would take through them.
//!
//! [`run`] walks one registry once and returns an [`Outcome`]: what each nameserver answered for every
//! endpoint, and what each stage gave for every address, as typed evidence or a typed fault.
//! [`diagnose`] is pure: it turns an outcome into findings and a verdict. The crate holds no
//! configuration, no metrics and no state between rounds.
//!
//! A single stage works alone as well. [`lookup`] asks one nameserver over its own connected socket, so
//! it can tell a closed port from a nameserver that does not answer:
//!
//! ```
//! use std::{net::UdpSocket, sync::Arc, time::Duration};
//!
//! use regprobe_probes::{HowToAsk, Nameserver, Origin, Reason, lookup};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! // Nobody listens there any more.
//! let closed = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
//! let nameserver = Arc::new(Nameserver { address: closed, name: None, origin: Origin::Node });
//!
//! let how = HowToAsk::within(Duration::from_secs(3));
//! let seen = lookup(&nameserver, "contoso.azurecr.io", how).await;
//!
//! assert_eq!(seen.fault().map(|fault| fault.reason()), Some(Reason::Refused));
//! # Ok(())
//! # }
//! ```
//!
//! The folder `examples` has a whole round and its diagnosis.
#![warn(missing_docs)]

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
        ContainerdRelease, HostSettings, Hosts, Node, ProxyRules, ResolvConf, Root,
        misconfigured::{Misconfigured, SettingPlace},
        regular_file::read_regular,
        root::FileError,
        trust::{TrustError, TrustStore},
        unseen::Unseen,
    },
    outcome::{
        AddressOutcome, Asked, Credentials, EndpointOutcome, Evidence, Fault, FaultRef, Footing,
        Giver, OfIdentity, OfSecret, Offer, OfferEnd, Outcome, PullPath, StageOutcome, Walk,
        WalkEnd,
    },
    round::{
        deadlines::STAGES_OF_AN_ANSWER,
        identity::HeldCredential,
        progress::{OnStageEnd, StageEnd},
        run, run_holding,
    },
    stages::{
        challenge::{Access, Bearer, Challenge},
        connect::Connected,
        http::{
            HttpAnswer,
            fault::{HttpFault, Refusal},
        },
        identity::IdentityFault,
        proxy::{ProxyFault, Tunnel},
        resolve::{Alias, Answer, HowToAsk, Lookup, Negative, ResolveFault, lookup},
        tls::{Certificate, CertificateProblem, Chain, Handshake, Lost, TlsClients, TlsFault},
        token::Token,
    },
    words::{
        acr::{AcrCloud, AcrEndpoint, AcrName, expand_bare_name},
        digest::Digest,
        endpoint::{Endpoint, Nameserver, Origin, Role, Scheme, Turn},
        platform::Platform,
        reason::{Reason, Stage},
        scope::{Expectation, Scope},
        target::{Depth, Image, ManagedIdentity, Target},
        throughput::{ByteCount, Download, Throughput},
    },
};
