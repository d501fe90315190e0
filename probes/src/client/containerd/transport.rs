//! What the machine asks of the world, and what it gets back.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use url::Url;

use crate::{client::credential::Credential, words::throughput::Throughput};

/// How much of a layer is read, in bytes: more than one packet carries, because on some paths only small ones arrive.
const START: u64 = 4096;

/// Who sends requests for the machine.
pub(crate) trait Transport {
    /// Sends one request and waits for its answer. It follows nothing and repeats nothing.
    fn send(&mut self, request: &WalkRequest) -> impl Future<Output = WalkReply>;

    /// The reference is resolved. The client fetches what it stands for with new connections and new tokens, which
    /// a transport need not repeat.
    fn turns_to_content(&mut self) {}

    /// Waits, as the client does between two attempts; `false` where there is no time for another.
    fn pause(&mut self, time: Duration) -> impl Future<Output = bool>;
}

/// One request, as containerd sends it; the agent names itself in `User-Agent`.
#[derive(Clone)]
pub(crate) struct WalkRequest {
    /// Whose client sends it: the place of a host. Its TLS settings and its dial limit hold, wherever the URL leads.
    pub host: usize,
    pub content: Content,
    /// The image, or the digest of a blob.
    pub subject: String,
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    /// The credential that goes along.
    pub offered: Option<Offered>,
    /// How much of the body the machine reads.
    pub read: Read,
}

/// A credential on its way. It is written into a request only when that is sent.
#[derive(Clone)]
pub(crate) struct Offered {
    pub credential: Arc<Credential>,
    pub by: Manner,
}

/// Where in a request a credential is.
#[derive(Clone)]
pub(crate) enum Manner {
    /// In the header `Authorization`.
    Basic,
    /// In the body, a form with these other fields.
    Form(Vec<(&'static str, String)>),
}

/// What a request is for, wherever it is redirected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Token,
    Manifest,
    Blob,
}

/// How much of a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Status and headers decide.
    Nothing,
    /// All of it; of a larger body than this nobody reads on.
    Whole(u64),
    /// Its first bytes, as many as this or as come in time, and its length. The client would read all of it; a transport
    /// may ask for less.
    Start(u64),
    /// The same, and then the transport downloads so much of it, to see how fast it comes.
    Measured(Throughput),
}

impl Read {
    /// The start of a blob of `size` bytes.
    pub(crate) fn start_of(size: u64) -> Self {
        Self::Start(size.min(START))
    }

    /// How many bytes the start has, where that is what is read.
    pub(crate) fn start(self) -> Option<u64> {
        match self {
            Self::Start(bytes) => Some(bytes),
            Self::Measured(throughput) => Some(throughput.bytes.min(START)),
            Self::Nothing | Self::Whole(_) => None,
        }
    }
}

/// What came of a request.
#[derive(Clone, Debug)]
pub(crate) enum WalkReply {
    Response(WalkResponse),
    /// Go's client would have failed.
    Fault(WalkFault),
    /// The agent did not ask, or could not wait as long as the client would: why.
    NotSeen(String),
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct WalkResponse {
    pub status: u16,
    pub headers: HeaderMap,
    /// Of the whole content, also in an answer to HEAD: `Content-Length`, or what `Content-Range` says of the part that
    /// was asked for; without them, that of a body whose end came with its start.
    pub length: Option<u64>,
    /// Whether the client fell back to plain HTTP for it.
    pub in_the_clear: bool,
    /// Whether the server takes another request over this connection.
    pub keeps_open: bool,
    /// What the registry says of a refusal, in its own words.
    pub said: Option<String>,
    pub body: Body,
}

/// What was read of a body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body {
    pub bytes: Bytes,
    pub end: BodyEnd,
}

/// Why reading ended.
#[derive(Clone, Debug, Default)]
pub(crate) enum BodyEnd {
    /// All was read that was asked for.
    #[default]
    Complete,
    /// The connection ended or fell silent before.
    Cut(WalkFault),
    /// The body is larger than the agent reads.
    TooLarge,
}

/// Why Go's client gets no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WalkFault {
    /// As Go prints it behind `Get "url": `; `None` where that is not known.
    pub text: Option<String>,
    pub kind: FaultKind,
}

/// What containerd tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// `net.Error` with `Timeout()`.
    Timeout,
    /// Closed before an answer.
    Eof,
    /// Nobody to connect to.
    Dial,
    /// Connected, and no headers of an answer.
    Silence,
    /// A connection on which the client waits for ever.
    Hangs,
    Other,
}

impl FaultKind {
    pub(crate) fn is_timeout(self) -> bool {
        matches!(self, Self::Timeout | Self::Silence)
    }
}
