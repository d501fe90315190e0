//! Azure's instance metadata service, as far as a container registry's credential needs it: it gives out Entra's
//! tokens for the identities of the node's scale set. Strict as the real one, so a client that would be refused
//! there is refused here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use jiff::Timestamp;
use serde_json::json;

use crate::addresses;
use crate::background::Background;
use crate::fakes::acr::Answer;
use crate::fakes::answer::{Act, Asked};
use crate::fakes::connection;
use crate::fakes::entra::{self, KUBELET_IDENTITY, TENANT};
use crate::fakes::http::{Framing, Request, Response};

/// Where every Azure machine has it.
pub const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);

/// A running metadata service; it ends when dropped.
pub struct Metadata {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
    _server: Background,
}

struct State {
    identities: Vec<String>,
    tenant: String,
    throttled: Option<String>,
    answer: Answer,
    seen: Vec<MetadataRequest>,
}

/// A request as the service got it.
#[derive(Clone, Debug)]
pub struct MetadataRequest {
    /// The method and the path with its query.
    pub line: String,
    pub headers: Vec<(String, String)>,
}

impl Metadata {
    /// A service that knows the kubelet's identity; port 0 takes a free one.
    pub fn start(at: impl Into<SocketAddr>) -> Result<Self> {
        let addr = addresses::with_port(at.into())?;
        let state = Arc::new(Mutex::new(State {
            identities: vec![KUBELET_IDENTITY.to_owned()],
            tenant: TENANT.to_owned(),
            throttled: None,
            answer: Answer::AsAzure,
            seen: Vec::new(),
        }));
        let served = Arc::clone(&state);
        let server = Background::accepting("lab-metadata", addr, move |stream| {
            let served = Arc::clone(&served);
            async move {
                let act = |request: &Request| lock(&served).act(request);
                // A client that breaks off is the client's business; tests look at what was seen.
                let _ = connection::serve(stream, None, act).await;
            }
        })?;
        Ok(Self {
            addr,
            state,
            _server: server,
        })
    }

    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on the scale set has the identities with these client ids.
    pub fn identities<'a>(&self, client_ids: impl IntoIterator<Item = &'a str>) -> &Self {
        let identities = client_ids.into_iter().map(str::to_owned);
        lock(&self.state).identities = identities.collect();
        self
    }

    /// From now on its identities are of this tenant.
    pub fn tenant(&self, tenant: &str) -> &Self {
        tenant.clone_into(&mut lock(&self.state).tenant);
        self
    }

    /// From now on it answers questions for this client id with 429, whatever it answers to others.
    pub fn throttle(&self, client_id: &str) -> &Self {
        lock(&self.state).throttled = Some(client_id.to_owned());
        self
    }

    /// From now on it answers everything so.
    pub fn answer(&self, answer: Answer) -> &Self {
        lock(&self.state).answer = answer;
        self
    }

    /// Every request so far, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<MetadataRequest> {
        lock(&self.state).seen.clone()
    }
}

impl State {
    fn act(&mut self, request: &Request) -> Act {
        self.seen.push(MetadataRequest {
            line: format!("{} {}", request.method, request.target),
            headers: request.headers.clone(),
        });
        let healthy = self
            .respond(request)
            .header("Server", "IMDS/150.870.65.1854");
        let asked = Asked {
            url: format!("http://{}{}", ADDRESS.ip(), request.target),
            request,
            realm: String::new(),
            service: "",
            last_layer: None,
        };
        let named = request.parameter("client_id");
        let answer = match named.is_some() && named == self.throttled {
            true => &Answer::Throttled(None),
            false => &self.answer,
        };
        match *answer {
            Answer::Status(status) => Act::Respond(unwell(status), Framing::Length),
            ref answer => answer.act(&asked, healthy),
        }
    }

    /// What it answers in good health.
    fn respond(&self, request: &Request) -> Response {
        let version = request.parameter("api-version");
        if request
            .header("metadata")
            .is_none_or(|value| !value.eq_ignore_ascii_case("true"))
        {
            return refusal("invalid_request", "Required metadata header not specified");
        }
        if request.header("x-forwarded-for").is_some() {
            return refusal("invalid_request", "X-Forwarded-For is not allowed");
        }
        if request.path() != "/metadata/identity/oauth2/token" {
            return unwell(404);
        }
        if request.method != "GET" {
            return unwell(405);
        }
        if version.is_none_or(|version| version.as_str() < "2018-02-01") {
            return refusal(
                "invalid_request",
                "api-version was not specified or is unknown",
            );
        }
        let Some(resource) = request.parameter("resource") else {
            return refusal(
                "invalid_request",
                "Required query variable 'resource' is missing",
            );
        };
        if !resource.starts_with("https://") {
            let text =
                format!("AADSTS50001: The resource principal named {resource} was not found.");
            return refusal("invalid_resource", &text);
        }
        let named = request.parameter("client_id");
        let found = match &named {
            Some(named) => self.identities.iter().find(|identity| *identity == named),
            None if self.identities.len() > 1 => {
                let text = "Multiple user assigned identities exist, please specify the clientId / resourceId of \
                            the identity in the token request";
                return refusal("invalid_request", text);
            }
            None => self.identities.first(),
        };
        let Some(client_id) = found else {
            return refusal("invalid_request", "Identity not found");
        };
        let now = Timestamp::now().as_second();
        Response::new(200).json(&json!({
            "access_token": entra::token(client_id, &self.tenant, resource.trim_end_matches('/')),
            "client_id": client_id,
            // Numbers as text, as the real one has them.
            "expires_in": entra::LIFETIME.to_string(),
            "expires_on": (now + entra::LIFETIME).to_string(),
            "ext_expires_in": entra::LIFETIME.to_string(),
            "not_before": now.to_string(),
            "resource": resource,
            "token_type": "Bearer",
        }))
    }
}

