//! One attempt at one stage: the evidence that it gave, or the fault that ended it.

use std::{sync::Arc, time::Duration};

use crate::{
    net::io_fault::IoFault,
    stages::{
        challenge::Challenge,
        connect::Connected,
        http::{HttpAnswer, fault::HttpFault},
        identity::IdentityFault,
        proxy::{ProxyFault, Tunnel},
        resolve::ResolveFault,
        tls::{Chain, Handshake, TlsFault},
        token::Token,
    },
    words::{
        reason::{Reason, Stage},
        throughput::Download,
    },
};

/// How long Go waits for a handshake (containerd's `TLSHandshakeTimeout`), and for a proxy to open a tunnel.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
const TUNNEL_LIMIT: Duration = Duration::from_secs(60);

/// One attempt at one stage.
#[derive(Clone, Debug)]
pub struct StageOutcome {
    /// The stage.
    pub stage: Stage,
    /// The image or blob that it is about, if any.
    pub subject: Option<Arc<str>>,
    /// The time since the end of the stage before; zero if it was refused before anything was sent.
    pub took: Duration,
    /// Whether a pull works without it: what it asked is no part of one.
    pub optional: bool,
    /// Its evidence or its fault.
    pub result: Result<Evidence, Fault>,
}

impl StageOutcome {
    /// An attempt that is not about a certain image.
    pub fn new(stage: Stage, took: Duration, result: Result<Evidence, Fault>) -> Self {
        Self {
            stage,
            subject: None,
            took,
            optional: false,
            result,
        }
    }

    /// How long the node's client waits for it.
    pub(crate) fn waits(&self) -> Duration {
        match (self.stage, self.result.as_ref().map_err(Fault::reason)) {
            (Stage::Proxy, Err(Reason::Timeout)) => TUNNEL_LIMIT,
            (Stage::Tls, Err(Reason::Timeout)) => HANDSHAKE_LIMIT,
            _ => self.took,
        }
    }
}

/// The evidence of a stage that succeeded.
#[derive(Clone, Debug)]
pub enum Evidence {
    /// Of `connect`.
    Connect(Connected),
    /// Of `proxy`.
    Proxy(Tunnel),
    /// Of `tls`.
    Tls(Box<Handshake>),
    /// Of `challenge`.
    Challenge(Challenge),
    /// Of `identity`.
    Identity,
    /// Of `exchange`.
    Exchange,
    /// Of `token`.
    Token(Token),
    /// Of `manifest`: served, or a redirect, or a challenge that the client answers.
    Manifest(HttpAnswer),
    /// Of `blob`: served, or redirected to the next host; and how fast it came, where that was measured.
    Blob(HttpAnswer, Option<Download>),
    /// Of `http`.
    Http(HttpAnswer),
}

/// Why a stage on an address failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Of `connect`.
    #[error(transparent)]
    Connect(IoFault),
    /// Of `proxy`.
    #[error(transparent)]
    Proxy(ProxyFault),
    /// Of `tls`.
    #[error(transparent)]
    Tls(Box<TlsFault>),
    /// Of `identity`.
    #[error(transparent)]
    Identity(IdentityFault),
    /// Of the other stages over HTTP.
    #[error(transparent)]
    Http(HttpFault),
}

impl Fault {
    /// The reason that this fault counts as.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Connect(fault) => fault.reason(),
            Self::Proxy(fault) => fault.reason(),
            Self::Tls(fault) => fault.reason(),
            Self::Identity(fault) => fault.reason(),
            Self::Http(fault) => fault.reason(),
        }
    }
}

impl Fault {
    /// The chain that was refused, if one was presented.
    pub fn chain(&self) -> Option<&Chain> {
        match self {
            Self::Tls(fault) => match &**fault {
                TlsFault::Certificate { chain, .. } => Some(chain),
                _ => None,
            },
            Self::Connect(_) | Self::Proxy(_) | Self::Identity(_) | Self::Http(_) => None,
        }
    }
}

/// A fault of any stage, `resolve` included, by reference.
#[derive(Clone, Copy, Debug)]
pub enum FaultRef<'a> {
    /// A fault of `resolve`.
    Resolve(&'a ResolveFault),
    /// A fault of a stage on an address.
    Stage(&'a Fault),
}

impl FaultRef<'_> {
    /// The reason that this fault counts as.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Resolve(fault) => fault.reason(),
            Self::Stage(fault) => fault.reason(),
        }
    }
}

impl std::fmt::Display for FaultRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Resolve(fault) => fault.fmt(f),
            Self::Stage(fault) => fault.fmt(f),
        }
    }
}
