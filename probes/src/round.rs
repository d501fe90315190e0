//! One round over one registry: all its endpoints at once, each surveyed and then asked over the
//! connection that a pull would use. A round ends within the stage limit and a little, however
//! many faults there are.

use std::{net::IpAddr, time::Duration};

use futures_util::future;
use tokio::time::Instant;

use crate::{
    endpoint::{Endpoint, Role},
    hosts_in_turn::{HostInTurn, HostsInTurn},
    node::{Node, hosts_toml::Trust},
    outcome::{AddressOutcome, EndpointOutcome, Fault, Outcome, StageOutcome},
    proxy::ProxyFault,
    pull_path::PullPath,
    reason::Stage,
    requests::Requests,
    survey::Survey,
    token::{self, Realm},
    visit::Visit,
};

/// How long a round waits for addresses that come first before it uses one that is there.
const PATIENCE: Duration = Duration::from_secs(1);
/// What a round may take beyond the limit of one stage.
const GRACE: Duration = Duration::from_millis(1500);

/// One registry, as a round needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The login endpoint.
    pub login: Endpoint,
    /// The data endpoints.
    pub data: Vec<Endpoint>,
    /// The token endpoint that an earlier round met, to be surveyed in rounds that are not told of
    /// any.
    pub token: Option<Endpoint>,
    /// The repository that a token is asked for, where one is configured.
    pub repository: Option<String>,
    /// Whether an anonymous token is expected.
    pub anonymous_pull: bool,
}

/// How far up a round goes; each depth includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// `resolve`, `connect`, `proxy` and `tls`.
    Network,
    /// One HTTP request to each endpoint.
    Request,
    /// The token request.
    Token,
}

/// Walks `target` once, as deep as `depth`.
pub async fn run(target: &Target, node: &Node, depth: Depth) -> Outcome {
    let deadlines = Deadlines::start(node.stage_limit);
    let hosts = HostsInTurn::read(node, &target.login);
    let round = Round {
        target,
        node,
        depth,
        deadlines,
    };
    let turn = |role| hosts.hosts.iter().find(|host| host.endpoint.role == role);
    let turn = turn(Role::Login).map_or(0, |host| host.turn);
    let (asked, data) = tokio::join!(
        future::join_all(hosts.hosts.iter().map(|host| round.host(host))),
        future::join_all(
            target
                .data
                .iter()
                .map(|endpoint| round.data(endpoint, turn))
        ),
    );
    let (asked, tokens): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
    let mut endpoints: Vec<_> = asked.into_iter().chain(data).collect();
    endpoints.extend(tokens.into_iter().flatten());
    Outcome {
        endpoints,
        misconfigured: hosts.misconfigured,
    }
}

struct Round<'a> {
    target: &'a Target,
    node: &'a Node,
    depth: Depth,
    deadlines: Deadlines,
}

