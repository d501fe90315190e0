//! What the endpoints of a fake registry share: who they are, what was told to them, and what
//! becomes of a request.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use rustls::ServerConfig;

use super::rights::Rights;
use super::service::Service;
use super::{Route, Seen};
use crate::addresses;
use crate::fakes::answer::{Act, Answer, Asked, Challenge};
use crate::fakes::http::{Request, Response};
use crate::image::Image;

/// The login server's place among the sites; the data endpoints follow.
pub(super) const LOGIN: usize = 0;

pub(super) struct Registry {
    pub(super) scheme: &'static str,
    pub(super) sites: Vec<Site>,
    pub(super) state: Mutex<State>,
}

/// One endpoint: a host name and where it listens.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) host: String,
    pub(super) addresses: Vec<SocketAddr>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) images: Vec<Image>,
    pub(super) anonymous_pull: bool,
    pub(super) is_open: bool,
    pub(super) rights: Rights,
    pub(super) admitted: Vec<String>,
    pub(super) identities: HashMap<String, Arc<ServerConfig>>,
    pub(super) answers: HashMap<Route, Answer>,
    pub(super) answers_at: HashMap<String, Answer>,
    pub(super) challenge: Option<Challenge>,
    pub(super) unsigned_status: Option<u16>,
    pub(super) clock_ahead: SignedDuration,
    pub(super) seen: Vec<Seen>,
    pub(super) connections: usize,
}

impl Registry {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn authority(&self, site: usize) -> String {
        let site = &self.sites[site];
        match (self.scheme, site.port()) {
            ("https", 443) | ("http", 80) => site.host.clone(),
            (_, port) => format!("{}:{port}", site.host),
        }
    }

    fn url(&self, site: usize) -> String {
        format!("{}://{}", self.scheme, self.authority(site))
    }

    pub(super) fn identity(&self, site: usize) -> Option<Arc<ServerConfig>> {
        let mut state = self.state();
        state.connections += 1;
        state.identities.get(&self.sites[site].host).cloned()
    }

    /// Records a request and decides what to do with it.
    pub(super) fn act(&self, site: usize, client: SocketAddr, request: &Request) -> Act {
        let host = &self.sites[site].host;
        let route = if site == LOGIN {
            Route::of(request.path())
        } else {
            Route::Data
        };
        let login_url = self.url(LOGIN);
        let data_url = self.sites.get(LOGIN + 1).map(|_| self.url(LOGIN + 1));

        let mut state = self.state();
        state.seen.push(Seen {
            host: host.clone(),
            route,
            client,
            method: request.method.clone(),
            target: request.target.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
        });
        let asked = Asked {
            url: format!("{}{}", self.url(site), request.target),
            request,
            realm: format!("{login_url}/oauth2/token"),
            service: &self.sites[LOGIN].host,
            last_layer: state.images.first().map(Image::last_layer),
        };
        let service = Service {
            name: asked.service,
            realm: &asked.realm,
            data_url: data_url.as_deref(),
            images: &state.images,
            anonymous_pull: state.anonymous_pull,
            is_open: state.is_open,
            rights: &state.rights,
            admitted: &state.admitted,
            challenge: state.challenge.as_ref(),
            unsigned_status: state.unsigned_status,
        };
        let azure = service.respond(route, request);
        let answer = state
            .answers_at
            .get(host)
            .or_else(|| state.answers.get(&route))
            .unwrap_or(&Answer::AsAzure);
        match answer.act(&asked, azure) {
            Act::Respond(response, framing) => {
                Act::Respond(stamp(response, state.clock_ahead), framing)
            }
            raw => raw,
        }
    }
}

/// Adds what stands in every answer of Azure's.
fn stamp(response: Response, clock_ahead: SignedDuration) -> Response {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    let request = REQUESTS.fetch_add(1, Ordering::Relaxed);
    let now = Timestamp::now() + clock_ahead;
    response
        .header("Server", "AzureContainerRegistry")
        .header(
            "Date",
            now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        )
        .header("X-Content-Type-Options", "nosniff")
        .header(
            "X-Ms-Correlation-Request-Id",
            format!("00000000-0000-4000-8000-{request:012x}"),
        )
}

impl Site {
    pub(super) fn new(host: &str, at: impl Into<SocketAddr>) -> Self {
        Self {
            host: host.to_owned(),
            addresses: vec![at.into()],
        }
    }

    fn port(&self) -> u16 {
        self.addresses.first().map_or(0, SocketAddr::port)
    }

    pub(super) fn listen(&mut self) -> Result<Vec<StdTcpListener>> {
        let mut listeners = Vec::new();
        let mut port = self.port();
        for address in &mut self.addresses {
            address.set_port(port);
            *address = addresses::with_port(*address)?;
            port = address.port();
            let listener = StdTcpListener::bind(*address)
                .with_context(|| format!("failed to listen on {address} for {}", self.host))?;
            listener.set_nonblocking(true)?;
            listeners.push(listener);
        }
        Ok(listeners)
    }
}
