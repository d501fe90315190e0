//! containerd's authorizer: what a challenge makes it ask for, and the token that goes along with the next
//! request. Without a credential only a Bearer challenge has an answer.
//!
//! Source: containerd `core/remotes/docker/authorizer.go` and `auth/{parse,fetch}.go`.

use std::{collections::HashMap, sync::Arc};

use hyper::{HeaderMap, Method, header::HeaderValue};
use url::Url;

use super::{
    auth_header::challenges,
    go_http::{self, Anonymous, Authorization, Authorize, Followed},
    stop::{Class, GoError, Stop},
    transport::{Content, Manner, Offered, Read, Transport, WalkRequest},
    unexpected::{Wanted, unexpected_status},
};
use crate::{
    client::credential::Credential,
    net::{
        go_url::{self, NoUrl},
        inert::excerpt,
    },
    node::ContainerdRelease,
    stages::{http::fault::HttpFault, token},
};

/// Go's JSON decoder reads no limit; nobody's token is as large.
const MAX_TOKEN: u64 = 1024 * 1024;

/// One for each host that has a client of its own, and one for all others together.
pub(crate) struct Authorizer {
    /// Whose client asks for tokens.
    host: usize,
    /// What goes along with each request for a token.
    headers: Arc<HeaderMap>,
    release: ContainerdRelease,
    /// What the kubelet gave along.
    credential: Option<Arc<Credential>>,
    /// By `host:port` as URLs write it.
    handlers: HashMap<String, Handler>,
}

/// How a host is answered after its challenge.
enum Handler {
    Bearer(Bearer),
    Basic(Arc<Credential>),
}

struct Bearer {
    release: ContainerdRelease,
    headers: Arc<HeaderMap>,
    realm: Url,
    service: String,
    scopes: Vec<String>,
    /// By the scopes asked for, joined by spaces. A failure is kept like a token.
    tokens: HashMap<String, Result<HeaderValue, Stop>>,
}

impl Authorizer {
    pub(super) fn of(
        host: usize,
        headers: HeaderMap,
        release: ContainerdRelease,
        credential: Option<Arc<Credential>>,
    ) -> Self {
        Self {
            host,
            headers: Arc::new(headers),
            release,
            credential,
            handlers: HashMap::new(),
        }
    }

    /// What `Authorization` a request to `url` gets that needs `scope`: none before a challenge.
    async fn authorization<T: Transport>(
        &mut self,
        transport: &mut T,
        url: &Url,
        scope: &str,
    ) -> Result<Option<Authorization>, Stop> {
        let host = self.host;
        let bearer = match self.handlers.get_mut(&authority(url)) {
            None => return Ok(None),
            Some(Handler::Basic(credential)) => {
                return Ok(Some(Authorization::Password(Arc::clone(credential))));
            }
            Some(Handler::Bearer(bearer)) => bearer,
        };
        let mut scopes = bearer.scopes.clone();
        scopes.push(scope.to_owned());
        scopes.sort_unstable();
        scopes.dedup();
        let key = scopes.join(" ");
        let token = match bearer.tokens.get(&key) {
            Some(known) => known.clone(),
            None => {
                let by = self.credential.as_ref();
                let token = bearer.fetch(transport, host, &scopes, by).await;
                bearer.tokens.insert(key, token.clone());
                token
            }
        };
        token.map(|token| Some(Authorization::Token(token)))
    }

    /// Takes up the challenge of a 401; whether the request is worth another attempt. `repeated` is
    /// whether the answer before was to the same request.
    pub(super) fn add(&mut self, answer: &Followed, repeated: bool) -> Result<bool, Stop> {
        let host = authority(&answer.url);
        let known = challenges(&answer.response.headers);
        let Some(challenge) = known.first() else {
            return Ok(false);
        };
        if !challenge.is_bearer {
            let Some(credential) = &self.credential else {
                let text = format!("{INVALID}: no basic auth credentials");
                return Err(GoError::new(Class::InvalidAuthorization, text).into());
            };
            let handler = Handler::Basic(Arc::clone(credential));
            self.handlers.insert(host, handler);
            return Ok(true);
        }
        let parameter = |name: &str| challenge.parameter(name);
        if let Some(error) = parameter("error").filter(|error| !error.is_empty()) {
            self.handlers.remove(&host);
            if repeated {
                let text = format!("server message: {}: {INVALID}", excerpt(error.as_bytes()));
                return Err(GoError::new(Class::InvalidAuthorization, text).into());
            }
        }
        if self.handlers.contains_key(&host) {
            return Ok(true);
        }
        let Some(realm) = parameter("realm") else {
            let text = "no realm specified for token auth challenge";
            let error = GoError::new(Class::Other, text);
            let fault = HttpFault::NotARegistry {
                status: 401,
                why: "no realm to ask for a token",
            };
            return Err(error.blamed_for(Content::Token, fault).into());
        };
        let realm = go_url::absolute(realm).map_err(|why| {
            let fault = HttpFault::not_asked(why, "the realm", realm);
            match why {
                NoUrl::Differs => Stop::NotFollowed(Content::Token, fault),
                NoUrl::Refused | NoUrl::NotSent => {
                    let error = GoError::untold(Class::Other);
                    error.blamed_for(Content::Token, fault).into()
                }
            }
        })?;
        let scopes = parameter("scope").map(|scope| scope.split(' ').map(str::to_owned));
        let handler = Bearer {
            release: self.release,
            headers: Arc::clone(&self.headers),
            realm,
            service: parameter("service").unwrap_or_default().to_owned(),
            scopes: scopes.map(Iterator::collect).unwrap_or_default(),
            tokens: HashMap::new(),
        };
        self.handlers.insert(host, Handler::Bearer(handler));
        Ok(true)
    }
}

