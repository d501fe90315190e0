//! An Azure Container Registry to probe and to pull from: a login server, any number of data
//! endpoints, with or without TLS, each on its own loopback addresses. It records every request, and
//! any part of it can be set to answer wrongly while it runs. The public twin of a private registry
//! is a second instance.

mod registry;
mod rights;
mod service;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use jiff::SignedDuration;
use rustls::ServerConfig;
use tokio::net::TcpListener;

use self::registry::{LOGIN, Registry, Site, State};
pub use self::rights::{Permissions, Rights, Role};
pub use self::service::{CREDENTIALS, pull_token};
use crate::background::Background;
pub use crate::fakes::answer::{Answer, Challenge, Kind};
use crate::fakes::{connection, http};
use crate::image::Image;
use crate::pki::{Identity, Pki};

/// The parts of a registry that can answer wrongly, each on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// `GET /v2/`
    Ping,
    /// `POST /oauth2/exchange`
    Exchange,
    /// `/oauth2/token`, by GET or POST.
    Token,
    Manifest,
    /// A blob at the login server.
    Blob,
    /// Everything at the data endpoints.
    Data,
    /// Any other path of the login server.
    Other,
}

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The endpoint that received it, whatever the Host header says.
    pub host: String,
    pub route: Route,
    pub client: SocketAddr,
    pub method: String,
    /// The path and its query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    /// The first header of that name, in any case of letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        http::header(&self.headers, name)
    }
}

/// A registry about to be started.
#[must_use]
pub struct AcrBuilder<'pki> {
    login: Site,
    data: Vec<Site>,
    pki: Option<&'pki Pki>,
    images: Vec<Image>,
    anonymous_pull: bool,
}

impl<'pki> AcrBuilder<'pki> {
    /// One more address for the login server, on the port of the first.
    pub fn also_at(mut self, at: impl Into<SocketAddr>) -> Self {
        self.login.addresses.push(at.into());
        self
    }

    /// A data endpoint; blobs are redirected to the first one.
    pub fn data(mut self, host: &str, at: impl Into<SocketAddr>) -> Self {
        self.data.push(Site::new(host, at));
        self
    }

    /// TLS everywhere, with a good certificate for each endpoint. Without it: plain HTTP.
    pub fn tls(mut self, pki: &'pki Pki) -> Self {
        self.pki = Some(pki);
        self
    }

    pub fn image(mut self, image: Image) -> Self {
        self.images.push(image);
        self
    }

    pub fn anonymous_pull(mut self) -> Self {
        self.anonymous_pull = true;
        self
    }

    pub fn start(self) -> Result<Acr> {
        let mut listeners = Vec::new();
        let mut state = State {
            images: self.images,
            anonymous_pull: self.anonymous_pull,
            ..State::default()
        };
        let mut sites = vec![self.login];
        sites.extend(self.data);
        for (n, site) in sites.iter_mut().enumerate() {
            listeners.extend(site.listen()?.into_iter().map(|listener| (n, listener)));
            if let Some(pki) = self.pki {
                let identity = pki.leaf([&site.host]).issue()?;
                state
                    .identities
                    .insert(site.host.clone(), identity.server_config()?);
            }
        }
        let registry = Arc::new(Registry {
            scheme: if self.pki.is_some() { "https" } else { "http" },
            sites,
            state: Mutex::new(state),
        });
        let served = Arc::clone(&registry);
        let server = Background::run("lab-acr", move || async move {
            for (site, listener) in listeners {
                if let Ok(listener) = TcpListener::from_std(listener) {
                    tokio::spawn(accept(Arc::clone(&served), site, listener));
                }
            }
            std::future::pending().await
        })?;
        Ok(Acr {
            registry,
            _server: server,
        })
    }
}

async fn accept(registry: Arc<Registry>, site: usize, listener: TcpListener) {
    while let Ok((stream, client)) = listener.accept().await {
        let registry = Arc::clone(&registry);
        tokio::spawn(async move {
            let act = |request: &http::Request| registry.act(site, client, request);
            // A client that breaks off is the client's business; tests look at what was seen.
            let _ = connection::serve(stream, registry.identity(site), act).await;
        });
    }
}

