//! How long a pull would wait for nameservers, addresses and handshakes that give no answer, and for answers that come
//! late. A pull opens several connections, each with the same waits; which requests share one was read off real pulls
//! with 1.6 to 2.4, and the fault lab checks the times.

use std::time::Duration;

use crate::{
    outcome::{Asked, EndpointOutcome, Evidence, Outcome, Walk},
    stages::connect::Connected,
    words::{
        endpoint::{Endpoint, Role, Turn},
        reason::Stage,
    },
};

/// A wait that is shorter is part of any pull. A pull has some fifteen, which add up.
const LATE: Duration = Duration::from_millis(500);

/// The waits of a pull that the host of turn `serves` serves.
pub(super) fn predicted(outcome: &Outcome, serves: Turn) -> Duration {
    let walked = outcome.walks.iter().map(|walk: &Walk| &walk.route);
    let waits = walked.map(|route| Waits::of(outcome, route));
    waits
        .max()
        .unwrap_or_else(|| Waits::of(outcome, &assumed(outcome, serves)))
}

/// Layers that are fetched at the same time, unless containerd is configured otherwise (`max_concurrent_downloads`).
const AT_ONCE: usize = 3;

/// A pull under way.
#[derive(Clone)]
struct Waits<'a> {
    outcome: &'a Outcome,
    /// To whom a connection is open that the next request can use.
    open: Vec<&'a Endpoint>,
    waited: Duration,
}

impl<'a> Waits<'a> {
    fn of(outcome: &'a Outcome, route: &'a [Asked]) -> Duration {
        let mut pull = Self {
            outcome,
            open: Vec::new(),
            waited: Duration::ZERO,
        };
        let content = route.iter().position(|asked| asked.for_content);
        let (resolving, content) = route.split_at(content.unwrap_or(route.len()));
        pull.fall_back(resolving);
        resolving.iter().for_each(|asked| pull.ask(asked));
        // Another client gets the content.
        pull.open.clear();
        pull.fall_back(content);
        let first_blob = content.iter().position(|asked| asked.stage == Stage::Blob);
        let (documents, blobs) = content.split_at(first_blob.unwrap_or(content.len()));
        let mut known: Vec<&Endpoint> = Vec::new();
        for asked in documents.iter().chain(blobs) {
            let is_first = !known.contains(&&asked.endpoint);
            known.push(&asked.endpoint);
            if is_first && !asked.challenged && asked.stage != Stage::Token {
                pull.be_challenged(resolving, &asked.endpoint);
            }
            if asked.stage != Stage::Blob {
                pull.ask(asked);
            }
        }
        // The configuration says what the layers are, so it comes first.
        let is_config = |asked: &&Asked| {
            blobs
                .first()
                .is_some_and(|first| first.subject == asked.subject)
        };
        let (config, layers): (Vec<_>, Vec<_>) = blobs.iter().partition(is_config);
        config.into_iter().for_each(|asked| pull.ask(asked));
        pull.fetch_layers(&layers)
    }