/// An authorizer on behalf of a pull.
pub(super) struct Scoped<'a> {
    pub(super) authorizer: &'a mut Authorizer,
    pub(super) scope: &'a str,
}

impl<T: Transport> Authorize<T> for Scoped<'_> {
    async fn authorize(
        &mut self,
        transport: &mut T,
        url: &Url,
    ) -> Result<Option<Authorization>, Stop> {
        self.authorizer
            .authorization(transport, url, self.scope)
            .await
    }
}

const UNDECODED: &str = "unable to decode token response";
/// `docker.ErrInvalidAuthorization`.
const INVALID: &str = "authorization failed";

impl Bearer {
    /// With a credential, `POST` comes first; services that do not know that are asked with `GET`.
    async fn fetch<T: Transport>(
        &self,
        transport: &mut T,
        host: usize,
        scopes: &[String],
        by: Option<&Arc<Credential>>,
    ) -> Result<HeaderValue, Stop> {
        let with_scopes = with_parameters(&self.realm, &self.service, scopes);
        let Some(credential) = by else {
            let token = self.ask(transport, host, with_scopes, None).await;
            return token.map_err(|stop| stop.within("failed to fetch anonymous token"));
        };
        let offer = |by| {
            let credential = Arc::clone(credential);
            Some(Offered { credential, by })
        };
        let form = Manner::Form(vec![
            ("client_id", "containerd-client".to_owned()),
            ("scope", scopes.join(" ")),
            ("service", self.service.clone()),
        ]);
        let token = match self
            .ask(transport, host, self.realm.clone(), offer(form))
            .await
        {
            Err(Stop::Failed(GoError {
                class: Class::Status(400 | 401 | 404 | 405),
                ..
            })) => {
                self.ask(transport, host, with_scopes, offer(Manner::Basic))
                    .await
            }
            token => token,
        };
        token.map_err(|stop| stop.within("failed to fetch oauth token"))
    }

    /// One token request: `POST` with a form, else `GET`.
    async fn ask<T: Transport>(
        &self,
        transport: &mut T,
        host: usize,
        url: Url,
        offered: Option<Offered>,
    ) -> Result<HeaderValue, Stop> {
        let method = match &offered {
            Some(Offered {
                by: Manner::Form(_),
                ..
            }) => Method::POST,
            _ => Method::GET,
        };
        let request = WalkRequest {
            host,
            content: Content::Token,
            subject: String::new(),
            method,
            url,
            headers: (*self.headers).clone(),
            offered,
            read: Read::Whole(MAX_TOKEN),
        };
        let answer = go_http::send(transport, &mut Anonymous, &request, self.release).await?;
        let status = answer.response.status;
        if !(200..400).contains(&status) {
            return Err(unexpected_status(self.release, &answer, Wanted::Token).into());
        }
        let answer = answer
            .unpacked(request.read)
            .map_err(|stop| stop.within(UNDECODED))?;
        let body = answer.whole().map_err(|stop| stop.within(UNDECODED))?;
        let token = match request.method {
            Method::POST => token::granted_to_form(body),
            _ => token::granted(body),
        };
        let token = token.map_err(|error| {
            let error = GoError::from(error);
            let fault = HttpFault::Malformed("an answer that is no token".to_owned());
            error.within(UNDECODED).with_content(fault)
        })?;
        let Some(token) = token else {
            let text = "authorization server did not include a token in the response";
            let fault = HttpFault::Malformed("no token in the answer".to_owned());
            return Err(GoError::new(Class::Other, text).with_content(fault).into());
        };
        let bearer = token::bearer(&token).ok_or_else(|| {
            // Only the request that is to carry it fails.
            let fault = HttpFault::Malformed("a token that no header can carry".to_owned());
            GoError::untold(Class::Other).with_content(fault)
        })?;
        Ok(bearer)
    }
}

/// The realm with service and scopes among its parameters, sorted by name as Go encodes them.
pub(super) fn with_parameters(realm: &Url, service: &str, scopes: &[String]) -> Url {
    let mut pairs = go_url::parameters(realm.query().unwrap_or_default());
    if !service.is_empty() {
        pairs.push(("service".to_owned(), service.to_owned()));
    }
    let scopes = scopes.iter();
    pairs.extend(scopes.map(|scope| ("scope".to_owned(), scope.clone())));
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut url = realm.clone();
    url.query_pairs_mut().clear().extend_pairs(pairs);
    url
}

/// `URL.Host`: with the port where the URL names one.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
