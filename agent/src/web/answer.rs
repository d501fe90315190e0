//! What is answered to which request.

use hyper::{Method, Request, StatusCode, body::Incoming, header};
use tokio::sync::oneshot;

use super::{
    Site, history, page,
    reply::{self, Reply},
};
use crate::{metrics::Metrics, status::Status};

/// Answers one request.
pub(super) async fn answer(site: &Site, request: Request<Incoming>) -> Reply {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/-/reload") => reload(site).await,
        (_, "/-/reload") => allow("POST"),
        (&Method::GET | &Method::HEAD, path) => read(site, path, &request),
        _ => allow("GET, HEAD"),
    }
}

fn read(site: &Site, path: &str, request: &Request<Incoming>) -> Reply {
    let query = request.uri().query().unwrap_or_default();
    match path {
        "/metrics" => {
            let text = site.metrics.encode();
            reply::reply(StatusCode::OK, Metrics::CONTENT_TYPE, text)
        }
        "/-/healthy" => reply::text(StatusCode::OK, "regprobe is healthy.\n"),
        "/-/ready" => match site.snapshot.load().is_ready() {
            true => reply::text(StatusCode::OK, "regprobe is ready.\n"),
            false => reply::text(
                StatusCode::SERVICE_UNAVAILABLE,
                "The first round is not over.\n",
            ),
        },
        "/api/v1/status" => {
            let status = Status::of(&site.snapshot.load(), &site.node);
            reply::json(StatusCode::OK, &status)
        }
        "/api/v1/history" => history::list(site, query),
        "/" => page::overview(site, request.headers()),
        "/rounds" => page::rounds(site, query),
        _ => read_below(site, path)
            .unwrap_or_else(|| reply::text(StatusCode::NOT_FOUND, "not found\n")),
    }
}

fn read_below(site: &Site, path: &str) -> Option<Reply> {
    if let Some(id) = path.strip_prefix("/api/v1/history/") {
        return Some(history::round(site, id));
    }
    if let Some(id) = path.strip_prefix("/round/") {
        return Some(page::round(site, id));
    }
    page::asset(path)
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
            .unwrap_or_else(|_| Err("the agent is ending".to_owned())),
        Err(_) => Err("the agent is ending".to_owned()),
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
