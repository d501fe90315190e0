//! The HTTP stages of one endpoint, one after another over one connection, which is made anew where
//! the server closes it.

use std::net::IpAddr;

use tokio::time::Instant;

use crate::{
    challenge::{self, Challenge},
    exchange::{HttpConnection, HttpFault},
    http,
    outcome::{Evidence, Fault, StageOutcome},
    reason::Stage,
    round::Target,
    token::{self, Realm},
    visit::{Stream, Visit},
};

/// The repository that a token is asked for where no image is configured.
const ANY_REPOSITORY: &str = "regprobe/probe";

/// Requests to one address of an endpoint.
pub(crate) struct Requests<'a> {
    visit: Visit<'a>,
    address: IpAddr,
    stream: Option<Stream>,
    http: Option<HttpConnection>,
    stages: Vec<StageOutcome>,
}

impl<'a> Requests<'a> {
    /// Requests to come over `stream`, which leads to `address`.
    pub(crate) fn over(stream: Stream, address: IpAddr, visit: Visit<'a>) -> Self {
        Self {
            visit,
            address,
            stream: Some(stream),
            http: None,
            stages: Vec::with_capacity(2),
        }
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    pub(crate) fn into_stages(self) -> (IpAddr, Vec<StageOutcome>) {
        (self.address, self.stages)
    }

    /// Asks for the challenge at `target`; returns the realm to ask, if a token is `wanted`.
    pub(crate) async fn challenge(&mut self, target: &str, wanted: bool) -> Option<Realm> {
        let (origin, deadline) = (self.visit.endpoint.origin(), self.visit.deadlines.next());
        let start = Instant::now();
        let result = match self.connection().await? {
            Ok(http) => challenge::challenge(http, &origin, target, deadline).await,
            Err(fault) => Err(fault),
        };
        let bearer = result.as_ref().ok().and_then(Challenge::bearer).cloned();
        self.record(Stage::Challenge, start, result.map(Evidence::Challenge));
        match Realm::parse(&bearer.filter(|_| wanted)?, self.visit.endpoint) {
            Ok(realm) => Some(realm),
            Err(fault) => {
                self.record(Stage::Token, Instant::now(), Err(fault));
                None
            }
        }
    }

    /// Asks `realm` for an anonymous token.
    pub(crate) async fn token(&mut self, realm: &Realm, target: &Target) {
        let repository = target.repository.as_deref().unwrap_or(ANY_REPOSITORY);
        let deadline = self.visit.deadlines.next();
        let start = Instant::now();
        let result = match self.connection().await {
            Some(Ok(http)) => {
                token::token(http, realm, repository, target.anonymous_pull, deadline).await
            }
            Some(Err(fault)) => Err(fault),
            None => return,
        };
        self.record(Stage::Token, start, result.map(Evidence::Token));
    }

    /// Asks for `target`, where any status is an answer.
    pub(crate) async fn http(&mut self, target: &str) {
        let deadline = self.visit.deadlines.next();
        let start = Instant::now();
        let result = match self.connection().await {
            Some(Ok(http)) => http::http(http, target, deadline).await,
            Some(Err(fault)) => Err(fault),
            None => return,
        };
        self.record(Stage::Http, start, result.map(Evidence::Http));
    }

    /// The connection for the next request: the one at hand, or a new one to the same address where
    /// the server closed it. `None` where a new one could not be had, which is then on record.
    async fn connection(&mut self) -> Option<Result<&mut HttpConnection, HttpFault>> {
        let deadline = self.visit.deadlines.next();
        let reusable = match &mut self.http {
            Some(http) => http.is_reusable(deadline).await,
            None => false,
        };
        if !reusable {
            let stream = match self.stream.take() {
                Some(stream) => stream,
                None => self.redial().await?,
            };
            match stream.into_http(self.visit.endpoint).await {
                Ok(http) => self.http = Some(http),
                Err(fault) => return Some(Err(fault)),
            }
        }
        self.http.as_mut().map(Ok)
    }

    async fn redial(&mut self) -> Option<Stream> {
        let mut stages = Vec::new();
        let stream = self.visit.dial(self.address, &mut stages).await;
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
}
