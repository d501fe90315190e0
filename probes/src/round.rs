//! One round over one registry: all its endpoints at the same time, each surveyed and then asked over the
//! connection that a pull would use. A round ends soon after the limit of one stage, or of three where it sends
//! requests, however many faults there are.

use std::{net::IpAddr, pin::pin, sync::OnceLock, time::Duration};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    client::pull_hosts::{PullHost, PullHosts},
    net::off_limits::led_from,
    node::{Node, registry_host::HostClient},
    outcome::{EndpointOutcome, Fault, Outcome, PullPath},
    round::{
        deadlines::Deadlines,
        destination::Destination,
        identity::{HeldCredential, IdentityAnswer},
        progress::{OnStageEnd, StageEnd},
        requests::Requests,
        survey::Survey,
        visit::Visit,
        walker::{Heard, Lane, Opened, Order, Walker},
    },
    stages::tls::{TlsClients, TlsFault},
    words::{
        endpoint::{Endpoint, Role},
        reason::Stage,
        target::{Depth, Target},
    },
};

pub(crate) mod deadlines;
mod destination;
pub(crate) mod identity;
mod offers;
pub(crate) mod progress;
mod requests;
mod settings;
mod stream;
mod survey;
mod visit;
mod walk_request;
mod walker;

/// How long a round waits for better addresses before it uses one that works.
const PATIENCE: Duration = Duration::from_secs(1);
/// Walks `target` once, to this `depth`.
pub async fn run(target: &Target, node: &Node, tls: &TlsClients, depth: Depth) -> Outcome {
    run_holding(target, node, tls, depth, &mut Default::default(), &|_| {}).await
}

/// Like [`run`], and uses what earlier rounds over the same registry `held`. Calls `on_stage_end` for each lookup and
/// stage as it ends.
pub async fn run_holding(
    target: &Target,
    node: &Node,
    tls: &TlsClients,
    depth: Depth,
    held: &mut HeldCredential,
    on_stage_end: OnStageEnd<'_>,
) -> Outcome {
    let hosts = PullHosts::read(node, target);
    let misconfigured = settings::unusable(&hosts, target, node, tls);
    let images = match depth {
        // The client does not even begin.
        _ if misconfigured.iter().any(|setting| setting.fatal) => &[],
        Depth::Image => &target.images[..],
        _ => &[],
    };
    let downloads = target.throughput.filter(|_| !images.is_empty());
    let download = downloads.map_or(Duration::ZERO, |one| one.limit());
    let deadlines = Deadlines::start(
        Instant::now(),
        node.stage_limit,
        node.question_limit,
        (depth >= Depth::Request).then_some(download),
    );
    let round = Round {
        target,
        node,
        tls,
        depth,
        walks: !images.is_empty(),
        deadlines,
        on_stage_end,
        login_at: OnceLock::new(),
    };
    let (registrys_turn, registrys_client) = hosts.registrys();
    let (round, mut lanes) = (&round, Vec::new());
    let mut running = FuturesUnordered::<BoxFuture<'_, (usize, Vec<EndpointOutcome>)>>::new();
    for host in hosts.looked_at() {
        let orders = lane(&mut lanes, &host.endpoint, &host.client);
        let place = running.len();
        running.push(Box::pin(
            async move { (place, round.host(host, orders).await) },
        ));
    }
    for endpoint in &target.data {
        let orders = lane(&mut lanes, endpoint, registrys_client);
        let to = Destination::new(endpoint, registrys_turn).asked_by(registrys_client);
        let place = running.len();
        running.push(Box::pin(async move {
            (place, vec![round.data(to, orders).await])
        }));
    }
    let (sender, mut opened) = mpsc::unbounded_channel();
    let walker = Walker::new(
        target,
        &hosts,
        node.release(),
        lanes,
        sender,
        &round.login_at,
        held,
    );
    let mut walking = pin!(walker.walk(images));
    let (mut seen, mut walks) = (Vec::new(), None);
    loop {
        tokio::select! {
            Some(of_lane) = running.next(), if !running.is_empty() => seen.push(of_lane),
            Some(lane) = opened.recv() => {
                let place = seen.len() + running.len();
                running.push(Box::pin(async move { (place, vec![round.led_to(lane).await]) }));
            }
            done = &mut walking, if walks.is_none() => walks = Some(done),
            else => break,
        }
    }
    seen.sort_unstable_by_key(|(place, _)| *place);
    let mut endpoints = Vec::new();
    for of_lane in seen.into_iter().flat_map(|(_, of_lane)| of_lane) {
        merge(&mut endpoints, of_lane);
    }
    let mut outcome = Outcome {
        endpoints,
        walks: walks.unwrap_or_default(),
        misconfigured,
        unseen_hosts: hosts.unseen.clone(),
        settings: settings::digest(&hosts, target, node, tls),
    };
    outcome.settle_challenge();
    outcome
}

