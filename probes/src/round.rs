//! One round over one registry: all its endpoints at once, each surveyed and then asked over the
//! connection that a pull would use. A round ends within the stage limit and a little, however
//! many faults there are.

use std::{net::IpAddr, time::Duration};

use futures_util::future;
use tokio::time::Instant;

use crate::{
    challenge::{self, Challenge},
    endpoint::Endpoint,
    exchange::{HttpConnection, HttpFault},
    http,
    node::Node,
    outcome::{EndpointOutcome, Evidence, Fault, Outcome, StageOutcome},
    reason::Stage,
    survey::{self, Stream, Survey},
    token::{self, Realm},
};

/// How long a round waits for addresses that come first before it uses one that is there.
const PATIENCE: Duration = Duration::from_secs(1);
/// What a round may take beyond the limit of one stage.
const GRACE: Duration = Duration::from_millis(1500);
/// The repository that a token is asked for where no image is configured.
const ANY_REPOSITORY: &str = "regprobe/probe";

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
    /// `resolve`, `connect` and `tls`.
    Network,
    /// One HTTP request to each endpoint.
    Request,
    /// The token request.
    Token,
}

/// Walks `target` once, as deep as `depth`.
pub async fn run(target: &Target, node: &Node, depth: Depth) -> Outcome {
    let round = Round {
        target,
        node,
        depth,
        deadlines: Deadlines::start(node.stage_limit),
    };
    let data = future::join_all(target.data.iter().map(|endpoint| round.data(endpoint)));
    let ((login, token), data) = tokio::join!(round.login(), data);
    Outcome {
        endpoints: std::iter::once(login).chain(data).chain(token).collect(),
    }
}

struct Round<'a> {
    target: &'a Target,
    node: &'a Node,
    depth: Depth,
    deadlines: Deadlines,
}

impl Round<'_> {
    /// The login endpoint, and the token endpoint if it is another.
    async fn login(&self) -> (EndpointOutcome, Option<EndpointOutcome>) {
        let login = &self.target.login;
        let mut survey = self.survey(login, |_| true);
        let mut requests = self.requests(login, &mut survey).await;
        let asked = async {
            let requests = requests.as_mut()?;
            let realm = requests.challenge().await?;
            let may_dial = led_from(Some(requests.address));
            self.token(requests, &realm, may_dial).await
        };
        let ((), token) = tokio::join!(survey.finish(), asked);
        let login = survey.outcome(requests.map(Requests::into_stages));
        // Only a challenge that was due can tell that the token endpoint is gone.
        let told = self.depth >= Depth::Token && login.evidence(Stage::Challenge).is_some();
        match (token, &self.target.token) {
            (None, Some(known)) if !told => {
                let mut survey = self.survey(known, led_from(login.path));
                survey.finish().await;
                (login, Some(survey.outcome(None)))
            }
            (token, _) => (login, token),
        }
    }

    async fn token(
        &self,
        login: &mut Requests<'_>,
        realm: &Realm,
        may_dial: fn(IpAddr) -> bool,
    ) -> Option<EndpointOutcome> {
        let Some(endpoint) = realm.endpoint(&self.target.login) else {
            login.token(realm).await;
            return None;
        };
        let mut survey = self.survey(&endpoint, may_dial);
        let mut requests = self.requests(&endpoint, &mut survey).await;
        let asked = async {
            if let Some(requests) = &mut requests {
                requests.token(realm).await;
            }
        };
        tokio::join!(survey.finish(), asked);
        Some(survey.outcome(requests.map(Requests::into_stages)))
    }

    async fn data(&self, endpoint: &Endpoint) -> EndpointOutcome {
        let mut survey = self.survey(endpoint, |_| true);
        let mut requests = self.requests(endpoint, &mut survey).await;
        let asked = async {
            if let Some(requests) = &mut requests {
                requests.http().await;
            }
        };
        tokio::join!(survey.finish(), asked);
        survey.outcome(requests.map(Requests::into_stages))
    }

    fn survey<'a>(&'a self, endpoint: &'a Endpoint, may_dial: fn(IpAddr) -> bool) -> Survey<'a> {
        Survey::start(self.node, endpoint, self.deadlines, may_dial)
    }

    /// The requests to come, over the connection that a pull would use; `None` where there is no
    /// such connection or no request is due.
    async fn requests<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        survey: &mut Survey<'_>,
    ) -> Option<Requests<'a>> {
        if self.depth < Depth::Request {
            return None;
        }
        let (address, stream) = survey.usable(Instant::now() + PATIENCE).await?;
        let stages = Vec::with_capacity(2);
        Some(Requests {
            round: self,
            endpoint,
            address,
            stream: Some(stream),
            http: None,
            stages,
        })
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

