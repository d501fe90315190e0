//! The pages for people over HTTP. The status page is made once for all who look at it, and seldom
//! enough that making it stays below a thousandth of a processor.

use std::{
    cmp::Ordering,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    HeaderMap, StatusCode,
    header::{self, HeaderValue},
};
use jiff::Timestamp;
use regprobe_probes::Code;
use tokio::time::Instant;
use url::form_urlencoded;

use super::{
    Site,
    reply::{self, Reply},
};
use crate::{
    out::{
        history::RoundId,
        page::{self, ASSETS},
        status::RegistryStatus,
    },
    state::Snapshot,
};

const HTML: &str = "text/html; charset=utf-8";
/// The page is made anew no sooner than this, nor than so many times what making it took.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_FACTOR: u32 = 1000;
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The status page as it was last made.
#[derive(Default)]
pub(crate) struct Cache(Mutex<Option<Cached>>);

#[derive(Clone)]
struct Cached {
    of: Arc<Snapshot>,
    good_until: Instant,
    etag: HeaderValue,
    html: Bytes,
}

/// `/`
pub(super) fn overview(site: &Site, headers: &HeaderMap) -> Reply {
    let Cached { etag, html, .. } = cached(site);
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
    let kept = id.and_then(|id| Some((id, history.get(id)?)));
    let Some((id, kept)) = kept else {
        let why = "No such round is kept; it may have given way to later ones.\n";
        return reply::text(StatusCode::NOT_FOUND, why);
    };
    let seen: RegistryStatus = match serde_json::from_slice(&kept.document()) {
        Ok(seen) => seen,
        Err(error) => return reply::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    };
    let theirs = history
        .since(RoundId::FIRST)
        .filter(|(_, other)| other.subject.registry == kept.subject.registry);
    let (mut before, mut after) = (None, None);
    for (other, _) in theirs {
        match other.cmp(&id) {
            Ordering::Less => before = Some(other),
            Ordering::Equal => {}
            Ordering::Greater => {
                after = Some(other);
                break;
            }
        }
    }
    html(page::round(id, &seen, before, after))
}

/// `/rounds?registry=NAME`
pub(super) fn rounds(site: &Site, query: &str) -> Reply {
    let mut query = form_urlencoded::parse(query.as_bytes());
    let name = query.find_map(|(key, value)| (key == "registry").then_some(value));
    let snapshot = site.shown.snapshot();
    let known = snapshot.registries.iter().map(|state| &*state.planned.name);
    match name.filter(|name| known.into_iter().any(|known| *known == **name)) {
        Some(name) => html(page::rounds(&name, &site.history.open())),
        None => reply::text(StatusCode::NOT_FOUND, "No registry has this name.\n"),
    }
}

/// `/runbooks`
pub(super) fn runbooks() -> Reply {
    html(page::runbooks())
}

/// `/runbook/CODE`
pub(super) fn runbook(code: &str) -> Reply {
    match Code::ALL.iter().find(|known| known.as_str() == code) {
        Some(code) => html(page::runbook(*code)),
        None => reply::text(StatusCode::NOT_FOUND, "No finding has this code.\n"),
    }
}

/// A file that pages refer to, if there is one at this path.
pub(super) fn asset(path: &str) -> Option<Reply> {
    let asset = ASSETS.iter().find(|asset| asset.path == path)?;
    Some(reply::reply(
        StatusCode::OK,
        asset.media_type,
        asset.content,
    ))
}

fn cached(site: &Site) -> Cached {
    let snapshot = site.shown.snapshot();
    let mut cache = site.page.0.lock().unwrap_or_else(PoisonError::into_inner);
    let start = Instant::now();
    if let Some(cached) = &*cache
        && (Arc::ptr_eq(&cached.of, &snapshot) || start < cached.good_until)
    {
        return cached.clone();
    }
    let now = Timestamp::now();
    let history = site.history.open();
    let html = page::overview(&site.node, site.started, &snapshot, &history, now);
    let pause = (start.elapsed() * PAUSE_FACTOR).clamp(PAUSE, LONGEST_PAUSE);
    let etag = format!("\"{}\"", now.as_microsecond());
    let made = Cached {
        of: snapshot,
        good_until: start + pause,
        etag: HeaderValue::try_from(etag).expect("a number in quotes is a header's value"),
        html: html.into(),
    };
    *cache = Some(made.clone());
    made
}

fn html(html: String) -> Reply {
    with_policy(reply::reply(StatusCode::OK, HTML, html))
}

fn with_policy(mut response: Reply) -> Reply {
    reply::set(&mut response, header::CONTENT_SECURITY_POLICY, page::POLICY);
    response
}
