//! One round over one registry: all its endpoints at the same time, each surveyed and then asked over
//! the connection that a pull would use. A round ends soon after the limit of one stage, however many
//! faults there are.

use std::{net::IpAddr, time::Duration};

use futures_util::future;
use tokio::time::Instant;

use crate::{
    client::pull_hosts::{PullHost, PullHosts},
    net::off_limits::led_from,
    node::{Node, registry_host::TlsSettings},
    outcome::{EndpointOutcome, Fault, Outcome, PullPath},
    round::{
        deadlines::Deadlines,
        progress::{OnStageEnd, StageEnd},
        requests::{AfterChallenge, Requests},
        survey::Survey,
        visit::Visit,
    },
    stages::{
        blob::Hop,
        manifest::Descriptor,
        proxy::ProxyFault,
        pull::Pull,
        tls::{TlsClients, TlsFault},
    },
    words::{
        endpoint::{Endpoint, Role, Turn},
        reason::Stage,
        target::{Depth, Target},
    },
};

mod deadlines;
pub(crate) mod progress;
mod requests;
mod survey;
mod visit;

/// How long a round waits for better addresses before it uses one that works.
const PATIENCE: Duration = Duration::from_secs(1);
/// Walks `target` once, to this `depth`.
pub async fn run(target: &Target, node: &Node, tls: &TlsClients, depth: Depth) -> Outcome {
    run_with_progress(target, node, tls, depth, &|_| {}).await
}

/// Like [`run`], and calls `on_stage_end` for each lookup and stage as it ends.
pub async fn run_with_progress(
    target: &Target,
    node: &Node,
    tls: &TlsClients,
    depth: Depth,
    on_stage_end: OnStageEnd<'_>,
) -> Outcome {
    let deadlines = Deadlines::start(node.stage_limit);
    let hosts = PullHosts::read(node, &target.login);
    let round = Round {
        target,
        node,
        tls,
        depth,
        deadlines,
        on_stage_end,
    };
    let turn = hosts.registrys_turn();
    let asked = hosts.hosts.iter().map(|host| round.host(host));
    let data = target
        .data
        .iter()
        .map(|endpoint| round.data(endpoint, turn));
    let (asked, data) = tokio::join!(future::join_all(asked), future::join_all(data));
    let (asked, led_to): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
    let mut endpoints: Vec<_> = asked.into_iter().chain(data).collect();
    let led_to = led_to.into_iter().flatten();
    led_to.for_each(|seen| merge(&mut endpoints, seen));
    Outcome {
        endpoints,
        misconfigured: hosts.misconfigured,
    }
}

/// Adds an endpoint that the round was led to. If it is known already, only its HTTP stages are new.
fn merge(endpoints: &mut Vec<EndpointOutcome>, led_to: EndpointOutcome) {
    let mut seen = endpoints.iter_mut();
    let Some(known) = seen.find(|seen| seen.endpoint == led_to.endpoint) else {
        endpoints.push(led_to);
        return;
    };
    let path = known.path.address();
    let mut addresses = known.addresses.iter_mut();
    if let Some(on_path) = addresses.find(|seen| Some(seen.address) == path) {
        let stages = led_to.addresses.into_iter().flat_map(|seen| seen.stages);
        on_path
            .stages
            .extend(stages.filter(|stage| stage.stage.is_http()));
    }
}

struct Round<'a> {
    target: &'a Target,
    node: &'a Node,
    tls: &'a TlsClients,
    depth: Depth,
    deadlines: Deadlines,
    on_stage_end: OnStageEnd<'a>,
}