/// A lane that walks may use: its orders, to be heard by whoever visits the endpoint.
fn lane<'a>(
    lanes: &mut Vec<Lane<'a>>,
    endpoint: &Endpoint,
    client: &'a HostClient,
) -> mpsc::Receiver<Order> {
    let (sender, orders) = mpsc::channel(1);
    lanes.push(Lane {
        endpoint: endpoint.clone(),
        client,
        orders: sender,
    });
    orders
}

/// Adds an endpoint that the round was led to. If it is known already, only its HTTP stages are new, unless only this
/// turn gets through.
fn merge(endpoints: &mut Vec<EndpointOutcome>, led_to: EndpointOutcome) {
    let mut seen = endpoints.iter_mut();
    let Some(known) = seen.find(|seen| seen.endpoint == led_to.endpoint) else {
        endpoints.push(led_to);
        return;
    };
    match (known.is_up(), led_to.is_up()) {
        (false, true) => {
            *known = led_to;
            return;
        }
        // Another client of a later turn, which nobody needs.
        (true, false) if led_to.turn > known.turn => return,
        _ => {}
    }
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
    /// Whether images are walked to.
    walks: bool,
    deadlines: Deadlines,
    on_stage_end: OnStageEnd<'a>,
    /// Where the registry itself lives, as soon as that is known: what it leads to may have to live elsewhere.
    login_at: OnceLock<Option<IpAddr>>,
}

