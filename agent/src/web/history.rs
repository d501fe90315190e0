//! `/api/v1/history`: past rounds as a list, which may take several requests, and each round in full.
//! `agent/openapi.yaml` documents parameters and responses.

use hyper::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use url::form_urlencoded;

use super::{
    reply::{self, Reply},
    site::Site,
};
use crate::{
    out::{
        history::{History, Kept},
        status::{EndpointStatus, Status},
    },
    state::{RoundId, condition::EndpointCondition},
};

/// Rounds in one response, unless the query asks for another number.
const DEFAULT_LIMIT: usize = 100;
/// Rounds in one response at most.
const LARGEST_LIMIT: usize = 1000;

/// Rounds in the order of time, from the time in the query on.
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
        let why = "registry: unknown; /api/v1/status lists all";
        return reply::error(StatusCode::NOT_FOUND, why);
    }
    let mut rounds = history.since(query.from).filter(|kept| query.wants(kept));
    let listed = rounds.by_ref().take(query.limit);
    let listed = listed.map(|kept| ListedRound::of(kept, query.endpoint.as_deref()));
    let document = Listing {
        schema: "regprobe/v1",
        node: &site.node,
        kept: Usage::of(&history),
        rounds: listed.collect(),
        next: rounds.next().map(|kept| kept.id.at()),
    };
    reply::json(StatusCode::OK, &document)
}

/// The status document about one registry after one round.
pub(super) fn round(site: &Site, id: &str) -> Reply {
    let Ok(id) = id.parse::<RoundId>() else {
        return reply::error(StatusCode::BAD_REQUEST, "id: not a number");
    };
    let status = site.history.open().get(id).map(Kept::status);
    match status {
        Some(status) => {
            let document = Status::after_round(&site.node, id.at(), status);
            reply::json(StatusCode::OK, &document)
        }
        None => reply::error(
            StatusCode::NOT_FOUND,
            "no round with this id is kept; later rounds may have replaced it",
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
            limit: DEFAULT_LIMIT,
        };
        let mut seen = Vec::new();
        for (key, value) in form_urlencoded::parse(text.as_bytes()) {
            if seen.contains(&key) {
                return Err(format!("{key}: given twice"));
            }
            match &*key {
                "registry" => query.registry = Some(value.into_owned()),
                "endpoint" => query.endpoint = Some(value.into_owned()),
                "from" => query.from = time(&value)?.into(),
                "limit" => query.limit = limit(&value)?,
                _ => {
                    return Err(format!(
                        "{key}: unknown parameter; known are registry, endpoint, from and limit"
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
        registry.is_none_or(|name| kept.registry() == name)
            && endpoint.is_none_or(|label| kept.endpoints().any(|(one, _)| one.endpoint == label))
    }
}

/// An unescaped `+` in a query is a space, and many clients forget to escape that of a time zone.
fn time(text: &str) -> Result<Timestamp, String> {
    text.replace(' ', "+")
        .parse()
        .map_err(|_| "from: not a time; write it like 2006-01-02T15:04:05Z".to_owned())
}

fn limit(text: &str) -> Result<usize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|limit| (1..=LARGEST_LIMIT).contains(limit));
    number.ok_or_else(|| format!("limit: not a number from 1 to {LARGEST_LIMIT}"))
}

#[derive(Serialize)]
struct Listing<'a> {
    schema: &'static str,
    node: &'a str,
    kept: Usage,
    rounds: Vec<ListedRound<'a>>,
    next: Option<Timestamp>,
}

#[derive(Serialize)]
struct Usage {
    bytes: usize,
    limit_bytes: usize,
}

impl Usage {
    fn of(history: &History) -> Self {
        Self {
            bytes: history.bytes(),
            limit_bytes: history.limit,
        }
    }
}

#[derive(Serialize)]
struct ListedRound<'a> {
    id: String,
    at: Timestamp,
    registry: &'a str,
    condition: &'static str,
    changed: bool,
    endpoints: Vec<ListedEndpoint<'a>>,
}

impl<'a> ListedRound<'a> {
    fn of(kept: &'a Kept, only: Option<&str>) -> Self {
        let endpoints = kept.endpoints();
        let wanted = endpoints.filter(|(one, _)| only.is_none_or(|label| one.endpoint == label));
        Self {
            id: kept.id.to_string(),
            at: kept.id.at(),
            registry: kept.registry(),
            condition: kept.condition.as_str(),
            changed: kept.changed(),
            endpoints: wanted
                .map(|(endpoint, fared)| ListedEndpoint::of(endpoint, fared))
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct ListedEndpoint<'a> {
    endpoint: &'a str,
    role: &'static str,
    condition: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
}

impl<'a> ListedEndpoint<'a> {
    fn of(endpoint: &'a EndpointStatus, fared: &EndpointCondition) -> Self {
        Self {
            endpoint: &endpoint.endpoint,
            role: endpoint.role,
            condition: fared.condition.as_str(),
            stage: fared.failure.map(|(stage, _)| stage.as_str()),
            reason: fared.failure.map(|(_, reason)| reason.as_str()),
            seconds: fared.micros.map(|micros| f64::from(micros.get()) / 1e6),
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
        assert_eq!(Query::parse("").unwrap().limit, DEFAULT_LIMIT);
    }

    #[test]
    fn a_bad_query_gets_an_error_that_names_the_parameter() {
        for (query, why) in [
            ("form=1", "form: unknown parameter"),
            ("registry=a&registry=b", "registry: given twice"),
            ("from=yesterday", "from: not a time"),
            ("from=", "from: not a time"),
            ("limit=0", "limit: not a number from 1 to 1000"),
            ("limit=1001", "limit: not a number"),
            ("limit=-1", "limit: not a number"),
            ("=", ": unknown parameter"),
        ] {
            let error = Query::parse(query).unwrap_err();
            assert!(error.starts_with(why), "{query}: {error}");
        }
    }
}