    /// How long a pull has waited when layers have come, some of them at the same time.
    fn fetch_layers(self, asked: &[&'a Asked]) -> Duration {
        // A connection that one of them has done with goes to whichever still waits for its own.
        let mut fetches = vec![self; AT_ONCE];
        let layers = asked.chunk_by(|one, next| one.subject == next.subject);
        for layer in layers {
            if let Some(fetch) = fetches.iter_mut().min_by_key(|fetch| fetch.waited) {
                layer.iter().for_each(|asked| fetch.ask(asked));
            }
        }
        let waits = fetches.iter().map(|fetch| fetch.waited);
        waits.max().unwrap_or_default()
    }

    /// A client tries TLS once at each host where it goes on in plain HTTP.
    fn fall_back(&mut self, asked: &[Asked]) {
        let endpoints = self.outcome.endpoints.iter();
        let hosts =
            endpoints.filter(|seen| asked.iter().any(|asked| asked.endpoint == seen.endpoint));
        self.waited += hosts.map(fallback).sum::<Duration>();
    }

    fn ask(&mut self, asked: &'a Asked) {
        let is_there = |open: &&Endpoint| open.is_same_server(&asked.endpoint);
        match self.open.iter().position(is_there) {
            Some(place) => drop(self.open.swap_remove(place)),
            None => self.waited += self.connection(&asked.endpoint),
        }
        self.waited += late(asked.took);
        if asked.keeps_connection {
            self.open.push(&asked.endpoint);
        }
    }

    /// Content needs a token of its own where the reference needed one, and is asked for without it first.
    fn be_challenged(&mut self, resolving: &'a [Asked], endpoint: &Endpoint) {
        let challenged = |asked: &Asked| asked.challenged && asked.endpoint == *endpoint;
        let Some(place) = resolving.iter().position(challenged) else {
            return;
        };
        let tokens = resolving[place + 1..].iter();
        let tokens = tokens.take_while(|asked| asked.stage == Stage::Token);
        self.ask(&resolving[place]);
        // The body of that answer stays unread.
        self.open.retain(|open| !open.is_same_server(endpoint));
        tokens.for_each(|asked| self.ask(asked));
    }

    /// What a new connection to `endpoint` costs.
    fn connection(&self, endpoint: &Endpoint) -> Duration {
        let endpoints = self.outcome.endpoints.iter();
        let same = endpoints.filter(|seen| seen.endpoint.is_same_server(endpoint));
        // One server may have several roles in a round.
        let by_role = |seen: &EndpointOutcome| (seen.endpoint == *endpoint, cost(seen));
        same.map(by_role)
            .max()
            .map_or(Duration::ZERO, |(_, cost)| cost)
    }
}

/// What a new connection costs, up to the first request.
fn cost(seen: &EndpointOutcome) -> Duration {
    seen.path.waits() + handshakes(seen)
}

/// The waits behind the dial of the address that the client takes.
fn handshakes(seen: &EndpointOutcome) -> Duration {
    let stages = seen.on_path().map_or(&[][..], |seen| &seen.stages);
    let behind_dial = stages
        .iter()
        .filter(|stage| matches!(stage.stage, Stage::Proxy | Stage::Tls));
    behind_dial.map(|stage| late(stage.waits())).sum()
}

/// What the connection costs that asks for TLS of a server that does not speak it.
fn fallback(seen: &EndpointOutcome) -> Duration {
    match seen.evidence(Stage::Connect) {
        Some(Evidence::Connect(Connected {
            fell_back_after: Some(waited),
            ..
        })) => seen.path.waits() + late(*waited),
        _ => Duration::ZERO,
    }
}

fn late(took: Duration) -> Duration {
    match took >= LATE {
        true => took,
        false => Duration::ZERO,
    }
}

/// What a pull would ask of whom, where none was walked: each host in turn for the tag, an index, a manifest, the
/// configuration and a layer, up to the one that serves.
fn assumed(outcome: &Outcome, serves: Turn) -> Vec<Asked> {
    let asked = || outcome.endpoints.iter().filter(|seen| seen.turn <= serves);
    let is_host =
        |seen: &&EndpointOutcome| matches!(seen.endpoint.role, Role::Login | Role::Mirror);
    let mut hosts: Vec<_> = asked().filter(is_host).collect();
    hosts.sort_by_key(|seen| seen.turn);
    // A pull is redirected to one of several; the registry decides which.
    let slowest = |roles: &[Role]| {
        let of_role = asked().filter(|seen| roles.contains(&seen.endpoint.role));
        of_role.max_by_key(|seen| (cost(seen), &seen.endpoint.host))
    };
    let (tokens, data) = (
        slowest(&[Role::Token]),
        slowest(&[Role::Data, Role::Storage]),
    );
    let mut route = Vec::new();
    for (stage, for_content, subject) in [
        (Stage::Manifest, false, ""),
        (Stage::Manifest, true, ""),
        (Stage::Manifest, true, ""),
        (Stage::Blob, true, "the configuration"),
        (Stage::Blob, true, "the layer"),
    ] {
        for host in &hosts {
            let is_served = host.turn == serves;
            let took = host
                .stage(Stage::Challenge)
                .map_or(Duration::ZERO, |stage| stage.took);
            let step = Asked {
                for_content,
                subject: subject.to_owned(),
                took,
                keeps_connection: is_served,
                ..Asked::at(&host.endpoint, host.turn, stage)
            };
            if is_served && !for_content && has_challenge(host) {
                let by = tokens.unwrap_or(host);
                let took = by
                    .stage(Stage::Token)
                    .map_or(Duration::ZERO, |stage| stage.took);
                route.push(Asked {
                    challenged: true,
                    ..step.clone()
                });
                route.push(Asked {
                    took,
                    ..Asked::at(&by.endpoint, host.turn, Stage::Token)
                });
            }
            route.push(step);
        }
        if stage == Stage::Blob {
            route.extend(data.map(|data| Asked {
                for_content,
                subject: subject.to_owned(),
                ..Asked::at(&data.endpoint, serves, stage)
            }));
        }
    }
    route
}

fn has_challenge(host: &EndpointOutcome) -> bool {
    let challenge = host.evidence(Stage::Challenge);
    matches!(challenge, Some(Evidence::Challenge(challenge)) if challenge.bearer().is_some())
}