impl Round<'_> {
    /// A host to pull from, and the token endpoint if it names another.
    async fn host(&self, host: &HostInTurn) -> (EndpointOutcome, Option<EndpointOutcome>) {
        match host.endpoint.role {
            Role::Mirror => (self.mirror(host).await, None),
            _ => self.login(host).await,
        }
    }

    async fn login(&self, host: &HostInTurn) -> (EndpointOutcome, Option<EndpointOutcome>) {
        let visit = match self.visit(&host.endpoint, &host.trust, host.turn, |_| true) {
            Ok(visit) => visit,
            Err(unreachable) => return (*unreachable, None),
        };
        let mut survey = Survey::start(visit.clone());
        let mut requests = self.requests(&visit, &mut survey).await;
        let asked = async {
            let requests = requests.as_mut()?;
            let realm = requests
                .challenge("/v2/", self.depth >= Depth::Token)
                .await?;
            match realm.endpoint(&host.endpoint) {
                Some(elsewhere) => {
                    self.token(&elsewhere, requests.address(), &realm, host.turn)
                        .await
                }
                None => {
                    requests.token(&realm, self.target).await;
                    None
                }
            }
        };
        let ((), token) = tokio::join!(survey.finish(), asked);
        let login = survey.outcome(requests.map(Requests::into_stages));
        // Only a challenge that was due can tell that the token endpoint is gone.
        let told = self.depth >= Depth::Token && login.evidence(Stage::Challenge).is_some();
        match (token, &self.target.token) {
            (None, Some(known)) if !told => {
                let known = self.known_token(known, &login, host.turn).await;
                (login, known)
            }
            (token, _) => (login, token),
        }
    }

    /// A token endpoint, asked for a token.
    async fn token(
        &self,
        endpoint: &Endpoint,
        login: IpAddr,
        realm: &Realm,
        turn: u32,
    ) -> Option<EndpointOutcome> {
        let visit = match self.visit(endpoint, &Trust::default(), turn, led_from(Some(login))) {
            Ok(visit) => visit,
            Err(unreachable) => return Some(*unreachable),
        };
        let mut survey = Survey::start(visit.clone());
        let mut requests = self.requests(&visit, &mut survey).await;
        let asked = async {
            if let Some(requests) = &mut requests {
                requests.token(realm, self.target).await;
            }
        };
        tokio::join!(survey.finish(), asked);
        Some(survey.outcome(requests.map(Requests::into_stages)))
    }

    /// A token endpoint that an earlier round met, surveyed only.
    async fn known_token(
        &self,
        endpoint: &Endpoint,
        login: &EndpointOutcome,
        turn: u32,
    ) -> Option<EndpointOutcome> {
        let may_dial = led_from(login.path.address);
        let visit = self
            .visit(endpoint, &Trust::default(), turn, may_dial)
            .ok()?;
        let mut survey = Survey::start(visit);
        survey.finish().await;
        Some(survey.outcome(None))
    }

    /// A mirror is asked as containerd asks it; one with a path of its own need not know `/v2/`, so
    /// there any status is an answer.
    async fn mirror(&self, host: &HostInTurn) -> EndpointOutcome {
        let visit = match self.visit(&host.endpoint, &host.trust, host.turn, |_| true) {
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

    async fn data(&self, endpoint: &Endpoint, turn: u32) -> EndpointOutcome {
        let visit = match self.visit(endpoint, &Trust::default(), turn, |_| true) {
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
        trust: &Trust,
        turn: u32,
        may_dial: fn(IpAddr) -> bool,
    ) -> Result<Visit<'a>, Box<EndpointOutcome>> {
        let scheme = endpoint.scheme.as_str();
        let proxy = self
            .node
            .proxies
            .proxy_for(scheme, &endpoint.host, endpoint.port);
        let proxy = proxy.map_err(|error| {
            let fault = Fault::Proxy(ProxyFault::Unusable(error.to_string()));
            Box::new(unreached(endpoint, turn, Stage::Proxy, fault))
        })?;
        let tls = self.node.tls.of(trust).map_err(|error| {
            let fault = Fault::Tls(Box::new(crate::tls::TlsFault::Trust(error.to_string())));
            Box::new(unreached(endpoint, turn, Stage::Tls, fault))
        })?;
        let (node, deadlines) = (self.node, self.deadlines);
        Ok(Visit {
            node,
            endpoint,
            deadlines,
            tls,
            proxy,
            may_dial,
            turn,
        })
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

/// An endpoint to which the node's own settings leave no way.
fn unreached(endpoint: &Endpoint, turn: u32, stage: Stage, fault: Fault) -> EndpointOutcome {
    let error = Some(fault.to_string());
    let address = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    let stages = vec![StageOutcome {
        stage,
        took: Duration::ZERO,
        result: Err(fault),
    }];
    EndpointOutcome {
        turn,
        addresses: vec![AddressOutcome {
            address,
            source: None,
            stages,
        }],
        path: PullPath {
            error,
            ..PullPath::default()
        },
        ..EndpointOutcome::unseen(endpoint.clone())
    }
}

/// When each stage has to end: after the limit of a stage, and no later than the round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    stage: Duration,
    round: Instant,
}

impl Deadlines {
    fn start(stage: Duration) -> Self {
        Self {
            stage,
            round: Instant::now() + stage + GRACE,
        }
    }

    /// For a stage that begins now.
    pub(crate) fn next(&self) -> Instant {
        self.round.min(Instant::now() + self.stage)
    }
}
