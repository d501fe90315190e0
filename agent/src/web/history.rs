//! `/api/v1/history`: what is kept of past rounds, page by page, and one of them in full. What it
//! takes and gives is told by `agent/openapi.yaml`.

use hyper::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use url::form_urlencoded;

use super::{
    Site,
    reply::{self, Reply},
};
use crate::out::{
    history::{Cell, History, Kept, RoundId},
    status::Status,
};

/// Rounds on one page, unless the query says otherwise.
const PAGE: usize = 100;
/// Rounds on one page, whatever the query says.
const LARGEST_PAGE: usize = 1000;

/// Rounds in the order of time, from where the query says.
pub(super) fn list(site: &Site, query: &str) -> Reply {
    let query = match Query::parse(query) {
        Ok(query) => query,
        Err(why) => return reply::error(StatusCode::BAD_REQUEST, &why),
    };
    let history = site.history.open();
    let known = site.shown.snapshot();
    if let Some(name) = &query.registry
        && !known
            .registries
            .iter()
            .any(|state| *state.planned.name == **name)
    {
        let why = "registry: none has this name; /api/v1/status lists them";
        return reply::error(StatusCode::NOT_FOUND, why);
    }
    let mut rounds = history
        .since(query.from)
        .filter(|(_, kept)| query.wants(kept));
    let page = rounds.by_ref().take(query.limit);
    let page = page.map(|(id, kept)| Round::of(id, kept, query.endpoint.as_deref()));
    let document = Page {
        schema: "regprobe/v1",
        node: &site.node,
        kept: Room::of(&history),
        rounds: page.collect(),
        next: rounds.next().map(|(id, _)| id.at()),
    };
    reply::json(StatusCode::OK, &document)
}

/// The status document as it was after one round, of its registry alone.
pub(super) fn round(site: &Site, id: &str) -> Reply {
    let Ok(id) = id.parse::<RoundId>() else {
        return reply::error(StatusCode::BAD_REQUEST, "the id of a round is a number");
    };
    match site.history.open().get(id) {
        Some(kept) => {
            let document = Status::after_round(&site.node, id.at(), &kept.document());
            reply::reply(StatusCode::OK, "application/json", document)
        }
        None => reply::error(
            StatusCode::NOT_FOUND,
            "no round with this id is kept; it may have given way to later ones",
        ),
    }
}

/// What a client asks for.
#[derive(Debug, PartialEq)]
struct Query {
    registry: Option<String>,
    endpoint: Option<String>,
    from: RoundId,
    limit: usize,
}

impl Query {
    fn parse(text: &str) -> Result<Self, String> {
        let mut query = Self {
            registry: None,
            endpoint: None,
            from: RoundId::FIRST,
            limit: PAGE,
        };
        let mut seen = Vec::new();
        for (key, value) in form_urlencoded::parse(text.as_bytes()) {
            if seen.contains(&key) {
                return Err(format!("{key}: is there twice"));
            }
            match &*key {
                "registry" => query.registry = Some(value.into_owned()),
                "endpoint" => query.endpoint = Some(value.into_owned()),
                "from" => query.from = time(&value)?.into(),
                "limit" => query.limit = limit(&value)?,
                _ => {
                    return Err(format!(
                        "{key}: no such parameter; there are registry, endpoint, from and limit"
                    ));
                }
            }
            seen.push(key);
        }
        Ok(query)
    }

    fn wants(&self, kept: &Kept) -> bool {
        let registry = self.registry.as_deref();
        let endpoint = self.endpoint.as_deref();
        registry.is_none_or(|name| *kept.subject.registry == *name)
            && endpoint.is_none_or(|label| {
                kept.subject
                    .endpoints
                    .iter()
                    .any(|e| e.to_string() == label)
            })
    }
}

/// An unescaped `+` in a query is a space, and it stands in front of many a time zone.
fn time(text: &str) -> Result<Timestamp, String> {
    text.replace(' ', "+")
        .parse()
        .map_err(|_| "from: not a time; write it as 2006-01-02T15:04:05Z".to_owned())
}

fn limit(text: &str) -> Result<usize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|limit| (1..=LARGEST_PAGE).contains(limit));
    number.ok_or_else(|| format!("limit: not a number from 1 to {LARGEST_PAGE}"))
}

#[derive(Serialize)]
struct Page<'a> {
    schema: &'static str,
    node: &'a str,
    kept: Room,
    rounds: Vec<Round<'a>>,
    next: Option<Timestamp>,
}

#[derive(Serialize)]
struct Room {
    bytes: usize,
    limit_bytes: usize,
}

impl Room {
    fn of(history: &History) -> Self {
        Self {
            bytes: history.bytes(),
            limit_bytes: history.limit(),
        }
    }
}

#[derive(Serialize)]
struct Round<'a> {
    id: String,
    at: Timestamp,
    registry: &'a str,
    condition: &'static str,
    changed: bool,
    endpoints: Vec<Endpoint>,
}

impl<'a> Round<'a> {
    fn of(id: RoundId, kept: &'a Kept, only: Option<&str>) -> Self {
        let endpoints = kept.subject.endpoints.iter().zip(&kept.cells);
        let endpoints = endpoints.map(|(endpoint, cell)| Endpoint::of(endpoint, cell));
        Self {
            id: id.to_string(),
            at: id.at(),
            registry: &kept.subject.registry,
            condition: kept.condition.as_str(),
            changed: kept.changed(),
            endpoints: endpoints
                .filter(|endpoint| only.is_none_or(|label| endpoint.endpoint == label))
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct Endpoint {
    endpoint: String,
    role: &'static str,
    condition: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
}

impl Endpoint {
    fn of(endpoint: &regprobe_probes::Endpoint, cell: &Cell) -> Self {
        Self {
            endpoint: endpoint.to_string(),
            role: endpoint.role.as_str(),
            condition: cell.condition.as_str(),
            stage: cell.failure.map(|(stage, _)| stage.as_str()),
            reason: cell.failure.map(|(_, reason)| reason.as_str()),
            seconds: cell.micros.map(|micros| f64::from(micros.get()) / 1e6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let query = Query::parse(
            "registry=my%20registry&endpoint=%5B::1%5D:443&from=2026-02-20T13:00:00%2B01:00&limit=7",
        )
        .unwrap();
        assert_eq!(query.registry.as_deref(), Some("my registry"));
        assert_eq!(query.endpoint.as_deref(), Some("[::1]:443"));
        assert_eq!(query.from.at().to_string(), "2026-02-20T12:00:00Z");
        assert_eq!(query.limit, 7);
        let unescaped = Query::parse("from=2026-02-20T13:00:00+01:00").unwrap();
        assert_eq!(unescaped.from, query.from);
        assert_eq!(Query::parse("").unwrap().limit, PAGE);
    }

    #[test]
    fn what_a_query_gets_wrong_is_said() {
        for (query, why) in [
            ("form=1", "form: no such parameter"),
            ("registry=a&registry=b", "registry: is there twice"),
            ("from=yesterday", "from: not a time"),
            ("from=", "from: not a time"),
            ("limit=0", "limit: not a number from 1 to 1000"),
            ("limit=1001", "limit: not a number"),
            ("limit=-1", "limit: not a number"),
            ("=", ": no such parameter"),
        ] {
            let error = Query::parse(query).unwrap_err();
            assert!(error.starts_with(why), "{query}: {error}");
        }
    }
}
