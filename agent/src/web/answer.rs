//! Which request gets which answer. `agent/openapi.yaml` documents it.

use std::net::IpAddr;

use hyper::{HeaderMap, Method, Request, StatusCode, body::Incoming, header};
use rustls::pki_types::CertificateDer;
use tokio::sync::oneshot;

use super::{
    can_pull::can_pull,
    fleet, history, pages,
    reply::{self, Reply},
    settings::Settings,
    site::Site,
    users::Admission,
};
use crate::out::{metrics::Exposition, status::Status, summary::Summary};

/// Every path that can be read, and its handler. A path may end with an id.
const PATHS: [(&str, Handler); 14] = [
    ("/", |site, asked| pages::overview(site, asked.headers)),
    ("/rounds", |site, asked| pages::rounds(site, asked.query)),
    ("/round/{id}", |site, asked| pages::round(site, asked.id)),
    ("/runbooks", |_, _| pages::runbooks()),
    ("/runbook/{id}", |site, asked| {
        pages::runbook(site, asked.id, asked.query)
    }),
    ("/metrics", |site, _| metrics(site)),
    ("/-/healthy", |_, _| {
        reply::text(StatusCode::OK, "regprobe is healthy.\n")
    }),
    ("/-/ready", |site, _| ready(site)),
    ("/-/can-pull", |site, asked| can_pull(site, asked.query)),
    ("/api/v1/status", |site, _| {
        reply::json(
            StatusCode::OK,
            &Status::of(&site.shown.snapshot(), &site.node),
        )
    }),
    ("/api/v1/summary", |site, _| {
        let snapshot = site.shown.snapshot();
        reply::json(StatusCode::OK, &Summary::of(&snapshot, &site.node))
    }),
    ("/api/v1/bundle", |site, _| bundle(site)),
    ("/api/v1/history", |site, asked| {
        history::list(site, asked.query)
    }),
    ("/api/v1/history/{id}", |site, asked| {
        history::round(site, asked.id)
    }),
];
/// Those that wait for other agents.
const FLEET: &str = "/fleet";
const FLEET_DOCUMENT: &str = "/api/v1/fleet";
/// The only path that changes something.
const RELOAD: &str = "/-/reload";
const ID: &str = "{id}";
/// Answered without a password, a client certificate or a limit: the kubelet has none, and would restart an
/// agent that other clients keep busy. The answers say nothing about the node.
const OPEN: [&str; 2] = ["/-/healthy", "/-/ready"];

/// Who sends the requests of a connection.
pub(super) struct Client {
    pub peer: IpAddr,
    /// Without TLS none; with TLS those that the client presented, its own first.
    pub certificates: Option<Vec<CertificateDer<'static>>>,
}

type Handler = fn(&Site, &Asked<'_>) -> Reply;

/// What an answer may depend on.
struct Asked<'a> {
    id: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
}

/// Answers a request if the client is allowed to send it.
pub(super) async fn answer(site: &Site, client: &Client, request: Request<Incoming>) -> Reply {
    // For each request, so that what was revoked is revoked on open connections as well.
    let settings = site.settings.now();
    let refused = match OPEN.contains(&request.uri().path()) {
        true => None,
        false => refusal(&settings, client, request.headers()).await,
    };
    let mut reply = match refused {
        Some(refusal) => refusal,
        None => route(site, request).await,
    };
    for (name, value) in &settings.headers {
        reply
            .headers_mut()
            .entry(name)
            .or_insert_with(|| value.clone());
    }
    reply
}

/// Why a client may not send its request. Only clients that may send requests count against the limit that
/// all of them share.
async fn refusal(settings: &Settings, client: &Client, headers: &HeaderMap) -> Option<Reply> {
    if let Some(tls) = &settings.tls {
        match &client.certificates {
            None => {
                return Some(forbidden(
                    "this connection is older than TLS here; open a new one\n",
                ));
            }
            Some(certificates) if !tls.admits(certificates) => {
                return Some(forbidden("a valid client certificate is required\n"));
            }
            Some(_) => {}
        }
    }
    let authorization = headers.get(header::AUTHORIZATION);
    match settings.users.admit(client.peer, authorization).await {
        Admission::Admitted => {}
        Admission::Refused => return Some(unauthorized()),
        Admission::TooManyAttempts => return Some(too_many("too many passwords\n")),
    }
    let limit = settings.rate.as_ref();
    let exceeded = limit.is_some_and(|limit| !limit.allows());
    exceeded.then(|| too_many("too many requests\n"))
}

