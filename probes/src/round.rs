//! One round over one registry: all its endpoints at once, each surveyed and then asked over the
//! connection that a pull would use. A round ends within the stage limit and a little, however
//! many faults there are.

use std::{net::IpAddr, time::Duration};

use futures_util::future;
use tokio::time::Instant;

use crate::{
    client::hosts_in_turn::{HostInTurn, HostsInTurn},
    node::{Node, registry_host::TlsSettings},
    outcome::{EndpointOutcome, Fault, Outcome, PullPath},
    round::{
        deadlines::Deadlines,
        progress::{Ended, Listener},
        requests::{Leave, Requests},
        survey::Survey,
        visit::Visit,
    },
    stages::{
        blob::Hop,
        http::pull::Pull,
        manifest::Descriptor,
        proxy::ProxyFault,
        tls::{TlsClients, TlsFault},
        token::{self, Realm, Secret},
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

/// How long a round waits for addresses that come first before it uses one that is there.
const PATIENCE: Duration = Duration::from_secs(1);
/// Walks `target` once, as deep as `depth`.
pub async fn run(target: &Target, node: &Node, tls: &TlsClients, depth: Depth) -> Outcome {
    run_telling(target, node, tls, depth, &|_| {}).await
}

/// As [`run`], and tells of each stage as it ends.
pub async fn run_telling(
    target: &Target,
    node: &Node,
    tls: &TlsClients,
    depth: Depth,
    listener: Listener<'_>,
) -> Outcome {
    let deadlines = Deadlines::start(node.stage_limit);
    let hosts = HostsInTurn::read(node, &target.login);
    let round = Round {
        target,
        node,
        tls,
        depth,
        deadlines,
        listener,
    };
    let turn = hosts.registrys_turn();
    let (asked, data) = tokio::join!(
        future::join_all(hosts.hosts.iter().map(|host| round.host(host))),
        future::join_all(
            target
                .data
                .iter()
                .map(|endpoint| round.data(endpoint, turn))
        ),
    );
    let (asked, led_to): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
    let mut endpoints: Vec<_> = asked.into_iter().chain(data).collect();
    led_to
        .into_iter()
        .flatten()
        .for_each(|seen| merge(&mut endpoints, seen));
    Outcome {
        endpoints,
        misconfigured: hosts.misconfigured,
    }
}

/// An endpoint that the round was led to may be one that it knew of: then only what was asked there
/// is news.
fn merge(endpoints: &mut Vec<EndpointOutcome>, led_to: EndpointOutcome) {
    let Some(known) = endpoints
        .iter_mut()
        .find(|seen| seen.endpoint == led_to.endpoint)
    else {
        endpoints.push(led_to);
        return;
    };
    let path = known.path.address();
    let on_path = known
        .addresses
        .iter_mut()
        .find(|seen| Some(seen.address) == path);
    let asked = led_to
        .addresses
        .into_iter()
        .flat_map(|address| address.stages);
    if let Some(on_path) = on_path {
        on_path
            .stages
            .extend(asked.filter(|stage| stage.stage.is_http()));
    }
}

struct Round<'a> {
    target: &'a Target,
    node: &'a Node,
    tls: &'a TlsClients,
    depth: Depth,
    deadlines: Deadlines,
    listener: Listener<'a>,
}

impl Round<'_> {
    /// A host to pull from, and the endpoints that it leads to.
    async fn host(&self, host: &HostInTurn) -> (EndpointOutcome, Vec<EndpointOutcome>) {
        match host.endpoint.role {
            Role::Mirror => (self.mirror(host).await, Vec::new()),
            _ => self.login(host).await,
        }
    }

    async fn login(&self, host: &HostInTurn) -> (EndpointOutcome, Vec<EndpointOutcome>) {
        let visit = match self.visit(&host.endpoint, &host.tls, host.turn, |_| true) {
            Ok(visit) => visit,
            Err(unreachable) => return (*unreachable, Vec::new()),
        };
        let mut survey = Survey::start(visit.clone());
        let mut requests = self.requests(&visit, &mut survey).await;
        let asked = async {
            match &mut requests {
                Some(requests) => self.pull(requests, host).await,
                None => Vec::new(),
            }
        };
        let ((), mut led_to) = tokio::join!(survey.finish(), asked);
        let login = survey.outcome(requests.map(Requests::into_stages));
        // Only a challenge that was due can tell that the token endpoint is gone.
        let told = self.depth >= Depth::Token && login.evidence(Stage::Challenge).is_some();
        if let Some(known) = self.target.token.as_ref().filter(|_| !told) {
            led_to.extend(self.known_token(known, &login, host.turn).await);
        }
        (login, led_to)
    }

    /// Challenge, token and images, as far as they are due; returns the endpoints that they led to.
    async fn pull(&self, login: &mut Requests<'_>, host: &HostInTurn) -> Vec<EndpointOutcome> {
        let mut led_to = Vec::new();
        let Some(leave) = login.challenge("/v2/", self.depth >= Depth::Token).await else {
            return led_to;
        };
        let may_dial = led_from(login.leads_to());
        let token = match leave {
            Leave::Open => None,
            Leave::Token(realm) => {
                let granted = match realm.endpoint(&host.endpoint) {
                    None => login.token(&realm, self.target).await,
                    Some(elsewhere) => {
                        let (seen, granted) =
                            self.token(&elsewhere, &realm, host.turn, may_dial).await;
                        led_to.push(seen);
                        granted
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
                // What is down for one blob is down for the next.
                let mut down = led_to
                    .iter()
                    .filter(|seen: &&EndpointOutcome| !seen.is_up());
                if down.any(|seen| seen.endpoint.is_same_server(&hop.endpoint)) {
                    continue;
                }
                let hops = self
                    .follow(&pull, &descriptor, hop, login, host.turn, may_dial)
                    .await;
                hops.into_iter().for_each(|seen| merge(&mut led_to, seen));
            }
        }
        led_to
    }

    /// Follows a blob from hop to hop until it is served.
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
            let known = self
                .target
                .data
                .iter()
                .find(|data| data.is_same_server(&hop.endpoint));
            let endpoint = known.unwrap_or(&hop.endpoint).clone();
            let visit = match self.visit(&endpoint, &TlsSettings::default(), turn, may_dial) {
                Ok(visit) => visit,
                Err(unreachable) => {
                    seen.push(*unreachable);
                    break;
                }
            };
            let mut survey = Survey::start(visit.clone());
            let mut requests = self.requests(&visit, &mut survey).await;
            let asked = async {
                match &mut requests {
                    Some(requests) => requests.blob(pull, descriptor, &hop).await,
                    None => None,
                }
            };
            let ((), further) = tokio::join!(survey.finish(), asked);
            seen.push(survey.outcome(requests.map(Requests::into_stages)));
            next = further;
        }
        seen
    }

    /// A token endpoint, asked for a token.
    async fn token(
        &self,
        endpoint: &Endpoint,
        realm: &Realm,
        turn: Turn,
        may_dial: fn(IpAddr) -> bool,
    ) -> (EndpointOutcome, Option<Secret>) {
        let visit = match self.visit(endpoint, &TlsSettings::default(), turn, may_dial) {
            Ok(visit) => visit,
            Err(unreachable) => return (*unreachable, None),
        };
        let mut survey = Survey::start(visit.clone());
        let mut requests = self.requests(&visit, &mut survey).await;
        let asked = async {
            match &mut requests {
                Some(requests) => requests.token(realm, self.target).await,
                None => None,
            }
        };
        let ((), granted) = tokio::join!(survey.finish(), asked);
        (survey.outcome(requests.map(Requests::into_stages)), granted)
    }

    /// A token endpoint that an earlier round met, surveyed only.
    async fn known_token(
        &self,
        endpoint: &Endpoint,
        login: &EndpointOutcome,
        turn: Turn,
    ) -> Option<EndpointOutcome> {
        let at = match login.proxy {
            None => login.path.address(),
            Some(_) => login.endpoint.host.parse().ok(),
        };
        let may_dial = led_from(at);
        let visit = self
            .visit(endpoint, &TlsSettings::default(), turn, may_dial)
            .ok()?;
        let mut survey = Survey::start(visit);
        survey.finish().await;
        Some(survey.outcome(None))
    }

    /// A mirror is asked as containerd asks it; one with a path of its own need not know `/v2/`, so
    /// there any status is an answer.
    async fn mirror(&self, host: &HostInTurn) -> EndpointOutcome {
        let visit = match self.visit(&host.endpoint, &host.tls, host.turn, |_| true) {
            Ok(visit) => visit,
            Err(unreachable) => return *unreachable,
        };
        let target = format!("{}/?ns={}", host.path, self.target.login.authority());
        let mut survey = Survey::start(visit.clone());
        let mut requests = self.requests(&visit, &mut survey).await;
        let asked = async {
            match &mut requests {
                Some(requests) if host.path == "/v2" => {
                    drop(requests.challenge(&target, false).await)
                }
                Some(requests) => requests.http(&target).await,
                None => {}
            }
        };
        tokio::join!(survey.finish(), asked);
        survey.outcome(requests.map(Requests::into_stages))
    }

    async fn data(&self, endpoint: &Endpoint, turn: Turn) -> EndpointOutcome {
        let visit = match self.visit(endpoint, &TlsSettings::default(), turn, |_| true) {
            Ok(visit) => visit,
            Err(unreachable) => return *unreachable,
        };
        let mut survey = Survey::start(visit.clone());
        let mut requests = self.requests(&visit, &mut survey).await;
        let asked = async {
            if let Some(requests) = &mut requests {
                requests.http("/").await;
            }
        };
        tokio::join!(survey.finish(), asked);
        survey.outcome(requests.map(Requests::into_stages))
    }

    /// The way to an endpoint, or what is known where there is none.
    fn visit<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        settings: &TlsSettings,
        turn: Turn,
        may_dial: fn(IpAddr) -> bool,
    ) -> Result<Visit<'a>, Box<EndpointOutcome>> {
        let scheme = endpoint.scheme.as_str();
        let proxy = self
            .node
            .proxies
            .proxy_for(scheme, &endpoint.host, endpoint.port);
        let proxy = proxy.map_err(|error| {
            let fault = Fault::Proxy(ProxyFault::Unusable(error.to_string()));
            Box::new(self.unreached(endpoint, turn, Stage::Proxy, fault))
        })?;
        let tls = self.tls.of(settings).map_err(|error| {
            let fault = Fault::Tls(Box::new(TlsFault::Trust(error.to_string())));
            Box::new(self.unreached(endpoint, turn, Stage::Tls, fault))
        })?;
        let (node, deadlines, listener) = (self.node, self.deadlines, self.listener);
        Ok(Visit {
            node,
            endpoint,
            deadlines,
            tls,
            proxy,
            may_dial,
            turn,
            listener,
        })
    }

    /// An endpoint to which the node's own settings leave no way.
    fn unreached(
        &self,
        endpoint: &Endpoint,
        turn: Turn,
        stage: Stage,
        fault: Fault,
    ) -> EndpointOutcome {
        (self.listener)(Ended {
            endpoint,
            stage,
            took: Duration::ZERO,
            failed: Some(fault.reason()),
        });
        let path = PullPath::Blocked { stage, fault };
        EndpointOutcome {
            turn,
            ..EndpointOutcome::new(endpoint.clone(), path)
        }
    }

    /// The requests to come, over the connection that a pull would use; `None` where there is no
    /// such connection or no request is due.
    async fn requests<'a>(
        &self,
        visit: &Visit<'a>,
        survey: &mut Survey<'_>,
    ) -> Option<Requests<'a>> {
        if self.depth < Depth::Request {
            return None;
        }
        let (address, stream) = survey.usable(Instant::now() + PATIENCE).await?;
        Some(Requests::over(stream, address, visit.clone()))
    }
}

/// Where a registry may lead a probe: not to this node, its link or a metadata service, unless it
/// lives there itself.
fn led_from(login: Option<IpAddr>) -> fn(IpAddr) -> bool {
    match login {
        Some(address) if token::is_off_limits(address) => |_| true,
        _ => |address| !token::is_off_limits(address),
    }
}