impl Round<'_> {
    /// A host to pull from, and the endpoints that its answer to `/v2/` leads to.
    async fn host(&self, host: &PullHost, orders: mpsc::Receiver<Order>) -> Vec<EndpointOutcome> {
        match host.endpoint.role {
            Role::Mirror => vec![self.mirror(host, orders).await],
            _ => self.login(host, orders).await,
        }
    }

    async fn login(&self, host: &PullHost, orders: mpsc::Receiver<Order>) -> Vec<EndpointOutcome> {
        let to = Destination::host(host);
        let wanted = self.depth >= Depth::Token && !self.walks;
        let asked = self.ask(to, orders, async |login| {
            let realm = login.challenge("/v2/", wanted).await?;
            match realm.endpoint(&host.endpoint) {
                None => {
                    login.token(&realm, self.target).await;
                    None
                }
                Some(elsewhere) => Some((realm, elsewhere)),
            }
        });
        let (login, realm) = asked.await;
        let may_dial = led_from(self.login_at.get().copied().flatten());
        let mut seen = vec![login];
        if let Some((realm, elsewhere)) = realm.flatten() {
            let to = Destination::new(&elsewhere, host.turn)
                .asked_by(&host.client)
                .led_there(may_dial);
            let asked = self.ask(to, no_orders(), async |requests| {
                requests.token(&realm, self.target).await;
            });
            seen.push(asked.await.0);
            return seen;
        }
        // Only a challenge that was due can tell that the token endpoint is gone.
        let login = &seen[0];
        let told = self.depth >= Depth::Token && login.evidence(Stage::Challenge).is_some();
        let blocked = matches!(login.path, PullPath::Blocked { .. });
        if let Some(known) = self.target.token.as_ref().filter(|_| !told && !blocked) {
            let known = self.known_token(known, login, host).await;
            seen.extend(known);
        }
        seen
    }

    /// Surveys a token endpoint that an earlier round met; `None` if a setting of the node leaves no
    /// way there.
    async fn known_token(
        &self,
        endpoint: &Endpoint,
        login: &EndpointOutcome,
        host: &PullHost,
    ) -> Option<EndpointOutcome> {
        let at = match login.proxy {
            None => login.path.address(),
            Some(_) => login.endpoint.host.parse().ok(),
        };
        let to = Destination::new(endpoint, login.turn)
            .asked_by(&host.client)
            .led_there(led_from(at));
        let mut survey = Survey::start(self.visit(to).ok()?);
        survey.finish().await;
        Some(survey.outcome(None))
    }

    /// A mirror is asked as containerd asks it; one with a path of its own need not know `/v2/`, so
    /// there any status is an answer.
    async fn mirror(&self, host: &PullHost, orders: mpsc::Receiver<Order>) -> EndpointOutcome {
        let target = match host.needs_ns {
            true => format!("{}/?ns={}", host.path, self.target.named),
            false => format!("{}/", host.path),
        };
        let to = Destination::host(host);
        let asked = self.ask(to, orders, async |requests| match host.path == "/v2" {
            _ if self.walks => {}
            true => drop(requests.challenge(&target, false).await),
            false => requests.http(&target).await,
        });
        asked.await.0
    }

    async fn data(&self, to: Destination<'_>, orders: mpsc::Receiver<Order>) -> EndpointOutcome {
        let asked = self.ask(to, orders, async |requests| requests.http("/").await);
        asked.await.0
    }

    /// An endpoint that a walk was led to.
    async fn led_to(&self, lane: Opened<'_>) -> EndpointOutcome {
        let may_dial = led_from(self.login_at.get().copied().flatten());
        let to = Destination::new(&lane.endpoint, lane.turn)
            .asked_by(lane.client)
            .led_there(may_dial);
        self.ask(to, lane.orders, async |_| {}).await.0
    }

    /// Surveys an endpoint, and meanwhile sends over the connection that a pull would use what `orders` ask for, which
    /// may take all of the round, and then `requests`. The result of `requests` is `None` where there is no such connection or no request
    /// is due.
    async fn ask<T>(
        &self,
        to: Destination<'_>,
        mut orders: mpsc::Receiver<Order>,
        requests: impl AsyncFnOnce(&mut Requests<'_>) -> T,
    ) -> (EndpointOutcome, Option<T>) {
        let visit = match self.visit(to) {
            Ok(visit) => visit,
            Err(blocked) => {
                self.refuse(&mut orders, &blocked).await;
                return (*blocked, None);
            }
        };
        let mut survey = Survey::start(visit.clone());
        let usable = match self.depth < Depth::Request {
            true => None,
            false => survey.usable(Instant::now() + PATIENCE).await,
        };
        let unreached = match usable {
            None if self.walks => Some(survey.seen()),
            _ => None,
        };
        let mut over = usable.map(|(address, stream)| Requests::over(stream, address, visit));
        if let Some(over) = over.as_ref().filter(|_| to.endpoint.role == Role::Login) {
            let _ = self.login_at.set(over.leads_to());
        }
        let expected = self.target.anonymous_pull && !self.target.has_credentials();
        let sent = async {
            match (&mut over, &unreached) {
                (Some(over), _) => {
                    // The node's credential is got by the answer to `/v2/`.
                    let has_identity = self.target.managed_identity.is_some();
                    let (mut requests, mut result) = (Some(requests), None);
                    if let Some(requests) = requests.take_if(|_| has_identity) {
                        result = Some(requests(over).await);
                    }
                    while let Some(order) = orders.recv().await {
                        match order {
                            Order::Send(request, reply) => {
                                // Nobody waits for it any more once the walk is over.
                                let _ = reply.send(over.answer(&request, expected).await);
                            }
                            Order::Blame(content, fault) => over.blame(content, fault),
                            Order::Identify(reply) => {
                                if let Some(identity) = &self.target.managed_identity {
                                    let _ = reply.send(over.identify(identity).await);
                                }
                            }
                        }
                    }
                    let is_late = self.deadlines.is_cut_short(self.deadlines.next());
                    if let Some(requests) = requests.filter(|_| !self.walks || !is_late) {
                        result = Some(over.before_others(requests).await);
                    }
                    result
                }
                (None, Some(seen)) => {
                    self.refuse(&mut orders, seen).await;
                    None
                }
                (None, None) => None,
            }
        };
        let ((), result) = tokio::join!(survey.finish(), sent);
        (survey.outcome(over.map(Requests::into_stages)), result)
    }

    /// Tells walks that there is no connection to `seen`.
    async fn refuse(&self, orders: &mut mpsc::Receiver<Order>, seen: &EndpointOutcome) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Send(_, reply) => {
                    let _ = reply.send(Heard::at_once(walk_request::no_connection(seen)));
                }
                Order::Identify(reply) => {
                    let why = format!("no connection to {}", seen.endpoint);
                    let _ = reply.send(IdentityAnswer::NotSeen(why));
                }
                Order::Blame(..) => {}
            }
        }
    }

    /// The way to an endpoint, or what is known where a setting of the node leaves none.
    fn visit<'a>(&'a self, to: Destination<'a>) -> Result<Visit<'a>, Box<EndpointOutcome>> {
        let Destination { endpoint, turn, .. } = to;
        let scheme = endpoint.scheme.as_str();
        let proxies = &self.node.proxies;
        let proxy = proxies.proxy_for(scheme, &endpoint.host, endpoint.port);
        let tls = self.tls.of(&to.client.tls).map_err(|error| {
            let fault = Fault::Tls(Box::new(TlsFault::from(&error)));
            self.blocked(&to, Stage::Tls, fault)
        })?;
        Ok(Visit {
            node: self.node,
            endpoint,
            deadlines: self.deadlines,
            tls,
            client: to.client,
            proxy,
            may_dial: to.may_dial,
            turn,
            resolves: to.resolves,
            walks: self.walks,
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
            resolves: to.resolves,
            ..EndpointOutcome::new(to.endpoint.clone(), path)
        })
    }
}

/// Of an endpoint that no walk knows of.
fn no_orders() -> mpsc::Receiver<Order> {
    mpsc::channel(1).1
}
