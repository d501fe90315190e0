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
    out::{
        pages::{self, ASSETS, Known},
        status::RegistryStatus,
    },
    state::{RegistryState, RoundId, Snapshot},
};

const HTML: &str = "text/html; charset=utf-8";
/// `/`
pub(super) fn overview(site: &Site, headers: &HeaderMap) -> Reply {
    let page = site.page.get(&site.shown.snapshot(), |snapshot, now| {
        let history = site.history.open();
        pages::overview(&site.node, site.started, snapshot, &history, now)
    });
    cached(page, headers)
}

/// A page, unless the client has it.
pub(super) fn cached(page: CachedPage, headers: &HeaderMap) -> Reply {
    let CachedPage { etag, html } = page;
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
    match registry(&site.shown.snapshot(), query) {
        Some(state) => html(pages::rounds(&state.planned.name, &site.history.open())),
        None => reply::text(StatusCode::NOT_FOUND, "No registry has this name.\n"),
    }
}

/// The registry that `?registry=NAME` names.
fn registry<'a>(snapshot: &'a Snapshot, query: &str) -> Option<&'a RegistryState> {
    let mut query = form_urlencoded::parse(query.as_bytes());
    let (_, name) = query.find(|(key, _)| key == "registry")?;
    let mut registries = snapshot.registries.iter().map(|state| &**state);
    registries.find(|state| *state.planned.name == *name)
}

/// `/runbooks`
pub(super) fn runbooks() -> Reply {
    html(pages::runbooks())
}

/// `/runbook/NAME`, or `/runbook/NAME?registry=NAME` with what is known of that registry.
pub(super) fn runbook(site: &Site, name: &str, query: &str) -> Reply {
    let snapshot = site.shown.snapshot();
    let registry = registry(&snapshot, query).map(RegistryStatus::of);
    let known = registry.as_ref().map(|registry| Known {
        node: &site.node,
        registry,
    });
    match Runbook::named(name) {
        Some(runbook) => html(pages::runbook(runbook, known.as_ref())),
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
