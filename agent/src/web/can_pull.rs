//! `/-/can-pull`: whether this node can pull, as a status code for controllers that keep pods off a node until it
//! can. `agent/openapi.yaml` documents it.

use hyper::StatusCode;
use url::form_urlencoded;

use super::{
    reply::{self, Reply},
    site::Site,
};
use crate::{
    printable::printable,
    state::{RegistryState, Snapshot, condition::Condition},
};

/// 200 once every registry was checked and none is failing, or the one in the query.
pub(super) fn can_pull(site: &Site, query: &str) -> Reply {
    let (status, text) = answer(&site.shown.snapshot(), query);
    reply::text(status, text)
}

fn answer(snapshot: &Snapshot, query: &str) -> (StatusCode, String) {
    let mut wanted = None;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        if key != "registry" || wanted.replace(value).is_some() {
            let why = "the query may have one registry, and nothing else\n";
            return (StatusCode::BAD_REQUEST, why.to_owned());
        }
    }
    let is_wanted = |state: &RegistryState| match &wanted {
        Some(name) => *state.planned.name == **name,
        None => true,
    };
    let registries = snapshot.registries.iter();
    let asked: Vec<_> = registries.filter(|state| is_wanted(state)).collect();
    if asked.is_empty() && wanted.is_some() {
        let why = "registry: unknown; /api/v1/status lists all\n";
        return (StatusCode::NOT_FOUND, why.to_owned());
    }
    let obstacles: String = asked
        .into_iter()
        .filter_map(|state| obstacle(state))
        .collect();
    match obstacles.is_empty() {
        true => (StatusCode::OK, "No registry is failing.\n".to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, obstacles),
    }
}

/// A line that says why a registry is no reason to expect that a pull works.
fn obstacle(state: &RegistryState) -> Option<String> {
    let name = &state.planned.name;
    let Some(round) = &state.round else {
        return Some(format!("{name}: not checked yet\n"));
    };
    if Condition::after(round) != Condition::Failing {
        return None;
    }
    let worst = round.diagnosis.findings.first();
    let worst = worst.map(|finding| format!(": {}: {}", finding.code, finding.message));
    let line = format!("{name}: failing{}", worst.unwrap_or_default());
    Some(format!("{}\n", printable(&line)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::state::story;

    #[test]
    fn only_a_failing_registry_or_one_that_nobody_checked_is_an_obstacle() {
        let unchecked = Arc::new(RegistryState::new(story::healthy().planned.clone()));
        let known = Snapshot::once(vec![story::healthy(), story::drift(), story::failing()]);
        for (snapshot, query, status, text) in [
            (
                &known,
                "registry=contoso.azurecr.io",
                200,
                "No registry is failing.\n",
            ),
            // It works, although something is wrong.
            (&known, "registry=drift", 200, "No registry is failing.\n"),
            (
                &known,
                "",
                503,
                "contoso: failing: PrivateLinkRecordMissing: The private zone",
            ),
            (&known, "registry=contoso", 503, "contoso: failing: "),
            (&known, "registry=nobody", 404, "registry: unknown"),
            (
                &known,
                "registry=drift&registry=drift",
                400,
                "the query may have one registry",
            ),
            (
                &known,
                "register=drift",
                400,
                "the query may have one registry",
            ),
            (
                &Snapshot::once(vec![unchecked]),
                "",
                503,
                "contoso.azurecr.io: not checked yet\n",
            ),
        ] {
            let (code, said) = answer(snapshot, query);
            assert_eq!(code, status, "{query}: {said}");
            assert!(said.starts_with(text), "{query}: {said}");
        }
    }
}
