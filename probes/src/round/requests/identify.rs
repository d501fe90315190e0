//! A credential for the node's managed identity, as the node's credential provider gets it: a token of the metadata
//! service, and for that a refresh token of the registry. Neither stage is part of a pull.

use tokio::time::Instant;

use super::Requests;
use crate::{
    net::io_fault::IoFault,
    outcome::{Evidence, Fault, StageOutcome},
    round::identity::IdentityAnswer,
    stages::{
        exchange,
        http::fault::HttpFault,
        identity::{self, AccessToken, IdentityFault, METADATA},
        token::Realm,
    },
    words::{endpoint::Scheme, reason::Stage, target::ManagedIdentity},
};

impl Requests<'_> {
    /// Gets one for `identity` of this endpoint, which has been asked for its challenge.
    pub(crate) async fn identify(&mut self, identity: &ManagedIdentity) -> IdentityAnswer {
        let service = match self.service() {
            Ok(service) => service,
            Err(answer) => return answer,
        };
        let proxies = &self.visit.node.proxies;
        if let Some(proxy) = proxies.proxy_for("http", &METADATA.to_string(), 80) {
            let fault = Fault::Identity(IdentityFault::Proxied(proxy.to_string()));
            return failed(Stage::Identity, fault);
        }
        let limit = self.visit.deadlines.next();
        let start = Instant::now();
        let Some(asked) = identity::ask(identity, limit).await else {
            return no_time("the metadata service");
        };
        let result = asked.as_ref().map(|_| Evidence::Identity);
        let result = result.map_err(|fault| Fault::Identity(fault.clone()));
        self.record_aside(Stage::Identity, start, result);
        match asked {
            Ok(token) => self.exchange(&service, token).await,
            Err(fault) => failed(Stage::Identity, Fault::Identity(fault)),
        }
    }

    async fn exchange(&mut self, service: &str, token: AccessToken) -> IdentityAnswer {
        let limit = self.visit.deadlines.next();
        let start = Instant::now();
        let given = loop {
            let given = match self.connection().await {
                Some(Ok(http)) => exchange::exchange(http, service, &token, limit).await,
                Some(Err(fault)) => Err(fault),
                None => return IdentityAnswer::NotSeen("the connection was lost".to_owned()),
            };
            if !self.asks_again() {
                break given;
            }
        };
        drop(token);
        let is_cut_short = self.visit.deadlines.is_cut_short(limit);
        if is_cut_short && matches!(given, Err(HttpFault::Io(IoFault::Timeout))) {
            return no_time("the exchange");
        }
        let result = given.as_ref().map(|_| Evidence::Exchange);
        let result = result.map_err(|fault| Fault::Http(fault.clone()));
        self.record_aside(Stage::Exchange, start, result);
        match given {
            Ok(token) => IdentityAnswer::given(token),
            // The provider follows.
            Err(fault @ HttpFault::NotFollowed { .. }) => {
                IdentityAnswer::NotSeen(fault.to_string())
            }
            Err(fault) => failed(Stage::Exchange, Fault::Http(fault)),
        }
    }

    /// For which service a token is exchanged, by the answer to `/v2/`.
    fn service(&mut self) -> Result<String, IdentityAnswer> {
        let (login, client) = (self.visit.endpoint, self.visit.client);
        if !client.tls.ca.is_empty() || !client.tls.client.is_empty() {
            let why = "hosts.toml has TLS settings for the registry, and the credential provider does not read them";
            return Err(IdentityAnswer::NotSeen(why.to_owned()));
        }
        let challenge = self
            .stages
            .iter()
            .rfind(|stage| stage.stage == Stage::Challenge);
        let challenge = match challenge.map(|stage| &stage.result) {
            Some(Ok(Evidence::Challenge(challenge))) => challenge,
            Some(Err(fault)) => return Err(failed(Stage::Challenge, fault.clone())),
            _ => return Err(IdentityAnswer::NotSeen(format!("no answer of {login}"))),
        };
        let Some(bearer) = challenge.bearer() else {
            let fault = HttpFault::NotARegistry {
                status: challenge.status,
                why: "no Bearer challenge, which would lead to an exchange",
            };
            let fault = Fault::Http(fault);
            self.record_aside(Stage::Exchange, Instant::now(), Err(fault.clone()));
            return Err(failed(Stage::Exchange, fault));
        };
        let is_verified =
            login.scheme == Scheme::Https && !client.falls_back && !client.tls.skip_verify;
        let realm = Realm::parse(bearer, login, false);
        if is_verified && realm.is_ok_and(|realm| realm.endpoint(login).is_none()) {
            let service = bearer.service.clone();
            return Ok(service.unwrap_or_else(|| login.host.to_string()));
        }
        let why = "a token of Entra ID is sent to the registry itself alone, over verified TLS";
        let fault = HttpFault::not_followed(&bearer.realm, why);
        let said = fault.to_string();
        self.record_aside(Stage::Exchange, Instant::now(), Err(Fault::Http(fault)));
        Err(IdentityAnswer::NotSeen(said))
    }

    /// Records a stage that is no part of a pull.
    fn record_aside(&mut self, stage: Stage, start: Instant, result: Result<Evidence, Fault>) {
        let outcome = StageOutcome {
            optional: true,
            ..StageOutcome::new(stage, start.elapsed(), result)
        };
        self.visit.report(&outcome);
        self.stages.push(outcome);
    }
}

fn failed(stage: Stage, fault: Fault) -> IdentityAnswer {
    IdentityAnswer::Failed { stage, fault }
}

fn no_time(of: &str) -> IdentityAnswer {
    IdentityAnswer::NotSeen(format!("the round had no time left for {of}"))
}
