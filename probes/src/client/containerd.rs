//! containerd's pull as a state machine without I/O: its resolver, fetcher and authorizer, and Go's HTTP
//! client beneath them. A [`Transport`] sends what the machine asks for and says what came back; replayed
//! transcripts of real pulls are one, a round is the other.
//!
//! Sources: containerd `core/remotes/docker/{resolver,fetcher,authorizer}.go`, `core/images/handlers.go`;
//! Go `net/http/client.go`.

pub(crate) use self::{
    pull::{Pulled, pull},
    source::{Host, WantedImage},
    stop::{Blame, Stop},
    transport::{
        Body, BodyEnd, Content, FaultKind, Manner, Read, Transport, WalkFault, WalkReply,
        WalkRequest, WalkResponse,
    },
};

mod auth_header;
mod authorizer;
mod document;
mod fetch;
mod go_http;
pub(crate) mod oracle;
mod pull;
mod resolve;
mod retries;
mod source;
mod stop;
#[cfg(test)]
mod tests;
mod transport;
mod unexpected;
