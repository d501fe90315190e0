//! The stage `exchange`: a registry of Azure gives a refresh token of its own for a token of Entra ID. It is asked of
//! the login server itself, over verified TLS, and a redirect is not followed: anyone who has Entra's token can exchange
//! it at every registry that the identity may pull from.
//!
//! Source: Azure/acr `docs/AAD-OAuth.md`.

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde::Deserialize;
use tokio::time::Instant;
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::stages::{
    http::{
        connection::{HttpConnection, Request},
        fault::HttpFault,
    },
    identity::{self, AccessToken},
};

/// The media type of forms.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// Exchanges `token` for a refresh token of `service`.
pub(crate) async fn exchange(
    connection: &mut HttpConnection,
    service: &str,
    token: &AccessToken,
    deadline: Instant,
) -> Result<Zeroizing<String>, HttpFault> {
    let request = Request {
        method: Method::POST,
        target: "/oauth2/exchange",
        headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(FORM))]),
        body: form(service, token),
    };
    let mut response = connection.send(request, deadline).await?;
    if let Some(to) = response.redirect() {
        let why = "a token of Entra ID is sent to the registry itself alone";
        return Err(HttpFault::not_followed(to, why));
    }
    if response.status != StatusCode::OK {
        let mut refused = response.refusal(deadline).await;
        if let HttpFault::Refused(refusal) = &mut refused {
            let shows = |text: &String| text.contains(token.0.as_str());
            refusal.message = refusal.message.take().filter(|text| !shows(text));
        }
        return Err(refused);
    }
    let none = || HttpFault::Malformed("an answer that is no refresh token".to_owned());
    let body = response.body(deadline).await?;
    let issued: Issued = serde_json::from_slice(&body).map_err(|_| none())?;
    identity::token(issued.refresh_token).ok_or_else(none)
}

fn form(service: &str, token: &AccessToken) -> Bytes {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "access_token");
    form.append_pair("service", service);
    form.append_pair("access_token", &token.0);
    form.finish().into()
}

#[derive(Deserialize)]
struct Issued {
    refresh_token: String,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        stages::fake::{Fake, answer},
        words::reason::Reason,
    };

    async fn try_at(fake: &Fake) -> Result<Zeroizing<String>, HttpFault> {
        let token = AccessToken(Zeroizing::new("eyJ.entra".to_owned()));
        let deadline = Instant::now() + Duration::from_secs(20);
        exchange(
            &mut fake.http().await,
            "contoso.azurecr.io",
            &token,
            deadline,
        )
        .await
    }

    #[tokio::test]
    async fn a_refresh_token_or_why_not() {
        let given = answer("200 OK", &[], r#"{"refresh_token":"eyJ.acr"}"#);
        let fake = Fake::answering([given]).await;
        assert_eq!(
            try_at(&fake).await.map(|token| token.to_string()),
            Ok("eyJ.acr".to_owned())
        );
        assert!(fake.heads()[0].starts_with("POST /oauth2/exchange HTTP/1.1\r\n"));

        let to = &["Location: https://evil.example/"][..];
        for (status, headers, body, reason) in [
            ("401 Unauthorized", &[][..], "", Reason::Unauthorized),
            ("403 Forbidden", &[], "", Reason::Forbidden),
            ("429 Too Many Requests", &[], "", Reason::Throttled),
            ("500 Internal Server Error", &[], "", Reason::ServerError),
            ("307 Temporary Redirect", to, "", Reason::NotFollowed),
            ("200 OK", &[], "<html>", Reason::Malformed),
            ("200 OK", &[], r#"{"refresh_token":""}"#, Reason::Malformed),
            (
                "200 OK",
                &[],
                r#"{"refresh_token":"a\nb"}"#,
                Reason::Malformed,
            ),
        ] {
            let fake = Fake::answering([answer(status, headers, body)]).await;
            let fault = try_at(&fake).await.map(drop).unwrap_err();
            assert_eq!(fault.reason(), reason, "{status} {body}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_repeats_the_token_is_not_shown() {
        let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"bad token eyJ.entra"}]}"#;
        let fake = Fake::answering([answer("401 Unauthorized", &[], body)]).await;
        let fault = try_at(&fake).await.map(drop).unwrap_err();
        assert_eq!(fault.said(), None);
        assert!(!format!("{fault:?} {fault}").contains("entra"));
    }

    #[test]
    fn the_form_names_no_tenant_because_the_token_does() {
        let token = AccessToken(Zeroizing::new("eyJ+a".to_owned()));
        assert_eq!(
            &*form("contoso.azurecr.io", &token),
            b"grant_type=access_token&service=contoso.azurecr.io&access_token=eyJ%2Ba"
        );
    }
}
