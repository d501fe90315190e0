//! The HTTP stages of one endpoint, one after another over one connection, which is replaced if the
//! server closes it.

use std::net::IpAddr;

use tokio::time::Instant;

use crate::{
    client::containerd::{self, Content, FaultKind, WalkReply},
    net::{io_fault::IoFault, wire::Stopwatch},
    outcome::{Evidence, Fault, StageOutcome},
    round::{stream::Stream, visit::Visit, walk_request},
    stages::{
        challenge::{self, Challenge, ChallengeStep},
        http::{self, connection::HttpConnection, fault::HttpFault},
        token::{self, Realm},
    },
    words::{reason::Stage, target::Target},
};

mod answer;
mod identify;

/// Requests to one address of an endpoint.
pub(crate) struct Requests<'a> {
    visit: Visit<'a>,
    address: IpAddr,
    stream: Option<Stream>,
    http: Option<HttpConnection>,
    /// The last connection's.
    watch: Stopwatch,
    /// Whether the stage used more than one connection.
    redialled: bool,
    /// Whether its host's client would speak TLS, and fell back to plain HTTP.
    in_the_clear: bool,
    /// Whether a request for a part has failed, so that no other is sent.
    asks_for_the_whole: bool,
    /// Whether the round ends before the last request had the client's time.
    cut_short: bool,
    stages: Vec<StageOutcome>,
}

impl<'a> Requests<'a> {
    /// Requests to send over `stream`, which leads to `address`.
    pub(crate) fn over(stream: Stream, address: IpAddr, visit: Visit<'a>) -> Self {
        Self {
            visit,
            address,
            watch: stream.stopwatch(),
            redialled: false,
            in_the_clear: false,
            asks_for_the_whole: false,
            cut_short: false,
            stream: Some(stream),
            http: None,
            stages: Vec::with_capacity(2),
        }
    }

    pub(crate) fn leads_to(&self) -> Option<IpAddr> {
        self.visit.leads_to(self.address)
    }

    /// Sends `requests`, and counts them as the first.
    pub(crate) async fn before_others<T>(
        &mut self,
        requests: impl AsyncFnOnce(&mut Self) -> T,
    ) -> T {
        let others = self.stages.len();
        let result = requests(self).await;
        self.stages.rotate_left(others);
        result
    }

    pub(crate) fn into_stages(self) -> (IpAddr, Vec<StageOutcome>) {
        (self.address, self.stages)
    }

    /// Asks for the challenge at `target`; returns the realm to ask for a token, if that is `wanted` and
    /// there is one.
    pub(crate) async fn challenge(&mut self, target: &str, wanted: bool) -> Option<Realm> {
        let start = self.begin();
        let answered = self.answer_to(target).await?;
        let result = self.in_full(answered)?;
        let bearer = result
            .as_ref()
            .ok()
            .and_then(|challenge| challenge.bearer().cloned());
        self.record(Stage::Challenge, start, result.map(Evidence::Challenge));
        match Realm::parse(
            &bearer.filter(|_| wanted)?,
            self.visit.endpoint,
            self.visit.client.falls_back,
        ) {
            Ok(realm) => Some(realm),
            Err(fault) => {
                self.record(Stage::Token, Instant::now(), Err(fault));
                None
            }
        }
    }

    /// Follows redirects to the challenge; `None` if a new connection was needed and failed.
    async fn answer_to(&mut self, target: &str) -> Option<Result<Challenge, HttpFault>> {
        let Ok(mut url) = self.visit.endpoint.url(target) else {
            return Some(Err(HttpFault::Malformed("no URL to ask".to_owned())));
        };
        for _ in 0..=challenge::MAX_REDIRECTS {
            let deadline = self.answer_limit();
            let step = match self.connection().await? {
                Ok(http) => challenge::ask(http, &url, deadline).await,
                Err(fault) => Err(fault),
            };
            match step {
                Ok(ChallengeStep::Answered(challenge)) => return Some(Ok(challenge)),
                Ok(ChallengeStep::Redirect(next)) => url = next,
                Err(_) if self.asks_again() => {}
                Err(fault) => return Some(Err(fault)),
            }
        }
        Some(Err(HttpFault::TooManyRedirects(challenge::MAX_REDIRECTS)))
    }

    /// Asks `realm` for an anonymous token.
    pub(crate) async fn token(&mut self, realm: &Realm, target: &Target) {
        let repositories = target.repositories();
        let deadline = self.answer_limit();
        let start = self.begin();
        let expected = target.anonymous_pull;
        let result = loop {
            let result = match self.connection().await {
                Some(Ok(http)) => {
                    token::token(http, realm, &repositories, expected, deadline).await
                }
                Some(Err(fault)) => Err(fault),
                None => return,
            };
            if !self.asks_again() {
                break result;
            }
        };
        if let Some(result) = self.in_full(result) {
            self.record(Stage::Token, start, result.map(Evidence::Token));
        }
    }