/// The HTTP stages of one endpoint, one after another.
struct Requests<'a> {
    round: &'a Round<'a>,
    endpoint: &'a Endpoint,
    address: IpAddr,
    stream: Option<Stream>,
    http: Option<HttpConnection>,
    stages: Vec<StageOutcome>,
}

impl Requests<'_> {
    /// Asks for the challenge; returns the realm to ask for a token, if that is due.
    async fn challenge(&mut self) -> Option<Realm> {
        let (origin, deadline) = (self.endpoint.origin(), self.round.deadlines.next());
        let start = Instant::now();
        let result = match self.connection().await? {
            Ok(http) => challenge::challenge(http, &origin, deadline).await,
            Err(fault) => Err(fault),
        };
        let bearer = result.as_ref().ok().and_then(Challenge::bearer).cloned();
        self.record(Stage::Challenge, start, result.map(Evidence::Challenge));
        let bearer = bearer.filter(|_| self.round.depth >= Depth::Token)?;
        match Realm::parse(&bearer, self.endpoint) {
            Ok(realm) => Some(realm),
            Err(fault) => {
                self.record(Stage::Token, Instant::now(), Err(fault));
                None
            }
        }
    }

    async fn token(&mut self, realm: &Realm) {
        let Target {
            repository,
            anonymous_pull,
            ..
        } = self.round.target;
        let repository = repository.as_deref().unwrap_or(ANY_REPOSITORY);
        let deadline = self.round.deadlines.next();
        let start = Instant::now();
        let result = match self.connection().await {
            Some(Ok(http)) => {
                token::token(http, realm, repository, *anonymous_pull, deadline).await
            }
            Some(Err(fault)) => Err(fault),
            None => return,
        };
        self.record(Stage::Token, start, result.map(Evidence::Token));
    }

    async fn http(&mut self) {
        let deadline = self.round.deadlines.next();
        let start = Instant::now();
        let result = match self.connection().await {
            Some(Ok(http)) => http::http(http, deadline).await,
            Some(Err(fault)) => Err(fault),
            None => return,
        };
        self.record(Stage::Http, start, result.map(Evidence::Http));
    }

    /// The connection for the next request: the one at hand, or a new one to the same address where
    /// the server closed it. `None` where a new one could not be had, which is then on record.
    async fn connection(&mut self) -> Option<Result<&mut HttpConnection, HttpFault>> {
        let deadline = self.round.deadlines.next();
        let reusable = match &mut self.http {
            Some(http) => http.is_reusable(deadline).await,
            None => false,
        };
        if !reusable {
            let stream = match self.stream.take() {
                Some(stream) => stream,
                None => self.redial().await?,
            };
            match stream.into_http(self.endpoint).await {
                Ok(http) => self.http = Some(http),
                Err(fault) => return Some(Err(fault)),
            }
        }
        self.http.as_mut().map(Ok)
    }

    async fn redial(&mut self) -> Option<Stream> {
        let mut stages = Vec::new();
        let Round {
            node, deadlines, ..
        } = self.round;
        let dialled = survey::dial(node, self.endpoint, self.address, *deadlines, &mut stages);
        let stream = dialled.await;
        if stream.is_none() {
            self.stages.extend(stages);
        }
        stream
    }

    fn record(&mut self, stage: Stage, start: Instant, result: Result<Evidence, HttpFault>) {
        let result = result.map_err(Fault::Http);
        self.stages.push(StageOutcome {
            stage,
            took: start.elapsed(),
            result,
        });
    }

    fn into_stages(self) -> (IpAddr, Vec<StageOutcome>) {
        (self.address, self.stages)
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
