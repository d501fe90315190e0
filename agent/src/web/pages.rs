//! Serves the web pages.

use std::cmp::Ordering;

use hyper::{HeaderMap, StatusCode, header};
use url::form_urlencoded;

use super::{
    page_cache::CachedPage,
    reply::{self, Reply},
    site::Site,
};
use crate::{
    cli::runbooks::Runbook,
    out::pages::{self, ASSETS},
    state::RoundId,
};

const HTML: &str = "text/html; charset=utf-8";
/// `/`
pub(super) fn overview(site: &Site, headers: &HeaderMap) -> Reply {
    let CachedPage { etag, html } = site.page.get(&site.shown.snapshot(), |snapshot, now| {
        let history = site.history.open();
        pages::overview(&site.node, site.started, snapshot, &history, now)
    });
    let known = headers.get(header::IF_NONE_MATCH) == Some(&etag);
    let mut response = match known {
        true => reply::reply(StatusCode::NOT_MODIFIED, HTML, ""),
        false => with_policy(reply::reply(StatusCode::OK, HTML, html)),
    };
    response.headers_mut().insert(header::ETAG, etag);
    response
}

/// `/round/ID`
pub(super) fn round(site: &Site, id: &str) -> Reply {
    let history = site.history.open();
    let id = id.parse::<RoundId>().ok();
    let Some(kept) = id.and_then(|id| history.get(id)) else {
        let why = "This round is not kept. Later rounds may have replaced it.\n";
        return reply::text(StatusCode::NOT_FOUND, why);
    };
    let rounds = history.since(RoundId::FIRST);
    let theirs = rounds.filter(|other| other.registry() == kept.registry());
    let (mut before, mut after) = (None, None);
    for other in theirs {
        match other.id.cmp(&kept.id) {
            Ordering::Less => before = Some(other.id),
            Ordering::Equal => {}
            Ordering::Greater => {
                after = Some(other.id);
                break;
            }
        }
    }
    html(pages::round(kept.id, &kept.status(), before, after))
}

/// `/rounds?registry=NAME`
pub(super) fn rounds(site: &Site, query: &str) -> Reply {
    let mut query = form_urlencoded::parse(query.as_bytes());
    let name = query.find_map(|(key, value)| (key == "registry").then_some(value));
    let snapshot = site.shown.snapshot();
    let known = snapshot.registries.iter().map(|state| &*state.planned.name);
    match name.filter(|name| known.into_iter().any(|known| *known == **name)) {
        Some(name) => html(pages::rounds(&name, &site.history.open())),
        None => reply::text(StatusCode::NOT_FOUND, "No registry has this name.\n"),
    }
}

/// `/runbooks`
pub(super) fn runbooks() -> Reply {
    html(pages::runbooks())
}

/// `/runbook/NAME`
pub(super) fn runbook(name: &str) -> Reply {
    match Runbook::named(name) {
        Some(runbook) => html(pages::runbook(runbook)),
        None => reply::text(StatusCode::NOT_FOUND, "No runbook has this name.\n"),
    }
}

/// The file at this path that pages refer to, if there is one.
pub(super) fn asset(path: &str) -> Option<Reply> {
    let asset = ASSETS.iter().find(|asset| asset.path == path)?;
    Some(reply::reply(
        StatusCode::OK,
        asset.media_type,
        asset.content,
    ))
}

fn html(html: String) -> Reply {
    with_policy(reply::reply(StatusCode::OK, HTML, html))
}

fn with_policy(mut response: Reply) -> Reply {
    reply::set(
        &mut response,
        header::CONTENT_SECURITY_POLICY,
        pages::POLICY,
    );
    response
}
