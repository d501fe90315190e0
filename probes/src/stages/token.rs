//! The stage `token`: the anonymous token request to the realm that a challenge names. A healthy token
//! service may grant or deny; the caller says whether it expects a grant. No credential is ever sent.

use hyper::{StatusCode, header::HeaderValue};
use tokio::time::Instant;
use url::Url;

use crate::{
    net::{go_url, inert::excerpt, redact::redacted},
    stages::{
        challenge::Bearer,
        http::{
            connection::HttpConnection,
            fault::HttpFault,
            go_json::{self, JsonFault, number, object, text},
            go_shape,
        },
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
        StatusCode::OK => authorization(&response.body(deadline).await?).map(|_| Token::Granted),
        status if status.is_redirection() => {
            let location = response.header(hyper::header::LOCATION).unwrap_or_default();
            Err(HttpFault::not_followed(
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
    in_the_clear: bool,
}

impl Realm {
    /// Parses the realm of `bearer`, which `login` sent; `in_the_clear` is whether that need not speak TLS.
    pub(crate) fn parse(
        bearer: &Bearer,
        login: &Endpoint,
        in_the_clear: bool,
    ) -> Result<Self, HttpFault> {
        let denied = |why| Err(HttpFault::not_followed(&bearer.realm, why));
        let mut url = go_url::absolute(&bearer.realm)
            .map_err(|why| HttpFault::not_asked(why, "the realm", &bearer.realm))?;
        match url.scheme() {
            "https" => {}
            "http" if in_the_clear || login.scheme == Scheme::Http => {}
            _ => return denied("a realm must be https"),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return denied("a realm must not carry credentials");
        }
        if let Some(service) = &bearer.service {
            url.query_pairs_mut().append_pair("service", service);
        }
        Ok(Self { url, in_the_clear })
    }

    /// The endpoint to dial; `None` if the login server itself issues tokens.
    pub(crate) fn endpoint(&self, login: &Endpoint) -> Option<Endpoint> {
        let is_login = |endpoint: &Endpoint| {
            endpoint.is_same_server(login)
                || self.in_the_clear && (&endpoint.host, endpoint.port) == (&login.host, login.port)
        };
        Endpoint::of(&self.url, Role::Token).filter(|endpoint| !is_login(endpoint))
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

/// What `Authorization` the body of an answer leads to.
pub(crate) fn authorization(body: &[u8]) -> Result<HeaderValue, HttpFault> {
    let none = || HttpFault::Malformed("no token in the answer".to_owned());
    let token = granted(body).map_err(|JsonFault(why)| match why {
        Some(why) => HttpFault::Malformed(format!(
            "no token in the answer ({})",
            excerpt(why.as_bytes())
        )),
        None => none(),
    })?;
    bearer(&token.ok_or_else(none)?).ok_or_else(none)
}

/// The token in the body of an answer, as containerd takes it from there.
///
/// Source: containerd `core/remotes/docker/auth/fetch.go` (`FetchTokenResponse`).
pub(crate) fn granted(body: &[u8]) -> Result<Option<String>, JsonFault> {
    let [token, access_token] = texts(body, ["token", "access_token"])?;
    let tokens = [access_token, token];
    Ok(tokens.into_iter().find(|token| !token.is_empty()))
}

/// The same in the answer to a form.
///
/// Source: containerd `core/remotes/docker/auth/fetch.go` (`OAuthTokenResponse`).
pub(crate) fn granted_to_form(body: &[u8]) -> Result<Option<String>, JsonFault> {
    let [_, token] = texts(body, ["scope", "access_token"])?;
    Ok(Some(token).filter(|token| !token.is_empty()))
}

/// Two fields of an answer, beside those that every answer may have.
fn texts(body: &[u8], names: [&'static str; 2]) -> Result<[String; 2], JsonFault> {
    let [one, other] = names;
    let known = ["expires_in", "issued_at", "refresh_token", one, other];
    let body = String::from_utf8_lossy(body);
    // Go names its types and fields, by names of its own.
    let untold = |_| JsonFault(None);
    let fields = object(Some(go_json::first(&body)?), &known).map_err(untold)?;
    fields.last("expires_in", number).map_err(untold)?;
    fields.last("issued_at", go_shape::time).map_err(untold)?;
    let text = |name| fields.last(name, text).map_err(untold);
    text("refresh_token")?;
    Ok([text(one)?, text(other)?])
}

/// The header `Authorization` with a token, which `Debug` never shows; `None` if no header can carry it.
pub(crate) fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
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
            false,
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
            false,
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
        assert!(Realm::parse(&bearer("http://contoso.azurecr.io/t"), &https, false).is_err());
        assert!(Realm::parse(&bearer("http://auth.example/t"), &http, false).is_ok());
        assert!(Realm::parse(&bearer("ftp://auth.example/t"), &http, false).is_err());
        assert!(Realm::parse(&bearer("https://u:p@auth.example/t"), &https, false).is_err());
        assert!(Realm::parse(&bearer("/oauth2/token"), &https, false).is_err());
    }

    #[test]
    fn a_realm_is_shown_without_its_secrets() {
        let signed = bearer("https://auth.example/token?sig=c2VjcmV0");
        let realm = Realm::parse(&signed, &login(Scheme::Https, 443), false).unwrap();
        let shown = format!("{realm:?} {signed:?}");
        assert!(shown.contains("auth.example/token") && !shown.contains("c2VjcmV0"));
    }

    #[test]
    fn a_token_is_sent_and_never_shown() {
        let value = authorization(br#"{"token":"abc.def"}"#).unwrap();
        assert_eq!(value, "Bearer abc.def");
        assert!(!format!("{value:?}").contains("abc"));
        for body in [r#"{"token":"a\r\nHost: b"}"#, "{}", "<html>", ""] {
            let fault = authorization(body.as_bytes()).unwrap_err();
            assert!(matches!(fault, HttpFault::Malformed(_)), "{body}: {fault}");
        }
    }

    #[test]
    fn tokens_are_read_as_go_reads_them() {
        let read = |body: &str| granted(body.as_bytes()).map_err(|JsonFault(text)| text);
        let to_form = |body: &str| granted_to_form(body.as_bytes()).map_err(|JsonFault(text)| text);
        assert_eq!(to_form(r#"{"token": "x"}"#), Ok(None));
        assert_eq!(
            to_form(r#"{"token": 1, "access_token": "x"}"#),
            Ok(Some("x".to_owned()))
        );
        assert_eq!(
            to_form(r#"{"access_token": "x", "scope": ["y"]}"#),
            Err(None)
        );
        let some = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(read(r#"{"token":"a"}"#), some("a"));
        assert_eq!(read(r#"{"TOKEN":"a"} trailing"#), some("a"));
        assert_eq!(read(r#"{"token":"a","access_token":"b"}"#), some("b"));
        assert_eq!(read(r#"{"token":"a","token":null,"Token":"c"}"#), some("c"));
        assert_eq!(
            read(r#"{"token":"a","issued_at":"2026-02-20T12:00:00Z"}"#),
            some("a")
        );
        assert_eq!(read("null"), Ok(None));
        assert_eq!(read(" nulle"), Ok(None));
        assert_eq!(read("{}"), Ok(None));
        assert_eq!(read(""), Err(Some("EOF".to_owned())));
        assert_eq!(
            read(r#"{"token":"a""#),
            Err(Some("unexpected EOF".to_owned()))
        );
        assert_eq!(read("<html>"), Err(None));
        assert_eq!(read(r#"{"token":"a","issued_at":"1457510670"}"#), Err(None));
        assert_eq!(read(r#"{"token":"a","expires_in":1.5}"#), Err(None));
    }
}