    /// The client cannot use the last answer, or does not go where it leads for `content`. A refusal
    /// before is part of this fault, not a second one.
    pub(crate) fn blame(&mut self, content: Option<Content>, fault: HttpFault) {
        match (content, self.stages.last_mut()) {
            (None, Some(last)) => last.result = Err(Fault::Http(fault)),
            (None, None) => {}
            (Some(content), last) => {
                if last.is_some_and(|last| last.result.is_err()) {
                    self.stages.pop();
                }
                self.record(walk_request::stage_of(content), Instant::now(), Err(fault));
            }
        }
    }

    /// A new connection could not be had.
    fn lost(&self) -> WalkReply {
        let last = self
            .stages
            .last()
            .and_then(|stage| stage.result.as_ref().err());
        let unknown = containerd::WalkFault {
            text: None,
            kind: FaultKind::Other,
        };
        WalkReply::Fault(last.map_or(unknown, |fault| {
            walk_request::go_fault(fault, &self.visit.endpoint.host)
        }))
    }

    /// Requests `target`; any status is an answer.
    pub(crate) async fn http(&mut self, target: &str) {
        let deadline = self.answer_limit();
        let start = self.begin();
        let result = loop {
            let result = match self.connection().await {
                Some(Ok(http)) => http::http(http, target, deadline).await,
                Some(Err(fault)) => Err(fault),
                None => return,
            };
            if !self.asks_again() {
                break result;
            }
        };
        if let Some(result) = self.in_full(result) {
            self.record(Stage::Http, start, result.map(Evidence::Http));
        }
    }

    /// For the answer to a request that is sent now.
    fn answer_limit(&mut self) -> Instant {
        let limit = self.visit.deadlines.answer(Instant::now());
        self.cut_short = self.visit.deadlines.is_cut_short(limit);
        limit
    }

    /// Whether the last request got no answer in less than the client's time.
    fn is_cut_short<T>(&self, result: &Result<T, HttpFault>) -> bool {
        self.cut_short && matches!(result, Err(HttpFault::Io(IoFault::Timeout)))
    }

    /// What came of a request beside walks, which leave it less than the client's time and say more; without them it
    /// cannot be told what a pull would get.
    fn in_full<T>(&self, result: Result<T, HttpFault>) -> Option<Result<T, HttpFault>> {
        match self.is_cut_short(&result) {
            true if self.visit.walks => None,
            true => Some(Err(HttpFault::NoTime)),
            false => Some(result),
        }
    }

    /// The connection for the next request: the current one, or a new one to the same address if the
    /// server closed it. `None` if that failed, which is then recorded.
    async fn connection(&mut self) -> Option<Result<&mut HttpConnection, HttpFault>> {
        let deadline = self.visit.deadlines.next();
        let reusable = match &mut self.http {
            Some(http) => http.is_reusable(deadline).await,
            None => false,
        };
        if !reusable {
            self.http = None;
            let stream = match self.stream.take() {
                Some(stream) => stream,
                // Boxed, because each request would have room for it.
                None => Box::pin(self.redial()).await?,
            };
            self.in_the_clear = self.visit.client.falls_back && stream.is_plain();
            match stream.into_http(self.visit.endpoint).await {
                Ok(http) => self.http = Some(http),
                Err(fault) => return Some(Err(fault)),
            }
        }
        self.http.as_mut().map(Ok)
    }

    /// Whether the last request must be sent again over a new connection, because its connection was
    /// stale.
    fn asks_again(&self) -> bool {
        self.http.as_ref().is_some_and(HttpConnection::is_stale)
    }

    async fn redial(&mut self) -> Option<Stream> {
        let mut stages = Vec::new();
        let stream = self.visit.dial(self.address, &mut stages).await;
        match &stream {
            Some(stream) => self.watch = stream.stopwatch(),
            None => self.stages.extend(stages),
        }
        self.redialled = true;
        stream
    }

    /// Starts a stage.
    fn begin(&mut self) -> Instant {
        self.watch.restart();
        self.redialled = false;
        Instant::now()
    }

    fn record(&mut self, stage: Stage, start: Instant, result: Result<Evidence, HttpFault>) {
        let result = result.map_err(Fault::Http);
        let on_the_wire = self
            .watch
            .read()
            .filter(|_| result.is_ok() && !self.redialled);
        let took = on_the_wire.unwrap_or_else(|| start.elapsed());
        let outcome = StageOutcome::new(stage, took, result);
        self.visit.report(&outcome);
        self.stages.push(outcome);
    }
}
