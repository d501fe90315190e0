//! One request of containerd's resolver or fetcher, with the attempts that it makes.
//!
//! Source: containerd `core/remotes/docker/resolver.go` (`doWithRetries`, `retryRequest`), and the same of
//! 1.7.

use std::time::Duration;

use hyper::Method;

use super::{
    authorizer::{Authorizer, Scoped},
    go_http::{self, Followed},
    stop::{GoError, Stop},
    transport::{Transport, WalkRequest},
    unexpected::{Wanted, unexpected_status},
};
use crate::{net::redact::shown, node::ContainerdRelease};

/// How often a request is sent, which differs between versions of containerd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retries {
    /// In all.
    attempts: usize,
    /// Time-outs and ends of a connection are tried again at the last host.
    transport: bool,
    /// So are 500, 503 and 504, once.
    server_errors: bool,
}

impl Retries {
    pub(super) fn of(release: ContainerdRelease) -> Self {
        let transport = release.repeats_transport_errors();
        Self {
            attempts: if transport { 5 } else { 6 },
            transport,
            server_errors: release.repeats_server_errors(),
        }
    }
}

const PAUSE: Duration = Duration::from_millis(50);

/// Sends `request` until there is an answer to take.
pub(super) async fn send<T: Transport>(
    transport: &mut T,
    authorizer: &mut Authorizer,
    release: ContainerdRelease,
    mut request: WalkRequest,
    scope: &str,
    last_host: bool,
) -> Result<Followed, Stop> {
    let retries = Retries::of(release);
    let mut attempts = retries.attempts;
    let mut before: Option<Followed> = None;
    loop {
        let answer = loop {
            attempts -= 1;
            let mut by = Scoped { authorizer, scope };
            let sent = go_http::send(transport, &mut by, &request, release).await;
            match sent.map_err(failed_to_do) {
                Ok(answer) => break answer,
                Err(stop) => {
                    let again = stop.is_transient() && retries.transport && last_host;
                    if !again || attempts == 0 || !transport.pause(PAUSE).await {
                        return Err(stop);
                    }
                }
            }
        };
        let again = match answer.response.status {
            401 => {
                let repeated = before.as_ref().is_some_and(|before| {
                    before.method == answer.method && before.url == answer.url
                });
                authorizer.add(&answer, repeated)?
            }
            405 if request.method == Method::HEAD && is_manifest(&request) => {
                request.method = Method::GET;
                true
            }
            408 | 429 => true,
            status @ (500 | 503 | 504) => {
                let seen = before.as_ref().map(|before| before.response.status);
                retries.server_errors && last_host && seen != Some(status)
            }
            _ => false,
        };
        if !again || attempts == 0 {
            return Ok(answer);
        }
        before = Some(answer);
    }
}

/// Errors of the authorizer say themselves what failed.
fn failed_to_do(stop: Stop) -> Stop {
    let of_authorizer = |text: &str| text.starts_with("failed to authorize");
    match &stop {
        Stop::Failed(GoError {
            text: Some(text), ..
        }) if of_authorizer(text) => stop,
        _ => stop.within("failed to do request"),
    }
}

fn is_manifest(request: &WalkRequest) -> bool {
    request.url.path().contains("/manifests/")
}

/// `withErrorCheck` of the fetcher.
pub(super) fn refuse_errors(
    release: ContainerdRelease,
    answer: Followed,
) -> Result<Followed, Stop> {
    match answer.response.status {
        404 => Err(
            GoError::not_found(format_args!("content at {} not found", shown(&answer.url))).into(),
        ),
        300.. => Err(unexpected_status(release, &answer, Wanted::Content).into()),
        _ => Ok(answer),
    }
}
