//! The HTTP stages of one endpoint, one after another over one connection, which is replaced if the
//! server closes it.

use std::net::IpAddr;

use tokio::time::Instant;

use crate::{
    net::wire::Stopwatch,
    outcome::{Evidence, Fault, StageOutcome},
    round::visit::{Stream, Visit},
    stages::{
        blob::{BlobStep, Hop},
        challenge::{self, Access, Challenge, ChallengeStep},
        http::{self, connection::HttpConnection, fault::HttpFault},
        manifest::{Descriptor, ManifestWalk},
        pull::Pull,
        token::{self, Realm, Secret, Token},
    },
    words::{
        reason::Stage,
        target::{Image, Target},
    },
};

/// What an anonymous pull needs after the challenge.
pub(crate) enum AfterChallenge {
    /// Nothing: the registry is open.
    Open,
    /// A token from this realm.
    Token(Realm),
}

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
            stream: Some(stream),
            http: None,
            stages: Vec::with_capacity(2),
        }
    }

    pub(crate) fn leads_to(&self) -> Option<IpAddr> {
        self.visit.leads_to(self.address)
    }

    pub(crate) fn into_stages(self) -> (IpAddr, Vec<StageOutcome>) {
        (self.address, self.stages)
    }

    /// Requests the challenge at `target`; returns what a pull needs next, if that is `wanted`.
    pub(crate) async fn challenge(&mut self, target: &str, wanted: bool) -> Option<AfterChallenge> {
        let start = self.begin();
        let result = self.answer_to(target).await?;
        let answered = result.as_ref().ok();
        let access = answered.map(|challenge| challenge.access.clone());
        self.record(Stage::Challenge, start, result.map(Evidence::Challenge));
        let bearer = match access.filter(|_| wanted)? {
            Access::Open => return Some(AfterChallenge::Open),
            Access::Basic => return None,
            Access::Bearer(bearer) => bearer,
        };
        match Realm::parse(&bearer, self.visit.endpoint) {
            Ok(realm) => Some(AfterChallenge::Token(realm)),
            Err(fault) => {
                self.record(Stage::Token, Instant::now(), Err(fault));
                None
            }
        }
    }

    /// Follows redirects to the challenge; `None` if a new connection was needed and failed.
    async fn answer_to(&mut self, target: &str) -> Option<Result<Challenge, HttpFault>> {
        let deadline = self.visit.deadlines.next();
        let Ok(mut url) = self.visit.endpoint.url(target) else {
            return Some(Err(HttpFault::Malformed("no URL to ask".to_owned())));
        };
        for _ in 0..=challenge::MAX_REDIRECTS {
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

    /// Requests an anonymous token from `realm`; returns it if it is granted.
    pub(crate) async fn token(&mut self, realm: &Realm, target: &Target) -> Option<Secret> {
        let repositories = target.repositories();
        let deadline = self.visit.deadlines.next();
        let start = self.begin();
        let expected = target.anonymous_pull;
        let result = loop {
            let result = match self.connection().await? {
                Ok(http) => token::token(http, realm, &repositories, expected, deadline).await,
                Err(fault) => Err(fault),
            };
            if !self.asks_again() {
                break result;
            }
        };
        let granted = match &result {
            Ok(Token::Granted(secret)) => Some(secret.clone()),
            _ => None,
        };
        self.record(Stage::Token, start, result.map(Evidence::Token));
        granted
    }

    /// Walks to the manifest of an image, then requests its blobs; returns where they redirect to.
    pub(crate) async fn image(&mut self, pull: &Pull<'_>, image: &Image) -> Vec<(Descriptor, Hop)> {
        let mut walk = ManifestWalk::start(pull, &image.reference);
        let deadline = self.visit.deadlines.next();
        let start = self.begin();
        let result = loop {
            let step = match self.connection().await {
                Some(Ok(http)) => walk.step(http, deadline).await,
                Some(Err(fault)) => Err(fault),
                None => return Vec::new(),
            };
            match step {
                Ok(Some(manifest)) => break Ok(manifest),
                Ok(None) => {}
                Err(_) if self.asks_again() => {}
                Err(fault) => break Err(fault),
            }
        };
        let found = result.as_ref().ok();
        let blobs = found.map(|found| found.blobs.clone()).unwrap_or_default();
        let result = result.map(Evidence::Manifest);
        self.record_of(image.to_string(), Stage::Manifest, start, result);
        let mut hops = Vec::new();
        for descriptor in blobs {
            let first = Hop::first(pull, &descriptor);
            let next = self.blob(pull, &descriptor, &first).await;
            hops.extend(next.map(|hop| (descriptor, hop)));
        }
        hops
    }

    /// Requests the first byte of a blob at `hop`; returns the next hop if it is not served here.
    pub(crate) async fn blob(
        &mut self,
        pull: &Pull<'_>,
        descriptor: &Descriptor,
        hop: &Hop,
    ) -> Option<Hop> {
        let deadline = self.visit.deadlines.next();
        let start = self.begin();
        let step = loop {
            let step = match self.connection().await? {
                Ok(http) => hop.fetch(http, pull, descriptor, deadline).await,
                Err(fault) => Err(fault),
            };
            if !self.asks_again() {
                break step;
            }
        };
        let (result, next) = match step {
            Ok(BlobStep::Served(answered)) => (Ok(answered), None),
            Ok(BlobStep::Redirect(answered, next)) => (Ok(answered), Some(next)),
            Err(fault) => (Err(fault), None),
        };
        let subject = descriptor.digest.to_string();
        self.record_of(subject, Stage::Blob, start, result.map(Evidence::Blob));
        next
    }

    /// Requests `target`; any status is an answer.
    pub(crate) async fn http(&mut self, target: &str) {
        let deadline = self.visit.deadlines.next();
        let start = self.begin();
        let result = match self.connection().await {
            Some(Ok(http)) => http::http(http, target, deadline).await,
            Some(Err(fault)) => Err(fault),
            None => return,
        };
        self.record(Stage::Http, start, result.map(Evidence::Http));
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
                None => self.redial().await?,
            };
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

    fn record_of(
        &mut self,
        subject: String,
        stage: Stage,
        start: Instant,
        result: Result<Evidence, HttpFault>,
    ) {
        self.record(stage, start, result);
        if let Some(recorded) = self.stages.last_mut() {
            recorded.subject = Some(subject.into());
        }
    }
}
