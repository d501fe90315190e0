//! The stage `token`: the anonymous token request to the realm that a challenge names. A healthy token
//! service may grant or deny; the caller says whether it expects a grant. No credential is ever sent.

use hyper::StatusCode;
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use crate::{
    net::{inert::excerpt, redact::redacted},
    stages::{
        challenge::Bearer,
        http::{connection::HttpConnection, fault::HttpFault},
    },
    words::endpoint::{Endpoint, Role, Scheme},
};

/// Asks `realm` for an anonymous token that may pull `repositories`.
pub(crate) async fn token(
    connection: &mut HttpConnection,
    realm: &Realm,
    repositories: &[&str],
    expected: bool,
    deadline: Instant,
) -> Result<Token, HttpFault> {
    let mut response = connection
        .get(&realm.target(repositories), deadline)
        .await?;
    match response.status {
        StatusCode::OK => granted(&response.body(deadline).await?).map(|_| Token::Granted),
        status if status.is_redirection() => {
            let location = response.header(hyper::header::LOCATION).unwrap_or_default();
            Err(HttpFault::redirect_denied(
                &location,
                "redirects of token services are not followed",
            ))
        }
        _ => match response.refusal(deadline).await {
            fault if fault.is_denial() && !expected => Ok(Token::Denied),
            fault => Err(fault),
        },
    }
}

/// What the token service decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Anonymous pulls are allowed.
    Granted,
    /// Credentials are wanted: what most private registries answer.
    Denied,
}

/// The URL that issues tokens, checked to be one that a probe may request.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Realm {
    url: Url,
}

impl Realm {
    /// Parses the realm of `bearer`, which `login` sent.
    pub(crate) fn parse(bearer: &Bearer, login: &Endpoint) -> Result<Self, HttpFault> {
        let mut url = Url::parse(&bearer.realm)
            .map_err(|error| HttpFault::Malformed(format!("the realm is not a URL ({error})")))?;
        let denied = |why| Err(HttpFault::redirect_denied(&bearer.realm, why));
        match (url.scheme(), login.scheme) {
            ("https", _) | ("http", Scheme::Http) => {}
            _ => return denied("a realm must be https"),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return denied("a realm must not carry credentials");
        }
        if let Some(service) = &bearer.service {
            url.query_pairs_mut().append_pair("service", service);
        }
        Ok(Self { url })
    }

    /// The endpoint to dial; `None` if the login server itself issues tokens.
    pub(crate) fn endpoint(&self, login: &Endpoint) -> Option<Endpoint> {
        Endpoint::of(&self.url, Role::Token).filter(|endpoint| !endpoint.is_same_server(login))
    }

    /// ACR's token service answers per scope, so each pull's scope is requested.
    fn target(&self, repositories: &[&str]) -> String {
        let mut url = self.url.clone();
        for repository in repositories {
            let scope = format!("repository:{repository}:pull");
            url.query_pairs_mut().append_pair("scope", &scope);
        }
        url[url::Position::BeforePath..url::Position::AfterQuery].to_owned()
    }
}

impl std::fmt::Debug for Realm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Realm({})", redacted(self.url.as_str()))
    }
}

/// The token in the body of an answer.
pub(crate) fn granted(body: &[u8]) -> Result<String, HttpFault> {
    let grant: Grant = serde_json::from_slice(body).map_err(|error| {
        let error = excerpt(error.to_string().as_bytes());
        HttpFault::Malformed(format!("no token in the answer ({error})"))
    })?;
    let token = grant.usable_token();
    token.ok_or_else(|| HttpFault::Malformed("no token in the answer".to_owned()))
}

#[derive(Deserialize)]
struct Grant {
    token: Option<String>,
    access_token: Option<String>,
    /// Not used, but containerd refuses an answer in which it is not a number.
    #[serde(rename = "expires_in")]
    _expires_in: Option<i64>,
}

impl Grant {
    /// The first one that is present, if a header line can carry it.
    fn usable_token(self) -> Option<String> {
        let mut tokens = [self.token, self.access_token].into_iter().flatten();
        let first = tokens.find(|token| !token.is_empty());
        first.filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(scheme: Scheme, port: u16) -> Endpoint {
        Endpoint {
            host: "contoso.azurecr.io".into(),
            port,
            role: Role::Login,
            scheme,
        }
    }

    fn bearer(realm: &str) -> Bearer {
        Bearer {
            realm: realm.into(),
            service: Some("contoso.azurecr.io".into()),
        }
    }

    #[test]
    fn the_request_follows_the_specification() {
        let realm = Realm::parse(
            &bearer("https://contoso.azurecr.io/oauth2/token?x=1"),
            &login(Scheme::Https, 443),
        )
        .unwrap();
        assert_eq!(
            realm.target(&["probe/hello"]),
            "/oauth2/token?x=1&service=contoso.azurecr.io&scope=repository%3Aprobe%2Fhello%3Apull"
        );
        assert_eq!(realm.endpoint(&login(Scheme::Https, 443)), None);
    }

    #[test]
    fn a_realm_elsewhere_is_an_endpoint_of_its_own() {
        let realm = Realm::parse(
            &bearer("https://Auth.Example:8443/token"),
            &login(Scheme::Https, 443),
        )
        .unwrap();
        let endpoint = realm.endpoint(&login(Scheme::Https, 443)).unwrap();
        assert_eq!(endpoint.to_string(), "auth.example:8443");
        assert_eq!(endpoint.role, Role::Token);
    }

    #[test]
    fn realms_that_are_refused() {
        let https = login(Scheme::Https, 443);
        let http = login(Scheme::Http, 5000);
        assert!(Realm::parse(&bearer("http://contoso.azurecr.io/t"), &https).is_err());
        assert!(Realm::parse(&bearer("http://auth.example/t"), &http).is_ok());
        assert!(Realm::parse(&bearer("ftp://auth.example/t"), &http).is_err());
        assert!(Realm::parse(&bearer("https://u:p@auth.example/t"), &https).is_err());
        assert!(Realm::parse(&bearer("/oauth2/token"), &https).is_err());
    }

    #[test]
    fn a_realm_is_shown_without_its_secrets() {
        let signed = bearer("https://auth.example/token?sig=c2VjcmV0");
        let realm = Realm::parse(&signed, &login(Scheme::Https, 443)).unwrap();
        let shown = format!("{realm:?} {signed:?}");
        assert!(shown.contains("auth.example/token") && !shown.contains("c2VjcmV0"));
    }
}