impl Round<'_> {
    /// A host to pull from, and the endpoints that it leads to.
    async fn host(&self, host: &PullHost) -> (EndpointOutcome, Vec<EndpointOutcome>) {
        match host.endpoint.role {
            Role::Mirror => (self.mirror(host).await, Vec::new()),
            _ => self.login(host).await,
        }
    }

    async fn login(&self, host: &PullHost) -> (EndpointOutcome, Vec<EndpointOutcome>) {
        let to = Destination::new(&host.endpoint, host.turn).with_settings(&host.tls);
        let pulled = self.ask(to, async |login| self.pull(login, host).await);
        let (login, led_to) = pulled.await;
        let mut led_to = led_to.unwrap_or_default();
        // Only a challenge in this round can show that the token endpoint is gone.
        let is_current = self.depth >= Depth::Token && login.evidence(Stage::Challenge).is_some();
        let blocked = matches!(login.path, PullPath::Blocked { .. });
        if let Some(known) = self
            .target
            .token
            .as_ref()
            .filter(|_| !is_current && !blocked)
        {
            led_to.extend(self.known_token(known, &login).await);
        }
        (login, led_to)
    }

    /// Challenge, token and images, as far as they are due; returns the endpoints that they led to.
    async fn pull(&self, login: &mut Requests<'_>, host: &PullHost) -> Vec<EndpointOutcome> {
        let mut led_to = Vec::new();
        let Some(next) = login.challenge("/v2/", self.depth >= Depth::Token).await else {
            return led_to;
        };
        let may_dial = led_from(login.leads_to());
        let token = match next {
            AfterChallenge::Open => None,
            AfterChallenge::Token(realm) => {
                let granted = match realm.endpoint(&host.endpoint) {
                    None => login.token(&realm, self.target).await,
                    Some(elsewhere) => {
                        let to = Destination::new(&elsewhere, host.turn).led_there(may_dial);
                        let asked = self.ask(to, async |requests| {
                            requests.token(&realm, self.target).await
                        });
                        let (seen, granted) = asked.await;
                        led_to.push(seen);
                        granted.flatten()
                    }
                };
                let Some(granted) = granted else {
                    return led_to;
                };
                Some(granted)
            }
        };
        if self.depth < Depth::Image {
            return led_to;
        }
        for image in &self.target.images {
            let (registry, repository) = (&host.endpoint, image.repository.as_str());
            let pull = Pull {
                registry,
                repository,
                token: token.as_ref(),
            };
            for (descriptor, hop) in login.image(&pull, image).await {
                // A server that is down for one blob is down for the next.
                let mut down = led_to.iter().filter(|seen| !seen.is_up());
                if down.any(|seen| seen.endpoint.is_same_server(&hop.endpoint)) {
                    continue;
                }
                let hops = self.follow(&pull, &descriptor, hop, login, host.turn, may_dial);
                let hops = hops.await.into_iter();
                hops.for_each(|seen| merge(&mut led_to, seen));
            }
        }
        led_to
    }

    /// Follows a blob from hop to hop until a host serves it.
    async fn follow(
        &self,
        pull: &Pull<'_>,
        descriptor: &Descriptor,
        first: Hop,
        login: &mut Requests<'_>,
        turn: Turn,
        may_dial: fn(IpAddr) -> bool,
    ) -> Vec<EndpointOutcome> {
        let mut seen = Vec::new();
        let mut next = Some(first);
        while let Some(hop) = next {
            if hop.endpoint == *pull.registry {
                next = login.blob(pull, descriptor, &hop).await;
                continue;
            }
            let mut known = self.target.data.iter();
            let known = known.find(|data| data.is_same_server(&hop.endpoint));
            let to = Destination::new(known.unwrap_or(&hop.endpoint), turn).led_there(may_dial);
            let asked = self.ask(to, async |requests| {
                requests.blob(pull, descriptor, &hop).await
            });
            let (outcome, further) = asked.await;
            seen.push(outcome);
            next = further.flatten();
        }
        seen
    }

    /// Surveys a token endpoint that an earlier round met; `None` if a setting of the node leaves no
    /// way there.
    async fn known_token(
        &self,
        endpoint: &Endpoint,
        login: &EndpointOutcome,
    ) -> Option<EndpointOutcome> {
        let at = match login.proxy {
            None => login.path.address(),
            Some(_) => login.endpoint.host.parse().ok(),
        };
        let to = Destination::new(endpoint, login.turn).led_there(led_from(at));
        let mut survey = Survey::start(self.visit(to).ok()?);
        survey.finish().await;
        Some(survey.outcome(None))
    }

    /// Asks a mirror as containerd does. A mirror with its own path need not know `/v2/`, so there any
    /// status is an answer.
    async fn mirror(&self, host: &PullHost) -> EndpointOutcome {
        let target = match host.needs_ns {
            true => format!("{}/?ns={}", host.path, self.target.login.authority()),
            false => format!("{}/", host.path),
        };
        let to = Destination::new(&host.endpoint, host.turn).with_settings(&host.tls);
        let asked = self.ask(to, async |requests| match host.path == "/v2" {
            true => drop(requests.challenge(&target, false).await),
            false => requests.http(&target).await,
        });
        asked.await.0
    }

    async fn data(&self, endpoint: &Endpoint, turn: Turn) -> EndpointOutcome {
        let to = Destination::new(endpoint, turn);
        let asked = self.ask(to, async |requests| requests.http("/").await);
        asked.await.0
    }

    /// Surveys an endpoint and meanwhile sends `requests` over the connection that a pull would use.
    /// Their result is `None` if there is no such connection or no request is due.
    async fn ask<T>(
        &self,
        to: Destination<'_>,
        requests: impl AsyncFnOnce(&mut Requests<'_>) -> T,
    ) -> (EndpointOutcome, Option<T>) {
        let visit = match self.visit(to) {
            Ok(visit) => visit,
            Err(blocked) => return (*blocked, None),
        };
        let mut survey = Survey::start(visit.clone());
        let usable = match self.depth < Depth::Request {
            true => None,
            false => survey.usable(Instant::now() + PATIENCE).await,
        };
        let mut over = usable.map(|(address, stream)| Requests::over(stream, address, visit));
        let sent = async {
            match &mut over {
                Some(over) => Some(requests(over).await),
                None => None,
            }
        };
        let ((), result) = tokio::join!(survey.finish(), sent);
        (survey.outcome(over.map(Requests::into_stages)), result)
    }

    /// The way to an endpoint, or the outcome if a setting of the node leaves none.
    fn visit<'a>(&'a self, to: Destination<'a>) -> Result<Visit<'a>, Box<EndpointOutcome>> {
        let Destination { endpoint, turn, .. } = to;
        let scheme = endpoint.scheme.as_str();
        let proxies = &self.node.proxies;
        let proxy = proxies.proxy_for(scheme, &endpoint.host, endpoint.port);
        let proxy = proxy.map_err(|error| {
            let fault = Fault::Proxy(ProxyFault::Unusable(error.to_string()));
            self.blocked(&to, Stage::Proxy, fault)
        })?;
        let tls = match to.settings {
            Some(settings) => self.tls.of(settings).map_err(|error| {
                let fault = Fault::Tls(Box::new(TlsFault::Trust(error.to_string())));
                self.blocked(&to, Stage::Tls, fault)
            })?,
            None => self.tls.own(),
        };
        Ok(Visit {
            node: self.node,
            endpoint,
            deadlines: self.deadlines,
            tls,
            proxy,
            may_dial: to.may_dial,
            turn,
            on_stage_end: self.on_stage_end,
        })
    }

    fn blocked(&self, to: &Destination<'_>, stage: Stage, fault: Fault) -> Box<EndpointOutcome> {
        (self.on_stage_end)(StageEnd {
            endpoint: to.endpoint,
            stage,
            took: Duration::ZERO,
            failed: Some(fault.reason()),
        });
        let path = PullPath::Blocked { stage, fault };
        Box::new(EndpointOutcome {
            turn: to.turn,
            ..EndpointOutcome::new(to.endpoint.clone(), path)
        })
    }
}

/// An endpoint to visit, and how.
#[derive(Clone, Copy)]
struct Destination<'a> {
    endpoint: &'a Endpoint,
    turn: Turn,
    /// The settings of `hosts.toml`, if it names the host.
    settings: Option<&'a TlsSettings>,
    /// Which addresses may be dialled.
    may_dial: fn(IpAddr) -> bool,
}

impl<'a> Destination<'a> {
    /// With the node's own trust, at any address.
    fn new(endpoint: &'a Endpoint, turn: Turn) -> Self {
        Self {
            endpoint,
            turn,
            settings: None,
            may_dial: |_| true,
        }
    }

    fn with_settings(self, settings: &'a TlsSettings) -> Self {
        Self {
            settings: Some(settings),
            ..self
        }
    }

    /// A registry led there, so only some addresses may be dialled.
    fn led_there(self, may_dial: fn(IpAddr) -> bool) -> Self {
        Self { may_dial, ..self }
    }
}