/// A running registry; it ends when dropped.
pub struct Acr {
    registry: Arc<Registry>,
    _server: Background,
}

impl Acr {
    /// A registry whose login server has this name and listens here; port 0 takes a free one.
    pub fn at<'pki>(host: &str, at: impl Into<SocketAddr>) -> AcrBuilder<'pki> {
        AcrBuilder {
            login: Site::new(host, at),
            data: Vec::new(),
            pki: None,
            images: Vec::new(),
            anonymous_pull: false,
        }
    }

    /// The login server's first address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.registry.sites[LOGIN].addresses[0]
    }

    /// The login server as an image reference names it: the host, and the port if it is not the
    /// scheme's own.
    #[must_use]
    pub fn server(&self) -> String {
        self.registry.authority(LOGIN)
    }

    /// The first address of a data endpoint, in the order they were added.
    #[must_use]
    pub fn data_addr(&self, n: usize) -> Option<SocketAddr> {
        let site = self.registry.sites.get(LOGIN + 1 + n)?;
        site.addresses.first().copied()
    }

    /// From now on this part of the registry answers so.
    pub fn answer(&self, route: Route, answer: Answer) -> &Self {
        self.registry.state().answers.insert(route, answer);
        self
    }

    /// From now on this endpoint answers everything so; it overrides [`Acr::answer`].
    pub fn answer_at(&self, host: &str, answer: Answer) -> &Self {
        self.registry
            .state()
            .answers_at
            .insert(host.to_owned(), answer);
        self
    }

    /// Ends all wrong answers; certificates stay.
    pub fn fix(&self) -> &Self {
        let mut state = self.registry.state();
        state.answers.clear();
        state.answers_at.clear();
        drop(state);
        self
    }

    /// From now on this endpoint presents this certificate, on new connections.
    pub fn present(&self, host: &str, identity: &Identity) -> Result<&Self> {
        Ok(self.present_as(host, identity.server_config()?))
    }

    /// From now on this endpoint speaks TLS so, on new connections.
    pub fn present_as(&self, host: &str, config: Arc<ServerConfig>) -> &Self {
        let mut state = self.registry.state();
        state.identities.insert(host.to_owned(), config);
        drop(state);
        self
    }

    /// The form of every challenge from now on; the usual one if none is given.
    pub fn challenge(&self, form: Option<Challenge>) -> &Self {
        self.registry.state().challenge = form;
        self
    }

    /// Sets the answer of the data endpoints to requests without a signed URL; 403 by default.
    pub fn answer_unsigned(&self, status: u16) -> &Self {
        self.registry.state().unsigned_status = Some(status);
        self
    }

    pub fn allow_anonymous_pull(&self, allowed: bool) -> &Self {
        self.registry.state().anonymous_pull = allowed;
        self
    }

    /// From now on this `user:password` may pull everything.
    pub fn admit(&self, credentials: &str) -> &Self {
        self.registry.state().admitted.push(credentials.to_owned());
        self
    }

    /// From now on the identities of its tenant may do this.
    pub fn grant(&self, rights: Rights) -> &Self {
        self.registry.state().rights = rights;
        self
    }

    /// From now on manifests and blobs need no token.
    pub fn open(&self, is_open: bool) -> &Self {
        self.registry.state().is_open = is_open;
        self
    }

    /// Sets the registry's clock, which `Date` shows, this many seconds ahead of the node's.
    pub fn set_clock_ahead(&self, seconds: i64) -> &Self {
        self.registry.state().clock_ahead = SignedDuration::from_secs(seconds);
        self
    }

    /// Every request so far, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.registry.state().seen.clone()
    }

    #[must_use]
    pub fn seen_on(&self, route: Route) -> Vec<Seen> {
        let mut seen = self.seen();
        seen.retain(|seen| seen.route == route);
        seen
    }

    /// Forgets the requests so far.
    pub fn forget(&self) -> &Self {
        self.registry.state().seen.clear();
        self
    }

    /// How many connections were accepted, at all endpoints.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.registry.state().connections
    }
}