fn refusal(error: &str, description: &str) -> Response {
    Response::new(400).json(&json!({"error": error, "error_description": description}))
}

fn unwell(status: u16) -> Response {
    let description = "the service cannot answer now";
    Response::new(status).json(&json!({"error": "unavailable", "error_description": description}))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::{self, Reply};

    const RESOURCE: &str = "resource=https://containerregistry.azure.net";

    fn ask(service: &Metadata, query: &str) -> Reply {
        let target = format!("/metadata/identity/oauth2/token?api-version=2018-02-01&{query}");
        let call = client::get(service.addr(), &target).header("Metadata", "true");
        call.send().unwrap()
    }

    fn start() -> Metadata {
        Metadata::start((addresses::loopback(), 0)).unwrap()
    }

    #[test]
    fn gives_a_token_for_the_identity_that_is_meant() {
        let service = start();
        let named = format!("{RESOURCE}&client_id={KUBELET_IDENTITY}");
        for query in [RESOURCE, &named] {
            let reply = ask(&service, query).expect_status(200).unwrap();
            let said = reply.json().unwrap();
            let claims = entra::claims(said["access_token"].as_str().unwrap()).unwrap();
            assert_eq!(claims["appid"], KUBELET_IDENTITY);
            assert_eq!(claims["aud"], entra::REGISTRIES);
            assert_eq!(said["expires_in"], "86400");
        }

        service.identities([KUBELET_IDENTITY, "another"]);
        assert!(
            ask(&service, RESOURCE)
                .text()
                .contains("Multiple user assigned")
        );
        assert_eq!(ask(&service, &named).status, 200);
        service.identities(["another"]);
        let gone = ask(&service, &named);
        assert_eq!(gone.status, 400);
        assert!(
            gone.text().contains("\"Identity not found\""),
            "{}",
            gone.text()
        );
        service.identities([]);
        assert_eq!(ask(&service, RESOURCE).status, 400);
    }

    #[test]
    fn refuses_what_the_real_one_refuses() {
        let service = start();
        let target = format!("/metadata/identity/oauth2/token?api-version=2018-02-01&{RESOURCE}");
        let get = |target: &str| client::get(service.addr(), target);
        let good = || get(&target).header("Metadata", "true");
        let refused = [
            (get(&target), 400),
            (get(&target).header("Metadata", "false"), 400),
            (good().header("X-Forwarded-For", "10.0.0.1"), 400),
            (
                get(&target.replace("2018", "2017")).header("Metadata", "true"),
                400,
            ),
            (
                get(&target.replace("resource", "audience")).header("Metadata", "true"),
                400,
            ),
            (
                get(&target.replace("https", "urn")).header("Metadata", "true"),
                400,
            ),
            (get("/metadata/instance").header("Metadata", "true"), 404),
            (
                client::call("POST", service.addr(), &target).header("Metadata", "true"),
                405,
            ),
        ];
        for (call, status) in refused {
            call.send().unwrap().expect_status(status).unwrap();
        }
        good().send().unwrap().expect_status(200).unwrap();
        assert_eq!(service.seen().len(), 9);
    }

    #[test]
    fn every_wrong_answer_shows() {
        let service = start();
        for status in [404, 410, 500] {
            service.answer(Answer::Status(status));
            assert_eq!(ask(&service, RESOURCE).status, status);
        }
        service.answer(Answer::Throttled(Some(Duration::from_secs(3))));
        let throttled = ask(&service, RESOURCE).expect_status(429).unwrap();
        assert_eq!(throttled.header("Retry-After"), Some("3"));
        service.throttle("another");
        assert_eq!(
            ask(&service, &format!("{RESOURCE}&client_id=another")).status,
            429
        );
        service.answer(Answer::CaptivePortal);
        assert!(
            ask(&service, RESOURCE)
                .text()
                .starts_with("<!doctype html>")
        );
        service.answer(Answer::RedirectTo("http://elsewhere.example/".to_owned()));
        let led = ask(&service, RESOURCE).expect_status(302).unwrap();
        assert_eq!(led.header("Location"), Some("http://elsewhere.example/"));
    }
}