/// A client that closes the connection can present another certificate on its next one.
fn forbidden(text: &'static str) -> Reply {
    let mut reply = reply::text(StatusCode::FORBIDDEN, text);
    reply::set(&mut reply, header::CONNECTION, "close");
    reply
}

fn too_many(text: &'static str) -> Reply {
    reply::text(StatusCode::TOO_MANY_REQUESTS, text)
}

fn unauthorized() -> Reply {
    let mut reply = reply::text(StatusCode::UNAUTHORIZED, "unauthorized\n");
    let challenge = "Basic realm=\"regprobe\"";
    reply::set(&mut reply, header::WWW_AUTHENTICATE, challenge);
    reply
}

async fn route(site: &Site, request: Request<Incoming>) -> Reply {
    match (request.method(), request.uri().path()) {
        (&Method::POST, RELOAD) if is_cross_site(request.headers()) => {
            reply::text(StatusCode::FORBIDDEN, "not from another site\n")
        }
        (&Method::POST, RELOAD) => reload(site).await,
        (_, RELOAD) => allow("POST"),
        (&Method::GET | &Method::HEAD, FLEET) => fleet::page(site, request.headers()).await,
        (&Method::GET | &Method::HEAD, FLEET_DOCUMENT) => fleet::document(site).await,
        (&Method::GET | &Method::HEAD, path) => read(site, path, &request),
        _ => allow("GET, HEAD"),
    }
}

/// Whether a browser sends this because of a page of another site. Other clients do not say.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

fn read(site: &Site, path: &str, request: &Request<Incoming>) -> Reply {
    let known = PATHS.iter().find_map(|(known, handler)| {
        let id = match known.strip_suffix(ID) {
            Some(folder) => path.strip_prefix(folder)?,
            None => (path == *known).then_some("")?,
        };
        Some((handler, id))
    });
    let Some((handler, id)) = known else {
        let not_found = || reply::text(StatusCode::NOT_FOUND, "not found\n");
        return pages::asset(path).unwrap_or_else(not_found);
    };
    let asked = Asked {
        id,
        query: request.uri().query().unwrap_or_default(),
        headers: request.headers(),
    };
    handler(site, &asked)
}

fn metrics(site: &Site) -> Reply {
    reply::in_pieces(Exposition::CONTENT_TYPE, site.exporter.scrape())
}

fn ready(site: &Site) -> Reply {
    match site.shown.snapshot().is_ready() {
        true => reply::text(StatusCode::OK, "regprobe is ready.\n"),
        false => reply::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "The first round has not finished yet.\n",
        ),
    }
}

/// The status document as a file to attach to a ticket.
fn bundle(site: &Site) -> Reply {
    let mut response = reply::pretty_json(&Status::of(&site.shown.snapshot(), &site.node));
    let name: String = site.node.chars().map(in_file_name).collect();
    let disposition = format!("attachment; filename=\"regprobe-{name}.json\"");
    if let Ok(disposition) = disposition.try_into() {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

fn in_file_name(c: char) -> char {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' => c,
        _ => '_',
    }
}

async fn reload(site: &Site) -> Reply {
    let Some(requests) = &site.reload else {
        let why = "Lifecycle API is not enabled; start with --web.enable-lifecycle.\n";
        return reply::text(StatusCode::FORBIDDEN, why);
    };
    let (done, result) = oneshot::channel();
    let outcome = match requests.send(done).await {
        Ok(()) => result
            .await
            .unwrap_or_else(|_| Err("the agent is shutting down".to_owned())),
        Err(_) => Err("the agent is shutting down".to_owned()),
    };
    match outcome {
        Ok(()) => reply::text(StatusCode::OK, "Reloaded.\n"),
        Err(error) => reply::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn allow(methods: &'static str) -> Reply {
    let mut response = reply::text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    reply::set(&mut response, header::ALLOW, methods);
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::out::pages::ASSETS;

    /// `tests/suites/agent/openapi.rs` checks that the documentation is correct.
    #[test]
    fn every_path_is_documented() {
        let document = include_str!("../../openapi.yaml");
        let document: serde_yaml::Value = serde_yaml::from_str(document).unwrap();
        let documented = document["paths"].as_mapping().unwrap().keys();
        let documented: BTreeSet<_> = documented.map(|path| path.as_str().unwrap()).collect();
        let paths = PATHS.iter().map(|(path, _)| *path);
        let assets = ASSETS.iter().map(|asset| asset.path);
        let served: BTreeSet<_> = paths
            .chain(assets)
            .chain([RELOAD, FLEET, FLEET_DOCUMENT])
            .collect();
        assert_eq!(documented, served);
    }
}
